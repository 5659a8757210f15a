//! Table `quarantine`: messages that could not be verified or read, as they came.

pub mod delete;
pub mod read;
pub mod retry;
pub mod write;
