//! Table `order`: where each order stands.

pub mod locked;
pub mod read;
pub mod reconcile;
pub mod write;
