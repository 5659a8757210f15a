//! What the relay itself tells a partner: that an endpoint is disabled or answers again, and that a delivery was given
//! up. These are events without an order, sent to the endpoints that ask for them by name.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::delivery::Job;
use super::id::EventId;
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
}

impl Announcement {
    fn new(name: &'static str, about: Place, mut what: Value) -> Self {
        let at = Utc::now();
        what["endpointId"] = json!(about.1);
        what["at"] = json!(at.to_rfc3339_opts(SecondsFormat::Millis, true));
        Self { event_id: EventId::new(), name, about, at, payload: what.to_string().into() }
    }

    /// An endpoint is disabled: because of its own answers, or by hand.
    pub fn disabled(about: Place, reason: &str) -> Self {
        Self::new(DISABLED, about, json!({ "reason": reason }))
    }

    /// An endpoint that was paused answers again.
    pub fn recovered(about: Place) -> Self {
        Self::new(RECOVERED, about, json!({}))
    }

    /// A delivery was given up. If it was the head of its order's lane, the deliveries behind it are sent now.
    pub fn exhausted(job: &Job, last_status_code: Option<i16>, released_lane: bool) -> Self {
        let what = json!({
            "deliveryId": job.delivery_id, "eventId": job.told.event_id, "event": job.told.event,
            "orderId": job.told.order_id, "attempts": job.attempts, "lastStatusCode": last_status_code,
            "releasedLane": released_lane,
        });
        Self::new(EXHAUSTED, (job.partner_id, job.endpoint_id), what)
    }

    /// A test of an endpoint, on request.
    pub fn test(about: Place) -> Self {
        Self::new(TEST, about, json!({ "message": "This is a test. Nothing happened to any order." }))
    }
}
