//! Table `endpoint`: callback URLs partners registered.

pub mod health;
pub mod sending;
pub mod subscription;
