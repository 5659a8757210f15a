//! An attempt: one HTTP request of a delivery, and everything that can be shown of it.

use std::net::IpAddr;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::id::AttemptId;

/// How long the parts of an attempt took, in whole milliseconds. A part that did not happen, or happened on an earlier
/// attempt over the same connection, is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// Looking up the name.
    pub dns: Option<u32>,
    /// Connecting, without TLS.
    pub connect: Option<u32>,
    /// The TLS handshake.
    pub tls: Option<u32>,
    /// From the request's end to the answer's first byte.
    pub first_byte: Option<u32>,
    /// From beginning to end.
    pub total: u32,
}

/// What is kept of an attempt.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// Its id.
    pub attempt_id: AttemptId,
    /// When it began.
    pub at: DateTime<Utc>,
    /// The HTTP status, if there was an answer.
    pub status_code: Option<u16>,
    /// Why there was no answer.
    pub error: Option<String>,
    /// Whom the request went to.
    pub remote_ip: Option<IpAddr>,
    /// How long it took.
    pub durations: Durations,
    /// A JSON object of names and values, as sent.
    pub request_headers: String,
    /// The same of the answer, as many as fit into a bound.
    pub response_headers: Option<String>,
    /// The beginning of the answer's body.
    pub response_body: Option<Bytes>,
    /// Whether there was, or may have been, more of it.
    pub response_truncated: Option<bool>,
}
