//! Attempts: the evidence of what was sent and answered.

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
    /// What the endpoint answered; null if it did not.
    #[schema(required, minimum = 100, maximum = 599)]
    status_code: Option<i16>,
    /// Why there was no answer, in a word; null if there was one.
    #[schema(required, example = "timeout")]
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
#[schema(as = AttemptResponse)]
pub struct ResponseView {
    #[schema(required, value_type = Option<Object>)]
    headers: Option<Raw>,
    /// Its beginning, up to 16 KiB; what is not UTF-8 is replaced.
    #[schema(required)]
    body: Option<String>,
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        let response = attempt.status_code.map(|_| ResponseView {
            headers: attempt.response_headers.and_then(Raw::from_text),
            body: attempt.response_body.map(|body| String::from_utf8_lossy(&body).into_owned()),
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
