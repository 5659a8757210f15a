//! Table `order`: where each order stands.

pub mod read;
pub mod write;
