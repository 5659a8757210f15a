//! What the relay talks about: ids, orders and their statuses, events, endpoints, deliveries, secrets.
//!
//! Pure: no I/O, no async, no clock of its own. Every decision that matters for a promise is a function in here.

pub mod address;
pub mod callback_url;
pub mod header;
pub mod id;
pub mod redact;
pub mod retry;
pub mod signing;
pub mod tls_identity;
