//! Reading an answer: a bounded body, the envelope around it, and the raw slices inside. Pure but for the reading.

use bytes::BytesMut;
use chrono::{DateTime, Utc};
use reqwest::{Response, header};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{RestError, Unreadable, judge};
use crate::model::partner::access_token_expiry;
use crate::model::retry::RetryAfter;

/// The largest answer that is read: a page of 100 orders with long histories is about one tenth of it.
pub const LARGEST: usize = 8 << 20;

/// The most of an error's body that is read.
const LARGEST_ERROR: usize = 64 << 10;

/// The deepest nesting that is believed: an order has four levels.
const DEEPEST: usize = 64;

/// A page of Get Orders.
#[derive(Debug)]
pub struct OrdersPage {
    /// The orders as they came.
    pub orders: Vec<Box<RawValue>>,
    /// How many there are on all pages, if the answer says.
    pub total: Option<usize>,
}

/// What a refresh brought.
#[derive(Debug)]
pub struct Refreshed {
    /// The new access token.
    pub token: SecretString,
    /// When it ends by its own claim.
    pub ends_by_itself: Option<DateTime<Utc>>,
    /// When the answer says that it ends.
    pub told_end: Option<DateTime<Utc>>,
}

/// Reads a response to its end.
pub(super) async fn body(mut response: Response) -> Result<BytesMut, RestError> {
    let status = response.status();
    let retry_after = response.headers().get(header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()).and_then(RetryAfter::parse);
    if !status.is_success() {
        let start = read(&mut response, LARGEST_ERROR).await.unwrap_or_default();
        return Err(judge(status, retry_after, &start));
    }
    read(&mut response, LARGEST).await
}

async fn read(response: &mut Response, limit: usize) -> Result<BytesMut, RestError> {
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => return Err(Unreadable::TooLarge.into()),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => return Err(RestError::Unavailable { retry_after: None }),
            Err(_) => return Err(Unreadable::Truncated.into()),
        }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

fn envelope(body: &[u8]) -> Result<Envelope<'_>, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::NotJson)?;
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Eof if !text.trim().is_empty() => Unreadable::Truncated,
        _ => Unreadable::NotJson,
    })?;
    if is_deeper_than(whole.get(), DEEPEST) {
        return Err(Unreadable::OtherShape);
    }
    let envelope: Envelope<'_> = serde_json::from_str(whole.get()).map_err(|_| Unreadable::OtherShape)?;
    // A failure in the clothes of a success: what stands beside it is not the answer.
    let fails = |error: &RawValue| {
        serde_json::from_str(error.get()).is_ok_and(|error: serde_json::Map<_, _>| !error.is_empty())
    };
    if envelope.error.is_some_and(fails) { Err(Unreadable::OtherShape) } else { Ok(envelope) }
}

/// What is nested without end would be taken apart level by level later on.
fn is_deeper_than(json: &str, limit: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth -= 1,
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

/// `{"data":{…the order…}}`
pub(super) fn order(body: &[u8], order_id: &str) -> Result<Box<RawValue>, Unreadable> {
    let order = envelope(body)?.data;
    let snapshot = crate::transak::order::read(order).map_err(|_| Unreadable::OtherShape)?;
    if snapshot.order_id.as_str() != order_id {
        return Err(Unreadable::AnotherOrder);
    }
    Ok(order.to_owned())
}

/// `{"meta":{"totalCount":…},"data":[…]}`
pub(super) fn orders(body: &[u8]) -> Result<OrdersPage, Unreadable> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        total_count: usize,
    }
    let Envelope { meta, data, .. } = envelope(body)?;
    let meta = meta.and_then(|meta| serde_json::from_str::<Meta>(meta.get()).ok());
    Ok(OrdersPage { orders: list(data)?, total: meta.map(|meta| meta.total_count) })
}

/// `{"data":[…]}`
pub(super) fn rows(body: &[u8]) -> Result<Vec<Box<RawValue>>, Unreadable> {
    list(envelope(body)?.data)
}

fn list(data: &RawValue) -> Result<Vec<Box<RawValue>>, Unreadable> {
    serde_json::from_str(data.get()).map_err(|_| Unreadable::OtherShape)
}

/// `{"data":{"accessToken":"…","expiresAt":<Unix seconds>}}`
pub(super) fn refreshed(body: &[u8]) -> Result<Refreshed, Unreadable> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Data<'a> {
        access_token: String,
        #[serde(borrow)]
        expires_at: Option<&'a RawValue>,
    }
    let data: Data<'_> =
        serde_json::from_str(envelope(body)?.data.get()).map_err(|_| Unreadable::OtherShape)?;
    let sendable = data.access_token.bytes().all(|byte| byte.is_ascii_graphic());
    if data.access_token.is_empty() || data.access_token.len() > 8192 || !sendable {
        return Err(Unreadable::OtherShape);
    }
    let claimed = access_token_expiry(&data.access_token);
    let told = data.expires_at.and_then(|value| unix_time(value.get()));
    Ok(Refreshed { token: SecretString::from(data.access_token), ends_by_itself: claimed, told_end: told })
}

/// Unix seconds as a number or, in older answers, as text. Milliseconds are recognised by their size.
fn unix_time(json: &str) -> Option<DateTime<Utc>> {
    let number: i64 = json.trim_matches('"').parse().ok()?;
    let seconds = if number > 100_000_000_000 { number / 1000 } else { number };
    DateTime::from_timestamp(seconds, 0).filter(|at| at.timestamp() > 0)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const ORDER: &str = r#"{"_id":"o1","status":"COMPLETED", "n":0.10}"#;

    #[test]
    fn an_order_keeps_its_bytes() {
        let body = format!(r#"{{"meta":{{"orderId":"o1"}},"data":{ORDER}}}"#);
        assert_eq!(order(body.as_bytes(), "o1").unwrap().get(), ORDER);
        assert_eq!(order(body.as_bytes(), "o2").unwrap_err(), Unreadable::AnotherOrder);
    }

    #[test]
    fn what_is_no_answer_is_said_so() {
        for (body, wrong) in [
            ("<!doctype html><title>502</title>", Unreadable::NotJson),
            ("", Unreadable::NotJson),
            (r#"{"data":{"id":"o1","sta"#, Unreadable::Truncated),
            (r#"{"data":{"id":"o1"}}"#, Unreadable::OtherShape),
            (r#"{"response":{}}"#, Unreadable::OtherShape),
            (r#"{"data":[]}"#, Unreadable::OtherShape),
            ("[]", Unreadable::OtherShape),
            ("null", Unreadable::OtherShape),
        ] {
            assert_eq!(order(body.as_bytes(), "o1").unwrap_err(), wrong, "{body}");
        }
        assert_eq!(rows(br#"{"data":{}}"#).unwrap_err(), Unreadable::OtherShape);
        assert_eq!(orders(b"{\"data\":\"\xff\"}").unwrap_err(), Unreadable::NotJson);
        let failed = br#"{"error":{"statusCode":500,"message":"later"},"data":[]}"#;
        assert_eq!(orders(failed).unwrap_err(), Unreadable::OtherShape);
        assert!(orders(br#"{"error":null,"data":[]}"#).is_ok());
    }

    #[test]
    fn endless_nesting_is_another_shape() {
        let deep = format!(r#"{{"data":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(rows(deep.as_bytes()).unwrap_err(), Unreadable::OtherShape);
        assert!(rows(br#"{"data":[{"a":"[[[\"[["}]}"#).is_ok());
    }

    #[test]
    fn a_page_tells_how_many_there_are_if_it_says() {
        let page =
            orders(format!(r#"{{"meta":{{"totalCount":12}},"data":[{ORDER},5]}}"#).as_bytes()).unwrap();
        assert_eq!((page.orders.len(), page.total), (2, Some(12)));
        for meta in [r#""meta":null,"#, r#""meta":{"totalCount":"12"},"#, ""] {
            assert_eq!(orders(format!(r#"{{{meta}"data":[]}}"#).as_bytes()).unwrap().total, None);
        }
    }

    #[test]
    fn the_end_of_a_token_is_read_in_every_unit_seen() {
        for told in ["1729775825", "\"1729775825\"", "1729775825000"] {
            let body = format!(r#"{{"data":{{"accessToken":"a.b.c","expiresAt":{told}}}}}"#);
            let refreshed = refreshed(body.as_bytes()).unwrap();
            assert_eq!(refreshed.token.expose_secret(), "a.b.c");
            assert_eq!(refreshed.told_end.unwrap().timestamp(), 1_729_775_825);
        }
    }

    #[test]
    fn a_token_that_could_not_be_sent_is_refused() {
        for token in ["", "a b", "a\\nb", "\u{e9}"] {
            let body = format!(r#"{{"data":{{"accessToken":"{token}"}}}}"#);
            assert_eq!(refreshed(body.as_bytes()).unwrap_err(), Unreadable::OtherShape, "{token}");
        }
    }
}
