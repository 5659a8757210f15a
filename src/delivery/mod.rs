//! The one way out: deliveries are claimed, signed, sent, and written back.
//!
//! Guarantees: a delivery is sent at least once, by one process at a time while its lease lasts; a write-back after
//! the lease has passed to another changes nothing; whatever was sent is recorded as an attempt.
//! Does not guarantee: exactly one request. A process that dies between the answer and the write-back sends again,
//! under the same `webhook-id`.

mod aside;
mod claims;
mod compose;
mod courier;
pub mod dispatcher;
mod finisher;
mod measure;
mod presence;
mod record;
mod recovery;
pub mod resolver;
pub mod sender;
mod targets;
mod verdicts;
