//! What a call of Transak's REST API can come to instead of an answer. No text in here quotes what was sent or received.

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::Deserialize;

use crate::model::retry::RetryAfter;

/// Why there is no answer that could be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// Transak knows no such order. It says so with a 400.
    #[error("Transak knows no such order")]
    NotFound,
    /// The access token is not, or no longer, the one Transak accepts: another one has to be fetched first.
    #[error("Transak does not accept the access token any more")]
    InactiveToken,
    /// The API secret is not the one Transak knows: somebody has to look.
    #[error("Transak does not accept the API secret")]
    InvalidSecret,
    /// Too many calls.
    #[error("Transak asks for fewer calls")]
    RateLimited {
        /// What its `Retry-After` says.
        retry_after: Option<RetryAfter>,
    },
    /// Nobody answered in time, or the server says that it cannot right now.
    #[error("Transak's REST API does not answer right now")]
    Unavailable {
        /// What its `Retry-After` says.
        retry_after: Option<RetryAfter>,
    },
    /// The request is not accepted: an address that is not allow-listed, a parameter.
    #[error("Transak refused the request with status {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// There is an answer, but not one that can be believed.
    #[error("Transak's answer cannot be used: {0}")]
    Unreadable(#[from] Unreadable),
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("it is not JSON")]
    NotJson,
    #[error("it is JSON of another shape")]
    OtherShape,
    #[error("it is larger than 8 MiB")]
    TooLarge,
    #[error("it breaks off")]
    Truncated,
    #[error("it is about another order")]
    AnotherOrder,
    #[error("it sends us elsewhere")]
    Redirect,
    #[error("its list of orders moves while it is read, goes round in circles, or never ends")]
    ListMoves,
    #[error("its list of orders ends before the number of orders that it tells")]
    ListTooShort,
    #[error("an order in its list has no id that can be read")]
    NamelessOrder,
}

impl RestError {
    /// One word of a closed set, for metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::InactiveToken => "inactive_token",
            Self::InvalidSecret => "invalid_secret",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable { .. } => "unavailable",
            Self::Refused { .. } => "refused",
            Self::Unreadable(Unreadable::NotJson) => "not_json",
            Self::Unreadable(Unreadable::OtherShape) => "other_shape",
            Self::Unreadable(Unreadable::TooLarge) => "too_large",
            Self::Unreadable(Unreadable::Truncated) => "truncated",
            Self::Unreadable(Unreadable::AnotherOrder) => "another_order",
            Self::Unreadable(Unreadable::Redirect) => "redirect",
            Self::Unreadable(Unreadable::ListMoves) => "list_moves",
            Self::Unreadable(Unreadable::ListTooShort) => "list_too_short",
            Self::Unreadable(Unreadable::NamelessOrder) => "nameless_order",
        }
    }

    /// It says nothing about the one order that was asked for: the next call would end the same way.
    pub const fn concerns_every_call(&self) -> bool {
        match self {
            Self::InactiveToken
            | Self::InvalidSecret
            | Self::RateLimited { .. }
            | Self::Unavailable { .. } => true,
            Self::Refused { status } => !matches!(status, 400 | 404 | 422),
            Self::NotFound | Self::Unreadable(_) => false,
        }
    }

    /// How long Transak asks to be left alone, 24 hours at most; zero if it does not.
    pub fn asked_pause(&self, now: DateTime<Utc>) -> std::time::Duration {
        match self {
            Self::RateLimited { retry_after: Some(asked) }
            | Self::Unavailable { retry_after: Some(asked) } => asked.wait(now),
            _ => std::time::Duration::ZERO,
        }
    }
}

/// Transak's error envelope, as far as it matters.
#[derive(Deserialize)]
struct Envelope {
    error: Message,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

/// Reads a status other than 2xx and the beginning of its body.
///
/// Transak answers with a 400 also for an order it does not know ("Order not found") and for a token that was replaced
/// ("Your Access Token is Inactive…"): docs.transak.com/api/public.
pub(super) fn judge(status: StatusCode, retry_after: Option<RetryAfter>, body: &[u8]) -> RestError {
    let message = serde_json::from_slice::<Envelope>(body).map(|envelope| envelope.error.message);
    let says = |words: &str| message.as_ref().is_ok_and(|message| message.contains(words));
    match status.as_u16() {
        429 => RestError::RateLimited { retry_after },
        408 | 500.. => RestError::Unavailable { retry_after },
        401 => RestError::InactiveToken,
        400 | 404 if says("Order not found") => RestError::NotFound,
        400 if says("Access Token") => RestError::InactiveToken,
        400 if says("api-secret") => RestError::InvalidSecret,
        300..=399 => Unreadable::Redirect.into(),
        status => RestError::Refused { status },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, message: &str) -> RestError {
        let body = format!(r#"{{"error":{{"statusCode":{status},"name":"x","message":"{message}"}}}}"#);
        judge(StatusCode::from_u16(status).unwrap(), None, body.as_bytes())
    }

    #[test]
    fn the_forms_of_a_400_are_told_apart() {
        assert_eq!(judged(400, "Order not found"), RestError::NotFound);
        let inactive = "Your Access Token is Inactive. Please use latest one or generate a new one";
        assert_eq!(judged(400, inactive), RestError::InactiveToken);
        assert_eq!(judged(401, "Authorization Required"), RestError::InactiveToken);
        assert_eq!(judged(400, "Invalid api-secret. Please generate"), RestError::InvalidSecret);
        assert_eq!(judged(400, "startDate is a required argument"), RestError::Refused { status: 400 });
    }

    #[test]
    fn every_status_has_a_meaning_whatever_the_body() {
        for body in [&b""[..], b"<html>", b"{", b"\xff\xfe", b"[]", br#"{"error":"x"}"#] {
            let kind = |status: u16| judge(StatusCode::from_u16(status).unwrap(), None, body).kind();
            let kinds = [302, 400, 403, 404, 418, 429, 500, 503, 599].map(kind);
            let expected = [
                "redirect",
                "refused",
                "refused",
                "refused",
                "refused",
                "rate_limited",
                "unavailable",
                "unavailable",
                "unavailable",
            ];
            assert_eq!(kinds, expected);
        }
    }
}
