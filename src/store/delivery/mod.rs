//! Deliveries: events owed to endpoints.

pub mod by_hand;
pub mod read;
