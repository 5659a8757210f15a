//! From what the sender saw to what is kept of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::sender::{Attempt, ResponseBody};
use crate::model::attempt::{AttemptRecord, Durations};
use crate::model::id::AttemptId;

/// The record of a request that was made.
pub(super) fn record(attempt: Attempt, at: DateTime<Utc>) -> AttemptRecord {
    let answered = attempt.status_code.is_some();
    AttemptRecord {
        attempt_id: AttemptId::new(),
        at,
        status_code: attempt.status_code,
        error: attempt.error.map(|error| error.to_string()),
        remote_ip: attempt.remote_ip,
        durations: attempt.durations,
        request_headers: object(&attempt.request_headers),
        response_headers: answered.then(|| object(&attempt.response_headers)),
        response_truncated: attempt.response_body.as_ref().map(|body| body.truncated),
        response_body: attempt.response_body.and_then(bytes),
    }
}

/// The record of a request that could not even be composed.
pub(super) fn not_sent(error: &dyn std::error::Error, at: DateTime<Utc>) -> AttemptRecord {
    AttemptRecord {
        attempt_id: AttemptId::new(),
        at,
        status_code: None,
        error: Some(error.to_string()),
        remote_ip: None,
        durations: Durations::default(),
        request_headers: "{}".to_owned(),
        response_headers: None,
        response_body: None,
        response_truncated: None,
    }
}

fn bytes(body: ResponseBody) -> Option<Bytes> {
    if body.base64 {
        STANDARD.decode(body.content).ok().map(Bytes::from)
    } else {
        Some(Bytes::from(body.content))
    }
}

/// A JSON object of headers; the values of a header that came more than once are joined, as RFC 9110 §5.2 has it.
fn object(headers: &[(String, String)]) -> String {
    let mut object = serde_json::Map::new();
    for (name, value) in headers {
        let joined = match object.get(name).and_then(serde_json::Value::as_str) {
            Some(earlier) => format!("{earlier}, {value}"),
            None => value.clone(),
        };
        object.insert(name.clone(), joined.replace('\0', "\u{fffd}").into());
    }
    serde_json::Value::Object(object).to_string()
}
