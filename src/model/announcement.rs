//! What the relay itself tells a partner: that an endpoint is disabled or answers again, and that a delivery was given
//! up. These are events without an order, sent to the endpoints that ask for them by name.

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

/// Whether an event is the relay's own. Nothing is told about the deliveries of such events, so that telling ends.
pub fn is_own(event: &str) -> bool {
    event.starts_with("relay.")
}

/// Something to tell.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// The id of its event.
    pub event_id: EventId,
    /// Its name.
    pub name: &'static str,
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
    fn new(name: &'static str, about: Place, mut what: Value) -> Self {
        let at = Utc::now();
        what["endpointId"] = json!(about.1);
        what["at"] = json!(at.to_rfc3339_opts(SecondsFormat::Millis, true));
        Self { event_id: EventId::new(), name, about, at, payload: what.to_string().into(), order_id: None }
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
        Self::new(TEST, about, json!({ "message": "This is a test. Nothing happened to any order." }))
    }
}
