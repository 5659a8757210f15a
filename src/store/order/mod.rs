//! Table `order`: where each order stands.

pub mod write;
