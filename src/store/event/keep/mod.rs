//! Keeping a batch: its new events, its sightings, the payloads of its new events, its orders, and what is owed.

mod columns;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::model::dedupe::SLACK;
use crate::model::delivery::{DeliveryState, LEASE, NewDelivery};
use crate::model::event::{NewEvent, Source};
use crate::model::id::EventId;
use crate::model::order::Product;
use crate::store::Result;
use crate::store::order::write::Write;
use columns::{Arriving, Heard, Orders, Owed, Payloads};

/// The most sightings of one event that one source adds in a day: a message can be replayed by whoever has seen it, and
/// each time it verifies.
pub const MOST_SIGHTINGS: i64 = 10;

/// What is to be written of a batch.
#[derive(Debug)]
pub struct Batch<'a> {
    /// New events, sorted by identity, and why somebody should look at each.
    pub arriving: &'a [(&'a NewEvent, Option<&'a str>)],
    /// Every event that was heard, under the id it is kept with.
    pub heard: &'a [(EventId, &'a NewEvent)],
    /// Orders as they are from now on, each once: first those that there are, then those that there are not yet, both
    /// sorted by (partner, order).
    pub orders: &'a [Write<'a>],
    /// To whom new events are owed. Those marked as leased are born with a first attempt and belong to this process for
    /// [`LEASE`]; the others are due at once, wait in the lane of their order, or are held. For those in a lane the
    /// caller holds the locks of the orders, where there are any yet, and gives them in the order of the lane.
    pub owed: &'a [NewDelivery],
    /// What `owed` rests on, if that is to be checked: the endpoints of these partners have these versions, in the order
    /// of `store::endpoint::subscription`.
    pub subscribed: (&'a [Uuid], &'a [i64]),
}

/// Writes a batch, in one statement.
///
/// # Errors
/// `Contended`, and nothing is written: another transaction has kept one of the arriving events, has made or moved one of
/// the orders, or has changed the endpoints first. The caller must start again.
pub async fn keep(executor: impl PgExecutor<'_>, batch: &Batch<'_>) -> Result<()> {
    let (arriving, heard) = (Arriving::of(batch.arriving), Heard::of(batch.heard, batch.arriving));
    let (said, moved, owed) = (Payloads::of(batch.arriving), Orders::of(batch.orders), Owed::of(batch.owed));
    #[rustfmt::skip]
    let kept = sqlx::query_file_scalar!(
        "src/store/event/keep/keep.sql",
        &arriving.partner_id, &arriving.event_id, &arriving.order_id as &[Option<&str>],
        &arriving.event as &[&str], &arriving.status as &[Option<&str>], &arriving.identity as &[&[u8]],
        &arriving.occurred_at, &arriving.received_at, &arriving.verified, &arriving.hops,
        &arriving.traceparent as &[Option<String>], &arriving.anomaly as &[Option<&str>],
        &heard.partner_id, &heard.event_id, &heard.source as &[Source], &heard.at, &heard.verified,
        &said.partner_id, &said.event_id, &said.received_at, &said.body as &[&[u8]],
        &moved.partner_id, &moved.order_id as &[&str], &moved.partner_order_id as &[Option<&str>],
        &moved.status as &[&str], &moved.status_at, &moved.verified, &moved.product as &[Option<Product>],
        &moved.wallet_address as &[Option<&str>], &moved.fiat_currency as &[Option<&str>],
        &moved.fiat_amount as &[Option<&str>], &moved.crypto_currency as &[Option<&str>],
        &moved.crypto_amount as &[Option<&str>], &moved.network as &[Option<&str>], &moved.created_at,
        &moved.updated_at, &moved.snapshot_event_id, &moved.snapshot_received_at, &moved.snapshot_at,
        &moved.revision, &moved.reconcile_at as &[Option<DateTime<Utc>>],
        &owed.partner_id, &owed.delivery_id, &owed.event_id, &owed.endpoint_id,
        &owed.order_id as &[Option<&str>], &owed.state as &[DeliveryState], &owed.leased, &owed.in_lane,
        &owed.follows, LEASE.as_secs_f64(), batch.subscribed.0, batch.subscribed.1, &arriving.from_history,
        SLACK.as_seconds_f64(), &heard.is_new, MOST_SIGHTINGS, &arriving.is_visit,
    );
    kept.fetch_one(executor).await?;
    Ok(())
}
