//! What came of an attempt, and the evidence of it.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use thiserror::Error;

use crate::model::address::Refused;
pub use crate::model::attempt::Durations;
use crate::model::retry::{Outcome, RetryAfter};

/// Most bytes of the response body that are kept.
pub const BODY_KEPT: usize = 16 * 1024;
/// Most bytes of the response body that are read. A longer one costs its sender the connection.
pub const BODY_READ: usize = 64 * 1024;
/// Most bytes of response header names and values that are kept, with what is no UTF-8 replaced.
pub const HEADERS_KEPT: usize = 16 * 1024;

/// One attempt, whatever came of it. The status alone decides success: a 2xx whose body breaks off, is endless or comes
/// too slowly is still a 2xx, for the receiver has spoken; the body is evidence, waited for 3 s, and says that it is not
/// whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempt {
    /// The HTTP status, if the response head arrived whole.
    pub status_code: Option<u16>,
    /// Why there is no status. One of the two is always there.
    pub error: Option<SendError>,
    /// The address the request went to, or was about to go to.
    pub remote_ip: Option<IpAddr>,
    /// How long it took.
    pub durations: Durations,
    /// The request's headers as sent, the secret values covered.
    pub request_headers: Vec<(String, String)>,
    /// The response's headers, those that fit into [`HEADERS_KEPT`] one after another.
    pub response_headers: Vec<(String, String)>,
    /// The response's body, once its head has arrived.
    pub response_body: Option<ResponseBody>,
    /// The response's `Retry-After`, unread.
    pub retry_after: Option<String>,
}

impl Attempt {
    /// The attempt as [`RetryPolicy::verdict`](crate::model::retry::RetryPolicy::verdict) takes it.
    pub fn outcome(&self) -> Outcome {
        match self.status_code {
            Some(status) => {
                let retry_after = self.retry_after.as_deref().and_then(RetryAfter::parse);
                Outcome::Answered { status, retry_after }
            }
            None => Outcome::Failed { kind: self.error.map_or("unknown", SendError::kind) },
        }
    }
}

/// What is kept of a response body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseBody {
    /// The first [`BODY_KEPT`] bytes: as text where they are UTF-8 without NUL (which Postgres cannot hold), else base64.
    pub content: String,
    /// Whether `content` is base64.
    pub base64: bool,
    /// Whether there was, or may have been, more than `content`.
    pub truncated: bool,
}

impl ResponseBody {
    /// The evidence of `bytes`, the first ones of a body; `whole` says whether they are all of it.
    pub(super) fn new(bytes: &[u8], whole: bool) -> Self {
        let (content, base64) = match text(bytes, whole) {
            Some(text) => (text.to_owned(), false),
            None => (STANDARD.encode(bytes), true),
        };
        Self { content, base64, truncated: !whole }
    }
}

/// The bytes as text. A character cut in two by the limit is left off; anything else that is not text makes it binary.
fn text(bytes: &[u8], whole: bool) -> Option<&str> {
    if bytes.contains(&0) {
        return None;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if !whole && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

/// Why there was no answer. A closed set of plain sentences that hold no part of the URL and no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SendError {
    /// The name has no address, or nobody could say.
    #[error("the host name could not be resolved")]
    Dns,
    /// One of the addresses is special.
    #[error(transparent)]
    RefusedAddress(Refused),
    /// In the clear, where that is not allowed.
    #[error("callbacks over http:// are not allowed here: give the endpoint a URL with https://")]
    PlainHttp,
    /// The callback points back at the relay.
    #[error("the callback URL leads back to this relay")]
    OwnAddress,
    /// No address answered the connection.
    #[error("the connection failed: {0}")]
    Connect(&'static str),
    /// This machine had no file, port or memory left for it: nothing was sent, and it is no attempt.
    #[error("this machine has no file, port or memory left for a connection")]
    Shortage,
    /// The handshake failed.
    #[error("TLS failed: {0}")]
    Tls(&'static str),
    /// The total deadline passed.
    #[error("the deadline passed while {0}")]
    Timeout(Stage),
    /// The receiver ended the connection before its answer was there.
    #[error("the receiver closed the connection before it had answered")]
    Reset,
    /// What came back is not HTTP.
    #[error("the answer is not valid HTTP/1.1")]
    Protocol,
    /// More than a thousand headers, or more than fits the buffer.
    #[error("the answer has too many or too large headers")]
    TooManyHeaders,
}

impl SendError {
    /// A label for metrics and for [`Outcome::Failed`].
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::RefusedAddress(_) => "refused_address",
            Self::PlainHttp => "plain_http",
            Self::OwnAddress => "own_address",
            Self::Connect(_) => "connect",
            Self::Shortage => "shortage",
            Self::Tls(_) => "tls",
            Self::Timeout(_) => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::TooManyHeaders => "too_many_headers",
        }
    }
}

/// How far an attempt had come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// Looking the name up.
    #[default]
    Dns,
    /// Connecting.
    Connect,
    /// Shaking hands.
    Tls,
    /// The request is being sent, or the answer's head awaited.
    Answer,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dns => "resolving the host name",
            Self::Connect => "connecting",
            Self::Tls => "negotiating TLS",
            Self::Answer => "waiting for the answer",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_as_text_where_it_is_text() {
        for (bytes, whole, content, base64) in [
            (&b"ok"[..], true, "ok", false),
            (b"", true, "", false),
            ("f\u{fc}r".as_bytes(), true, "f\u{fc}r", false),
            (b"f\xc3", false, "f", false),
            (b"f\xc3", true, "ZsM=", true),
            (b"\xff\xfe", false, "//4=", true),
            (b"a\0b", true, "YQBi", true),
            (b"\x1f\x8b\x08", true, "H4sI", true),
        ] {
            let expected = ResponseBody { content: content.into(), base64, truncated: !whole };
            assert_eq!(ResponseBody::new(bytes, whole), expected, "{bytes:?}");
        }
    }

    #[test]
    fn an_attempt_becomes_the_outcome_the_retry_policy_reads() {
        let answered =
            Attempt { status_code: Some(503), retry_after: Some("7".into()), ..Attempt::default() };
        let wait = RetryAfter::Wait(std::time::Duration::from_secs(7));
        assert_eq!(answered.outcome(), Outcome::Answered { status: 503, retry_after: Some(wait) });
        let failed = Attempt { error: Some(SendError::Timeout(Stage::Tls)), ..Attempt::default() };
        assert_eq!(failed.outcome(), Outcome::Failed { kind: "timeout" });
    }
}
