//! Attempts: the evidence of what was sent and answered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use super::field::{Raw, Time};
use crate::model::id::AttemptId;
use crate::store::attempt::read::Attempt;

/// One request of a delivery and what came of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Attempt)]
pub struct AttemptView {
    id: AttemptId,
    /// When the request began.
    at: Time,
    /// What the endpoint answered, also where HTTP knows no such status; null if it did not.
    #[schema(required, minimum = 100, maximum = 999)]
    status_code: Option<i16>,
    /// Why there was no answer, in a sentence; null if there was one.
    #[schema(required, example = "the deadline passed while waiting for the answer")]
    error: Option<String>,
    /// The address that was called; null if none was reached.
    #[schema(required)]
    remote_ip: Option<String>,
    durations_ms: Durations,
    request: RequestView,
    /// Null if there was no answer.
    #[schema(required)]
    response: Option<ResponseView>,
}

/// How long each part took, in milliseconds; null for a part that was not reached or not needed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Durations {
    /// Looking the name up.
    #[schema(required, minimum = 0)]
    dns: Option<i32>,
    /// Opening the connection.
    #[schema(required, minimum = 0)]
    connect: Option<i32>,
    /// The TLS handshake.
    #[schema(required, minimum = 0)]
    tls: Option<i32>,
    /// From the request's end to the answer's first byte.
    #[schema(required, minimum = 0)]
    first_byte: Option<i32>,
    /// All of it.
    #[schema(minimum = 0)]
    total: i32,
}

/// What was sent. The body is the event's payload.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AttemptRequest)]
pub struct RequestView {
    /// The headers as sent, the signature included.
    #[schema(required, value_type = Option<Object>)]
    headers: Option<Raw>,
}

/// What was answered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AttemptResponse)]
pub struct ResponseView {
    /// Those that fit into 16 KiB.
    #[schema(required, value_type = Option<Object>)]
    headers: Option<Raw>,
    /// Its beginning, up to 16 KiB.
    #[schema(required)]
    body: Option<String>,
    /// Whether `body` is base64, because the bytes are no text in UTF-8.
    body_base64: bool,
    /// Whether there was more, or it broke off; null if that is not known.
    #[schema(required)]
    body_truncated: Option<bool>,
}

impl ResponseView {
    fn of(headers: Option<String>, body: Option<Vec<u8>>, truncated: Option<bool>) -> Self {
        let (text, bytes) = match body.map(String::from_utf8) {
            Some(Ok(text)) if !text.contains('\0') => (Some(text), None),
            Some(Ok(text)) => (None, Some(text.into_bytes())),
            Some(Err(error)) => (None, Some(error.into_bytes())),
            None => (None, None),
        };
        Self {
            headers: headers.and_then(Raw::from_text),
            body_base64: bytes.is_some(),
            body: text.or(bytes.map(|bytes| STANDARD.encode(bytes))),
            body_truncated: truncated,
        }
    }
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        let answered = attempt.status_code.is_some();
        let response = answered.then(|| {
            ResponseView::of(attempt.response_headers, attempt.response_body, attempt.response_truncated)
        });
        Self {
            id: attempt.attempt_id,
            at: Time(attempt.at),
            status_code: attempt.status_code,
            error: attempt.error,
            remote_ip: attempt.remote_ip,
            durations_ms: Durations {
                dns: attempt.dns_ms,
                connect: attempt.connect_ms,
                tls: attempt.tls_ms,
                first_byte: attempt.first_byte_ms,
                total: attempt.total_ms,
            },
            request: RequestView { headers: Raw::from_text(attempt.request_headers) },
            response,
        }
    }
}
