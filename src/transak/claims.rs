//! What the claims of a verified message hold, whichever way they are wrapped.
//!
//! The order is at the root (the stream), under `webhookData` (the webhook: docs.transak.com/features/webhooks), or
//! under `data` (seen in integrations). Whatever is found is kept byte for byte.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a message is about.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// The order object, or the event's own data, as it came.
    pub body: &'a RawValue,
    /// The event name, if the claims carry one.
    pub event: Option<String>,
    /// When Transak triggered the message, if the claims say.
    pub triggered_at: Option<DateTime<Utc>>,
}

/// Why verified claims could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("it is not a JSON object")]
    NotAnObject,
    #[error("it holds no order: there is neither webhookData, nor data, nor an id")]
    NoOrder,
    #[error("the order has no id that can be kept (1 to 200 bytes, no NUL)")]
    NoOrderId,
    #[error("the order has no status that can be kept (1 to 100 bytes, no NUL)")]
    NoStatus,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "webhookData")]
    webhook_data: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "_id")]
    underscore_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "eventID")]
    event_id: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow, rename = "createdAt")]
    created_at: Option<&'a RawValue>,
}

/// Finds the order in `claims`.
pub fn read(claims: &RawValue) -> Result<Message<'_>, Unreadable> {
    let envelope: Envelope<'_> = serde_json::from_str(claims.get()).map_err(|_| Unreadable::NotAnObject)?;
    let event = text(envelope.event_id).or_else(|| text(envelope.event)).filter(|name| is_event_name(name));
    let wrapped = envelope.webhook_data.or(envelope.data).filter(|body| body.get().starts_with('{'));
    if let Some(body) = wrapped {
        return Ok(Message { body, event, triggered_at: time(envelope.created_at) });
    }
    if is_kyc(event.as_deref()) {
        return Ok(Message { body: claims, event, triggered_at: None });
    }
    if envelope.id.or(envelope.underscore_id).is_none() {
        return Err(Unreadable::NoOrder);
    }
    Ok(Message { body: claims, event, triggered_at: None })
}

/// An event of the KYC family, which belongs to no order.
pub fn is_kyc(event: Option<&str>) -> bool {
    event.is_some_and(|name| name.starts_with("KYC_"))
}

/// A name as Transak's event tables write them. Pusher's own events, and order ids in their place, are none.
pub fn is_event_name(name: &str) -> bool {
    let written_well = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    written_well && name.len() <= 100 && (name.starts_with("ORDER_") || name.starts_with("KYC_"))
}

/// The text of a JSON string; `None` for any other value, and for text a table cannot hold.
pub(super) fn text(value: Option<&RawValue>) -> Option<String> {
    let text: String = serde_json::from_str(value?.get()).ok()?;
    (!text.contains('\0')).then_some(text)
}

/// A time as Transak writes them: RFC 3339 with or without milliseconds, in any offset.
pub(super) fn time(value: Option<&RawValue>) -> Option<DateTime<Utc>> {
    parse_time(&text(value)?)
}

/// Reads an RFC 3339 time; years outside 2000 to 2200 are no times of orders.
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    use chrono::Datelike as _;
    let at = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    (2000..=2200).contains(&at.year()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn the_order_is_found_in_each_wrapping() {
        let order = r#"{"id":"o","status":"COMPLETED", "x":[1]}"#;
        for (claims, event) in [
            (order.to_owned(), None),
            (
                format!(
                    r#"{{"webhookData":{order},"eventID":"ORDER_CREATED","createdAt":"2023-08-02T07:02:53.249Z"}}"#
                ),
                Some("ORDER_CREATED"),
            ),
            (format!(r#"{{"data":{order}}}"#), None),
            (format!(r#"{{"event":"ORDER_COMPLETED","data":{order}}}"#), Some("ORDER_COMPLETED")),
        ] {
            let claims = raw(&claims);
            let message = read(&claims).unwrap();
            assert_eq!(message.body.get(), order);
            assert_eq!(message.event.as_deref(), event);
        }
    }

    #[test]
    fn an_order_that_happens_to_have_a_data_field_is_not_unwrapped_into_a_scalar() {
        let claims = raw(r#"{"id":"o","status":"COMPLETED","data":"x"}"#);
        assert_eq!(read(&claims).unwrap().body.get(), claims.get());
    }

    #[test]
    fn a_kyc_event_belongs_to_no_order() {
        let claims = raw(r#"{"kycStatus":"SUBMITTED","eventID":"KYC_SUBMITTED","partnerUserId":"u"}"#);
        let message = read(&claims).unwrap();
        assert!(is_kyc(message.event.as_deref()));
        assert_eq!(message.body.get(), claims.get());
    }

    #[test]
    fn what_holds_no_order_is_said_so() {
        assert_eq!(read(&raw("[]")).err(), Some(Unreadable::NotAnObject));
        assert_eq!(read(&raw("{}")).err(), Some(Unreadable::NoOrder));
    }

    #[test]
    fn times_are_read_in_every_offset_and_nonsense_is_none() {
        assert_eq!(parse_time("2024-04-23T08:26:14-07:00"), parse_time("2024-04-23T15:26:14.000Z"));
        assert_eq!(parse_time("9999-12-31T00:00:00Z"), None);
        assert_eq!(parse_time("yesterday"), None);
    }
}
