//! Table `attempt`: one row per HTTP request of a delivery.

pub mod read;
pub mod write;
