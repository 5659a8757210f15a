//! Table `delivery`: what is owed, to whom, and how it went.

pub mod claim;
pub mod finish;
pub mod write;
