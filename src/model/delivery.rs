//! Deliveries: one event owed to one endpoint, and the lease under which somebody sends it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::hops::Hops;
use super::id::{DeliveryId, EndpointId, EventId, PartnerId};
use super::rate::Rate;
use super::trace::TraceContext;

/// The longest `timeoutMs` of an endpoint, in milliseconds.
pub const MAX_TIMEOUT_MS: i32 = 30_000;

/// The longest that one attempt may take, from name look-up to the last byte of the answer.
pub const MAX_TOTAL_DEADLINE: Duration = Duration::from_millis(MAX_TIMEOUT_MS.unsigned_abs() as u64);

/// How long a claimed delivery belongs to its worker. A worker that has not finished by then has died.
pub const LEASE: Duration = Duration::from_mins(1);

/// A claimed delivery that waited longer than this for a free slot is not sent: its lease could end before its answer.
pub const LONGEST_WAIT: Duration = Duration::from_secs(20);

// A lease that ends before its attempt would send twice.
const _: () = assert!(LEASE.as_secs() > MAX_TOTAL_DEADLINE.as_secs() + LONGEST_WAIT.as_secs());

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "delivery_state", rename_all = "lowercase")]
pub enum DeliveryState {
    /// Owed: waiting for its time, or being sent.
    Pending,
    /// Answered with 2xx.
    Succeeded,
    /// Every attempt of the schedule failed.
    Exhausted,
    /// Kept while its endpoint is disabled.
    Held,
    /// Given up by hand or with its endpoint.
    Cancelled,
}

/// What an endpoint is told of an event.
#[derive(Debug, Clone)]
pub struct Told {
    /// Stays the same at every attempt.
    pub event_id: EventId,
    /// The order, if the event belongs to one.
    pub order_id: Option<String>,
    /// The event name.
    pub event: String,
    /// By Transak's clock where that is known.
    pub occurred_at: DateTime<Utc>,
    /// When the relay heard it.
    pub received_at: DateTime<Utc>,
    /// How many relays it had come through when it was first heard.
    pub hops: Hops,
    /// The order as it came.
    pub payload: Bytes,
    /// Where its trace stands, if it has one.
    pub trace: Option<TraceContext>,
    /// The body of format `standard`, made when it is first needed and shared by all endpoints.
    pub standard: OnceLock<Bytes>,
}

/// Under which conditions an endpoint is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The endpoint's revision that says so, or a newer one that what is sent must follow.
    pub revision: i32,
    /// The most requests at once.
    pub max_in_flight: u16,
    /// How fast; `None`: as fast as it answers.
    pub rate: Option<Rate>,
    /// One request at a time for each order, in the order of hearing.
    pub ordered: bool,
    /// How often its breaker opened since the last success.
    pub trips: u16,
}

/// A delivery that this process has leased.
#[derive(Debug, Clone)]
pub struct Job {
    /// Whose it is.
    pub partner_id: PartnerId,
    /// Which delivery.
    pub delivery_id: DeliveryId,
    /// Whom to tell.
    pub endpoint_id: EndpointId,
    /// The endpoint's terms as they were when the lease was taken.
    pub terms: Terms,
    /// It has a place in the lane of its order.
    pub in_lane: bool,
    /// Attempts made, this one included.
    pub attempts: i32,
    /// How often it was claimed, this claim included: the fence of the write-back. Never counted down.
    pub claims: i32,
    /// Attempts made before the schedule was last started anew.
    pub schedule_start: i32,
    /// When the lease was taken, by this process's monotonic clock.
    pub leased_at: std::time::Instant,
    /// What to tell.
    pub told: Arc<Told>,
}

impl Job {
    /// Whose endpoint, and which.
    pub const fn place(&self) -> (PartnerId, EndpointId) {
        (self.partner_id, self.endpoint_id)
    }

    /// Attempts since the schedule started, this one included.
    pub fn tries(&self) -> u32 {
        u32::try_from(self.attempts - self.schedule_start).unwrap_or(1)
    }

    /// It should wait in the lane of its order and does not: its endpoint became ordered when it was being written.
    pub fn is_out_of_lane(&self) -> bool {
        self.terms.ordered && self.told.order_id.is_some() && !self.in_lane
    }
}

/// Which events an endpoint asked for.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Whose endpoint.
    pub partner_id: PartnerId,
    /// Which endpoint.
    pub endpoint_id: EndpointId,
    /// As they are now.
    pub terms: Terms,
    /// Deliveries are owed now; otherwise they are held.
    pub enabled: bool,
    /// Event names; all order and KYC events if absent.
    pub events: Option<Vec<String>>,
    /// Order statuses; all if absent.
    pub statuses: Option<Vec<String>>,
    /// Another one after each change of the endpoint.
    pub version: i64,
}

impl Subscription {
    /// Whether its deliveries may be born leased: nothing but its own speed says when they are sent.
    pub fn is_direct(&self) -> bool {
        self.enabled && !self.terms.ordered && self.terms.rate.is_none() && self.terms.trips == 0
    }

    /// Whether the endpoint asked for this event. The relay's own events go only to endpoints that name them.
    pub fn wants(&self, event: &str, status: Option<&str>) -> bool {
        asks_for((self.events.as_deref(), self.statuses.as_deref()), (event, status))
    }
}

/// Whether somebody who asked for these events and statuses, or for all, asked for this event.
pub fn asks_for(
    (events, statuses): (Option<&[String]>, Option<&[String]>),
    (event, status): (&str, Option<&str>),
) -> bool {
    let named = match events {
        Some(names) => names.iter().any(|name| name == event),
        None => !event.starts_with("relay."),
    };
    let in_status = match (statuses, status) {
        (Some(statuses), Some(status)) => statuses.iter().any(|wanted| wanted == status),
        (Some(_), None) => !event.starts_with("ORDER_"),
        (None, _) => true,
    };
    named && in_status
}

/// A delivery as it is first written.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// Whose it is.
    pub partner_id: PartnerId,
    /// Its id.
    pub delivery_id: DeliveryId,
    /// The event owed.
    pub event_id: EventId,
    /// The endpoint it is owed to.
    pub endpoint_id: EndpointId,
    /// The order, if the event belongs to one.
    pub order_id: Option<String>,
    /// `Pending`, or `Held` if the endpoint is disabled.
    pub state: DeliveryState,
    /// Born leased to this process.
    pub leased: bool,
    /// It waits in the lane of its order.
    pub in_lane: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(events: Option<&[&str]>, statuses: Option<&[&str]>) -> Subscription {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Subscription {
            partner_id: PartnerId::new(),
            endpoint_id: EndpointId::new(),
            terms: Terms { revision: 1, max_in_flight: 16, rate: None, ordered: false, trips: 0 },
            enabled: true,
            events: events.map(owned),
            statuses: statuses.map(owned),
            version: 1,
        }
    }

    #[test]
    fn an_endpoint_without_filters_gets_every_order_and_kyc_event_and_none_of_the_relays_own() {
        let all = subscription(None, None);
        assert!(all.wants("ORDER_CREATED", Some("AWAITING_PAYMENT_FROM_USER")));
        assert!(all.wants("KYC_APPROVED", None));
        assert!(!all.wants("relay.endpoint.disabled", None));
    }

    #[test]
    fn filters_narrow_by_name_and_by_status() {
        let some =
            subscription(Some(&["ORDER_PROCESSING", "relay.delivery.exhausted"]), Some(&["PROCESSING"]));
        assert!(some.wants("ORDER_PROCESSING", Some("PROCESSING")));
        assert!(!some.wants("ORDER_PROCESSING", Some("PENDING_DELIVERY_FROM_TRANSAK")));
        assert!(!some.wants("ORDER_CREATED", Some("PROCESSING")));
        assert!(some.wants("relay.delivery.exhausted", None));
    }
}
