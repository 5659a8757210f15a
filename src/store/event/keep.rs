//! The second half of keeping a batch: its sightings, the payloads of its new events, and its orders.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::amount::Amount;
use crate::model::event::{NewEvent, Source};
use crate::model::id::EventId;
use crate::model::order::Product;
use crate::store::Result;
use crate::store::order::write::Write;

/// What is to be written of a batch.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Every event that was heard, under the id it is kept with.
    pub heard: &'a [(EventId, &'a NewEvent)],
    /// Those that are new, whose payloads are kept byte for byte.
    pub new: &'a [&'a NewEvent],
    /// Orders as they are from now on, sorted by (partner, order) and each once.
    pub orders: &'a [Write<'a>],
}

/// Writes a batch, in one statement. Answers how many orders were written: fewer than given means that another
/// transaction made or moved one first, and the caller must start again.
pub async fn keep(conn: &mut PgConnection, batch: &Batch<'_>) -> Result<usize> {
    let Batch { heard, new, orders } = batch;
    let moved = sqlx::query_file_scalar!(
        "src/store/event/keep.sql",
        &column(heard, |(_, event)| event.partner_id.uuid()),
        &column(heard, |(event_id, _)| event_id.uuid()) as &[Uuid],
        &column(heard, |(_, event)| event.source) as &[Source],
        &column(heard, |(_, event)| event.received_at),
        &column(heard, |(_, event)| event.verified),
        &column(new, |event| event.partner_id.uuid()),
        &column(new, |event| event.event_id.uuid()),
        &column(new, |event| event.received_at),
        &column(new, |event| event.payload.as_ref()) as &[&[u8]],
        &column(orders, |write| write.partner_id.uuid()),
        &column(orders, |write| write.snapshot.0.order_id.as_str()) as &[&str],
        &column(orders, |write| write.snapshot.0.partner_order_id.as_deref()) as &[Option<&str>],
        &column(orders, |write| write.standing.status.as_str()) as &[&str],
        &column(orders, |write| write.standing.at),
        &column(orders, |write| write.standing.verified),
        &column(orders, |write| write.snapshot.0.product) as &[Option<Product>],
        &column(orders, |write| write.snapshot.0.wallet_address.as_deref()) as &[Option<&str>],
        &column(orders, |write| write.snapshot.0.fiat_currency.as_deref()) as &[Option<&str>],
        &column(orders, |write| write.snapshot.0.fiat_amount.as_ref().map(Amount::as_json))
            as &[Option<&str>],
        &column(orders, |write| write.snapshot.0.crypto_currency.as_deref()) as &[Option<&str>],
        &column(orders, |write| write.snapshot.0.crypto_amount.as_ref().map(Amount::as_json))
            as &[Option<&str>],
        &column(orders, |write| write.snapshot.0.network.as_deref()) as &[Option<&str>],
        &column(orders, |write| write.snapshot.0.created_at.unwrap_or(write.snapshot_times.0)),
        &column(orders, |write| write.snapshot.0.updated_at.unwrap_or(write.snapshot_times.1)),
        &column(orders, |write| write.snapshot.1.uuid()),
        &column(orders, |write| write.snapshot_times.0),
        &column(orders, |write| write.snapshot_times.1),
        &column(orders, |write| write.read_revision + 1),
        &column(orders, |write| write.reconcile_at) as &[Option<DateTime<Utc>>],
    );
    Ok(usize::try_from(moved.fetch_one(conn).await?).unwrap_or_default())
}

fn column<'a, T, U>(rows: &'a [T], of: impl Fn(&'a T) -> U) -> Vec<U> {
    rows.iter().map(of).collect()
}
