//! Table `endpoint`: callback URLs partners registered.
pub mod subscription;
