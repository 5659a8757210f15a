//! How a callback proves where it comes from.
//!
//! Two formats: Standard Webhooks 1.0 (`v1` HMAC-SHA256 and, if the endpoint wants it, `v1a` Ed25519) and Transak's own
//! (`{"data":"<JWT>"}`), so that a handler written for Transak's webhooks runs unchanged.
//!
//! Guarantees: what is signed is what is sent, byte for byte, and the order's own bytes are in it unchanged. A retired
//! secret signs until its hour and not after, judged by the clock of the attempt, whether or not anything has deleted
//! it. Secrets have a silent `Debug`.
//! Does not guarantee: secrecy of the payload. Both formats sign, neither encrypts.
//!
//! The crate `standardwebhooks` is not used: it has no `v1a`, refuses bodies that are not UTF-8, copies the whole body
//! to sign it, and brings a second implementation of SHA-256 that is slower than the one of aws-lc-rs.

mod secret;
mod standard;
mod transak;

pub use secret::{Ed25519Key, EndpointSecret, InvalidSecret};
pub use standard::{Keys, Message, Retired, Signer, standard_body};
pub use transak::transak_body;

use chrono::{DateTime, SecondsFormat, Utc};

/// RFC 3339 with milliseconds and `Z`: the way Transak writes times, and so do we.
fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// `text` as a JSON string, quotes included.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
