//! A row of Get Webhooks: one event.

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::http::field::{Raw, Time};
use crate::model::id::EventId;
use crate::store::event::webhooks::{LastAttempt, WebhookEvent};

/// An event as Transak lists it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Webhook)]
pub struct Row {
    /// 24 hexadecimal digits, the same at every call.
    #[schema(pattern = "^[0-9a-f]{24}$")]
    id: String,
    partner_api_key: String,
    /// When it occurred.
    created_at: Time,
    #[serde(rename = "eventID")]
    #[schema(example = "ORDER_COMPLETED")]
    event_id: String,
    /// The order as Transak sent it, byte for byte; empty once retention has dropped it.
    #[schema(value_type = Object)]
    webhook_data: Raw,
    webhook_response: Answer,
}

/// What the newest callback was last answered; empty if none was sent.
#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookResponse)]
pub struct Answer {
    /// The JSON object that was answered. Of anything else only `success` is said, for Transak has no other place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    body: Option<Raw>,
    /// 0 if there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<i16>,
    /// The name of the status, or why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<String>,
    /// Where the callback was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl Row {
    pub(super) fn new(event: WebhookEvent, payload: Option<Vec<u8>>, attempt: Option<LastAttempt>) -> Self {
        Self {
            id: id(event.event_id),
            partner_api_key: event.api_key,
            created_at: Time(event.occurred_at),
            event_id: event.event,
            webhook_data: payload.and_then(Raw::from_bytes).unwrap_or_else(Raw::empty),
            webhook_response: attempt.map(Answer::from).unwrap_or_default(),
        }
    }
}

/// The time of the event's id and as many of its random digits: as Transak's own ids, it sorts by time.
fn id(event: EventId) -> String {
    let digits = event.uuid().simple().to_string();
    format!("{}{}", &digits[..12], &digits[20..])
}

impl From<LastAttempt> for Answer {
    fn from(attempt: LastAttempt) -> Self {
        let status = attempt.status_code.and_then(|code| u16::try_from(code).ok());
        let status = status.and_then(|code| StatusCode::from_u16(code).ok());
        let name = status.and_then(|status| status.canonical_reason()).unwrap_or_default();
        let success = status.is_some_and(|status| status.is_success());
        let body = attempt.body.as_deref().and_then(object);
        Self {
            body: body.or_else(|| Raw::from_text(format!("{{\"success\":{success}}}"))),
            status_code: Some(attempt.status_code.unwrap_or_default()),
            status_message: Some(attempt.error.unwrap_or_else(|| name.to_owned())),
            url: Some(attempt.url),
        }
    }
}

fn object(body: &[u8]) -> Option<Raw> {
    let raw: &RawValue = serde_json::from_slice(body).ok()?;
    raw.get().starts_with('{').then(|| Raw::from_text(raw.get().to_owned())).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status_code: Option<i16>, body: &str) -> serde_json::Value {
        let attempt = LastAttempt {
            event_id: EventId::new(),
            url: "https://example.com/".to_owned(),
            status_code,
            error: status_code.is_none().then(|| "timeout".to_owned()),
            body: Some(body.as_bytes().to_vec()),
        };
        serde_json::to_value(Answer::from(attempt)).unwrap()
    }

    #[test]
    fn an_object_that_was_answered_is_shown_as_it_is() {
        let shown = answer(Some(200), r#" {"success": true, "n": 1.10} "#);
        assert_eq!(shown["body"], serde_json::json!({"success": true, "n": 1.10}));
        assert_eq!((&shown["statusCode"], &shown["statusMessage"]), (&200.into(), &"OK".into()));
    }

    #[test]
    fn of_anything_else_it_is_said_whether_it_was_a_success() {
        assert_eq!(answer(Some(204), "")["body"], serde_json::json!({"success": true}));
        assert_eq!(answer(Some(500), "<html>")["body"], serde_json::json!({"success": false}));
        let none = answer(None, "");
        assert_eq!((&none["statusCode"], &none["statusMessage"]), (&0.into(), &"timeout".into()));
    }

    #[test]
    fn an_id_is_24_digits_and_sorts_by_time() {
        let ids = [EventId::new(), EventId::new()].map(id);
        assert!(ids.iter().all(|id| id.len() == 24 && id.bytes().all(|b| b.is_ascii_hexdigit())));
        assert_eq!(ids[0][..10], ids[1][..10]);
    }
}
