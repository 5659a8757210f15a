//! Table `order`: where each order stands.

pub mod read;
pub mod reconcile;
pub mod write;
