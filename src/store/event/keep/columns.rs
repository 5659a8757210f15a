//! A batch as columns, as Postgres takes them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::amount::Amount;
use crate::model::delivery::{DeliveryState, NewDelivery};
use crate::model::event::{NewEvent, Source};
use crate::model::id::EventId;
use crate::model::order::Product;
use crate::store::order::write::Write;

/// Events that arrive for the first time.
pub(super) struct Arriving<'a> {
    pub(super) partner_id: Vec<Uuid>,
    pub(super) event_id: Vec<Uuid>,
    pub(super) order_id: Vec<Option<&'a str>>,
    pub(super) event: Vec<&'a str>,
    pub(super) status: Vec<Option<&'a str>>,
    pub(super) identity: Vec<&'a [u8]>,
    pub(super) occurred_at: Vec<DateTime<Utc>>,
    pub(super) received_at: Vec<DateTime<Utc>>,
    pub(super) verified: Vec<bool>,
    pub(super) hops: Vec<i16>,
    pub(super) traceparent: Vec<Option<String>>,
    pub(super) anomaly: Vec<Option<&'a str>>,
    pub(super) from_history: Vec<bool>,
    pub(super) is_visit: Vec<bool>,
}

impl<'a> Arriving<'a> {
    pub(super) fn of(events: &'a [(&'a NewEvent, Option<&'a str>)]) -> Self {
        Self {
            partner_id: column(events, |(event, _)| event.partner_id.uuid()),
            event_id: column(events, |(event, _)| event.event_id.uuid()),
            order_id: column(events, |(event, _)| event.order.as_ref().map(|order| order.order_id.as_str())),
            event: column(events, |(event, _)| event.event.as_str()),
            status: column(events, |(event, _)| event.order.as_ref().map(|order| order.status.as_str())),
            identity: column(events, |(event, _)| event.identity.0.as_slice()),
            occurred_at: column(events, |(event, _)| event.occurred_at),
            received_at: column(events, |(event, _)| event.received_at),
            verified: column(events, |(event, _)| event.verified),
            hops: column(events, |(event, _)| event.hops.count()),
            traceparent: column(events, |(event, _)| event.trace.map(|place| place.to_string())),
            anomaly: column(events, |(_, anomaly)| *anomaly),
            from_history: column(events, |(event, _)| event.from_history),
            is_visit: column(events, |(event, _)| event.is_visit),
        }
    }
}

/// Sightings.
pub(super) struct Heard {
    pub(super) partner_id: Vec<Uuid>,
    pub(super) event_id: Vec<Uuid>,
    pub(super) source: Vec<Source>,
    pub(super) at: Vec<DateTime<Utc>>,
    pub(super) verified: Vec<bool>,
    /// It has no sighting yet.
    pub(super) is_new: Vec<bool>,
}

impl Heard {
    pub(super) fn of(heard: &[(EventId, &NewEvent)], new: &[(&NewEvent, Option<&str>)]) -> Self {
        let new: HashSet<_> = new.iter().map(|(event, _)| event.event_id).collect();
        Self {
            is_new: column(heard, |(event_id, _)| new.contains(event_id)),
            partner_id: column(heard, |(_, event)| event.partner_id.uuid()),
            event_id: column(heard, |(event_id, _)| event_id.uuid()),
            source: column(heard, |(_, event)| event.source),
            at: column(heard, |(_, event)| event.received_at),
            verified: column(heard, |(_, event)| event.verified),
        }
    }
}

/// Payloads of new events.
pub(super) struct Payloads<'a> {
    pub(super) partner_id: Vec<Uuid>,
    pub(super) event_id: Vec<Uuid>,
    pub(super) received_at: Vec<DateTime<Utc>>,
    pub(super) body: Vec<&'a [u8]>,
}

impl<'a> Payloads<'a> {
    pub(super) fn of(new: &'a [(&'a NewEvent, Option<&'a str>)]) -> Self {
        Self {
            partner_id: column(new, |(event, _)| event.partner_id.uuid()),
            event_id: column(new, |(event, _)| event.event_id.uuid()),
            received_at: column(new, |(event, _)| event.received_at),
            body: column(new, |(event, _)| event.payload.as_ref()),
        }
    }
}

/// Orders as they are from now on.
pub(super) struct Orders<'a> {
    pub(super) partner_id: Vec<Uuid>,
    pub(super) order_id: Vec<&'a str>,
    pub(super) partner_order_id: Vec<Option<&'a str>>,
    pub(super) status: Vec<&'a str>,
    pub(super) status_at: Vec<DateTime<Utc>>,
    pub(super) verified: Vec<bool>,
    pub(super) product: Vec<Option<Product>>,
    pub(super) wallet_address: Vec<Option<&'a str>>,
    pub(super) fiat_currency: Vec<Option<&'a str>>,
    pub(super) fiat_amount: Vec<Option<&'a str>>,
    pub(super) crypto_currency: Vec<Option<&'a str>>,
    pub(super) crypto_amount: Vec<Option<&'a str>>,
    pub(super) network: Vec<Option<&'a str>>,
    pub(super) created_at: Vec<DateTime<Utc>>,
    pub(super) updated_at: Vec<DateTime<Utc>>,
    pub(super) snapshot_event_id: Vec<Uuid>,
    pub(super) snapshot_received_at: Vec<DateTime<Utc>>,
    pub(super) snapshot_at: Vec<DateTime<Utc>>,
    pub(super) revision: Vec<i32>,
    pub(super) reconcile_at: Vec<Option<DateTime<Utc>>>,
}

impl<'a> Orders<'a> {
    pub(super) fn of(orders: &'a [Write<'a>]) -> Self {
        Self {
            partner_id: column(orders, |write| write.partner_id.uuid()),
            order_id: column(orders, |write| write.order_id),
            partner_order_id: column(orders, |write| write.state.details.partner_order_id.as_deref()),
            status: column(orders, |write| write.state.standing.status.as_str()),
            status_at: column(orders, |write| write.state.standing.at),
            verified: column(orders, |write| write.state.standing.verified),
            product: column(orders, |write| write.state.details.product),
            wallet_address: column(orders, |write| write.state.details.wallet_address.as_deref()),
            fiat_currency: column(orders, |write| write.state.details.fiat_currency.as_deref()),
            fiat_amount: column(orders, |write| amount(write.state.details.fiat_amount.as_ref())),
            crypto_currency: column(orders, |write| write.state.details.crypto_currency.as_deref()),
            crypto_amount: column(orders, |write| amount(write.state.details.crypto_amount.as_ref())),
            network: column(orders, |write| write.state.details.network.as_deref()),
            created_at: column(orders, |write| write.state.created_at),
            updated_at: column(orders, |write| write.state.newest.updated_at),
            snapshot_event_id: column(orders, |write| write.state.newest.event_id.uuid()),
            snapshot_received_at: column(orders, |write| write.state.newest.received_at),
            snapshot_at: column(orders, |write| write.state.newest.at),
            revision: column(orders, |write| write.read_revision + 1),
            reconcile_at: column(orders, |write| write.reconcile_at),
        }
    }
}

fn amount(amount: Option<&Amount>) -> Option<&str> {
    amount.map(Amount::as_json)
}

/// Deliveries.
pub(super) struct Owed<'a> {
    pub(super) partner_id: Vec<Uuid>,
    pub(super) delivery_id: Vec<Uuid>,
    pub(super) event_id: Vec<Uuid>,
    pub(super) endpoint_id: Vec<Uuid>,
    pub(super) order_id: Vec<Option<&'a str>>,
    pub(super) state: Vec<DeliveryState>,
    pub(super) leased: Vec<bool>,
    pub(super) in_lane: Vec<bool>,
    /// It stands in a lane behind another of the same batch.
    pub(super) follows: Vec<bool>,
}

impl<'a> Owed<'a> {
    pub(super) fn of(owed: &'a [NewDelivery]) -> Self {
        let mut lanes = HashSet::new();
        Self {
            partner_id: column(owed, |delivery| delivery.partner_id.uuid()),
            delivery_id: column(owed, |delivery| delivery.delivery_id.uuid()),
            event_id: column(owed, |delivery| delivery.event_id.uuid()),
            endpoint_id: column(owed, |delivery| delivery.endpoint_id.uuid()),
            order_id: column(owed, |delivery| delivery.order_id.as_deref()),
            state: column(owed, |delivery| delivery.state),
            leased: column(owed, |delivery| delivery.leased),
            in_lane: column(owed, |delivery| delivery.in_lane),
            follows: column(owed, |delivery| {
                delivery.in_lane && !lanes.insert((delivery.endpoint_id, delivery.order_id.as_deref()))
            }),
        }
    }
}

fn column<'a, T, U>(rows: &'a [T], of: impl FnMut(&'a T) -> U) -> Vec<U> {
    rows.iter().map(of).collect()
}
