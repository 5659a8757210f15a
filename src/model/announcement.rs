//! What the relay itself tells a partner: that an endpoint is disabled or answers again, and that a delivery was given
//! up. These are events without an order, sent to the endpoints that ask for them by name.

use std::borrow::Cow;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::id::{DeliveryId, EndpointId, EventId, PartnerId};
use super::queue::Place;

/// The names.
pub const DISABLED: &str = "relay.endpoint.disabled";
pub const RECOVERED: &str = "relay.endpoint.recovered";
pub const EXHAUSTED: &str = "relay.delivery.exhausted";
pub const TEST: &str = "relay.test";

/// What comes before the name of an event that a test stands for.
const TEST_OF: &str = "relay.test.";

/// What a test says of itself.
const NOTHING_HAPPENED: &str = "This is a test. Nothing happened to any order.";

/// The order that a test speaks of: nobody's.
const NO_ORDER: &str = "00000000-0000-4000-8000-000000000000";

/// Whether an event is the relay's own. Nothing is told about the deliveries of such events, so that telling ends.
pub fn is_own(event: &str) -> bool {
    event.starts_with("relay.")
}

/// Whether an event is a test of an endpoint.
pub fn is_test(event: &str) -> bool {
    event == TEST || event.starts_with(TEST_OF)
}

/// The name under which an event is told. A test that stands for an event of an order is told as that event, and kept
/// under a name of its own: nobody who looks takes it for something that happened.
pub fn told_as(event: &str) -> &str {
    event.strip_prefix(TEST_OF).unwrap_or(event)
}

/// Something to tell.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// The id of its event.
    pub event_id: EventId,
    /// Its name.
    pub name: Cow<'static, str>,
    /// The endpoint it is about. It is told like any other.
    pub about: Place,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What is told, as JSON.
    pub payload: Bytes,
    /// The order that is spoken of: when it is erased, so is this.
    pub order_id: Option<String>,
}

/// A delivery that was given up.
#[derive(Debug, Clone)]
pub struct GivenUp {
    pub partner_id: PartnerId,
    pub endpoint_id: EndpointId,
    pub delivery_id: DeliveryId,
    pub event_id: EventId,
    /// The name of its event.
    pub event: String,
    pub order_id: Option<String>,
    pub attempts: i32,
    pub last_status_code: Option<i16>,
    /// It was the head of its order's lane: the deliveries behind it are sent now.
    pub released_lane: bool,
    /// Why, if not because its own attempts failed.
    pub reason: Option<String>,
}

impl Announcement {
    fn new(name: impl Into<Cow<'static, str>>, about: Place, mut what: Value) -> Self {
        let at = Utc::now();
        what["endpointId"] = json!(about.1);
        what["at"] = json!(at.to_rfc3339_opts(SecondsFormat::Millis, true));
        Self {
            event_id: EventId::new(),
            name: name.into(),
            about,
            at,
            payload: what.to_string().into(),
            order_id: None,
        }
    }

    /// An endpoint is disabled: because of its own answers, or by hand.
    pub fn disabled(about: Place, reason: &str) -> Self {
        Self::new(DISABLED, about, json!({ "reason": reason }))
    }

    /// An endpoint that was paused answers again.
    pub fn recovered(about: Place) -> Self {
        Self::new(RECOVERED, about, json!({}))
    }

    /// A delivery was given up.
    pub fn exhausted(one: &GivenUp) -> Self {
        let what = json!({
            "deliveryId": one.delivery_id, "eventId": one.event_id, "event": one.event, "orderId": one.order_id,
            "attempts": one.attempts, "lastStatusCode": one.last_status_code, "releasedLane": one.released_lane,
            "reason": one.reason,
        });
        let told = Self::new(EXHAUSTED, (one.partner_id, one.endpoint_id), what);
        Self { order_id: one.order_id.clone(), ..told }
    }

    /// A test of an endpoint, on request.
    pub fn test(about: Place) -> Self {
        Self::new(TEST, about, json!({ "message": NOTHING_HAPPENED }))
    }

    /// A test that is told as an event of Transak's, of an order that nobody made.
    pub fn test_of(about: Place, event: &str) -> Self {
        let status = match event.strip_prefix("ORDER_") {
            Some("CREATED") => Some("AWAITING_PAYMENT_FROM_USER"),
            Some("PAYMENT_VERIFYING") => Some("PAYMENT_DONE_MARKED_BY_USER"),
            status => status,
        };
        let mut order = json!({ "id": NO_ORDER, "message": NOTHING_HAPPENED });
        if let Some(status) = status {
            order["status"] = json!(status);
        }
        Self::new(format!("{TEST_OF}{event}"), about, order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::endpoint::{EVENTS, STATUSES};
    use crate::model::id::{EndpointId, PartnerId};

    #[test]
    fn a_test_of_any_event_is_told_as_that_event_with_a_known_status_and_is_kept_as_a_test() {
        for event in EVENTS.into_iter().filter(|event| !is_own(event)) {
            let test = Announcement::test_of((PartnerId::new(), EndpointId::new()), event);
            assert!(is_test(&test.name) && is_own(&test.name) && told_as(&test.name) == event, "{event}");
            let order: Value = serde_json::from_slice(&test.payload).unwrap();
            let status = order["status"].as_str();
            assert_eq!(status.is_some(), event.starts_with("ORDER_"), "{event}");
            assert!(status.is_none_or(|status| STATUSES.contains(&status)), "{event}");
            assert_eq!(order["message"], NOTHING_HAPPENED);
        }
    }

    #[test]
    fn nothing_else_is_told_under_another_name_or_taken_for_a_test() {
        for event in EVENTS.into_iter().filter(|event| *event != TEST) {
            assert!(told_as(event) == event && !is_test(event), "{event}");
        }
        assert!(is_test(TEST) && told_as(TEST) == TEST && !is_test("relay.tests"));
    }
}
