//! Events in the order of their commits: an order in which nothing ever appears behind what was already read.
//!
//! Event ids are made before the commit, by several processes; a transaction that commits late brings ids that sort
//! before others that were long shown. So the order here is (`transaction_id`, `event_id`), the id of the transaction
//! that wrote the row first, and only *settled* rows count: those of transactions older than the oldest one that was
//! still running when the snapshot was taken (`pg_snapshot_xmin`). Such rows are complete, since no transaction that
//! could add to them is left, so whoever has read up to a place has everything before it.
//!
//! Not guaranteed: promptness. A transaction of this Postgres that has written something and stays open, also one of
//! another database, holds back what commits after it began; nothing is lost, it is shown once that one has ended.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::read::Event;
use crate::model::id::{EventId, PartnerId};
use crate::store::Result;

/// A place in the order of commits: everything at or before it has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    transaction: i64,
    event: Uuid,
}

/// Which events; what is absent filters nothing.
#[derive(Debug, Clone, Default)]
pub struct FeedFilter {
    /// `None`: of every partner.
    pub partners: Option<Vec<PartnerId>>,
    pub order_id: Option<String>,
    /// Received then or later.
    pub since: Option<DateTime<Utc>>,
}

/// What was read: settled events in the order of their commits.
#[derive(Debug)]
pub struct Portion {
    pub events: Vec<(Place, Event)>,
    /// Where to read on; beyond the last event if everything settled was read.
    pub end: Place,
    /// There is more to read right now.
    pub more: bool,
    /// There are events that are not settled yet.
    pub held_back: bool,
}

impl Place {
    /// Before everything that transactions from this one on write.
    fn before(transaction: i64) -> Self {
        Self { transaction, event: Uuid::nil() }
    }
}

/// The place before everything that is not settled yet.
pub async fn horizon(conn: &mut PgConnection) -> Result<Place> {
    let oldest =
        sqlx::query_scalar!(r#"select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "oldest!""#);
    Ok(Place::before(oldest.fetch_one(conn).await?))
}

/// Where an event stands; `None` if it is not kept for one of `partners`.
pub async fn place_of(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    event_id: EventId,
) -> Result<Option<Place>> {
    let row = sqlx::query_as!(
        Place,
        r#"select transaction_id::text::bigint as "transaction!", event_id as event from event
           where partner_id = any($1::uuid[]) and event_id = $2"#,
        partners as _,
        event_id as _,
    );
    Ok(row.fetch_optional(conn).await?)
}

/// A place before every event that was received at `since` or later.
pub async fn place_before(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    since: DateTime<Utc>,
) -> Result<Place> {
    // An id is made after the event was received and begins with the milliseconds at which it was made.
    let milliseconds = u128::try_from(since.timestamp_millis()).unwrap_or(0);
    let earliest = Uuid::from_u128((milliseconds & 0xffff_ffff_ffff) << 80);
    let first = sqlx::query_scalar!(
        r#"select least(min(transaction_id::text::bigint),
                        pg_snapshot_xmin(pg_current_snapshot())::text::bigint) as "first!"
           from event where partner_id = any($1::uuid[]) and event_id >= $2"#,
        partners as _,
        earliest,
    );
    Ok(Place::before(first.fetch_one(conn).await?))
}

/// Reads up to `limit` settled events after a place. `conn` must read from one snapshot, see
/// [`snapshot`](crate::store::list::snapshot).
pub async fn after(
    conn: &mut PgConnection,
    filter: &FeedFilter,
    (place, limit): (Place, usize),
) -> Result<Portion> {
    let horizon = horizon(conn).await?;
    let rows = rows_after(conn, filter, (place, limit)).await?;
    let full = rows.len() >= limit;
    let mut events = Vec::with_capacity(rows.len());
    let mut held_back = false;
    for row in rows {
        let at = Place { transaction: row.transaction, event: row.event_id.uuid() };
        if at >= horizon {
            held_back = true;
            break;
        }
        events.push((at, row.into()));
    }
    let more = full && !held_back;
    let last = events.last().map_or(place, |(at, _)| *at);
    let end = if more { last } else { last.max(horizon) };
    Ok(Portion { events, end, more, held_back })
}

/// An event and the transaction that wrote it.
struct Row {
    partner_id: PartnerId,
    event_id: EventId,
    order_id: Option<String>,
    partner_order_id: Option<String>,
    event: String,
    status: Option<String>,
    occurred_at: DateTime<Utc>,
    received_at: DateTime<Utc>,
    anomaly: Option<String>,
    transaction: i64,
}

impl From<Row> for Event {
    fn from(row: Row) -> Self {
        Self {
            partner_id: row.partner_id,
            event_id: row.event_id,
            order_id: row.order_id,
            partner_order_id: row.partner_order_id,
            event: row.event,
            status: row.status,
            occurred_at: row.occurred_at,
            received_at: row.received_at,
            anomaly: row.anomaly,
        }
    }
}

async fn rows_after(
    conn: &mut PgConnection,
    filter: &FeedFilter,
    (place, limit): (Place, usize),
) -> Result<Vec<Row>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select e.partner_id as "partner_id: _", e.event_id as "event_id: _", e.order_id,
                  o.partner_order_id as "partner_order_id?", e.event, e.status, e.occurred_at, e.received_at, e.anomaly,
                  e.transaction_id::text::bigint as "transaction!"
           from partner p
           cross join lateral (
               select * from event e
               where e.partner_id = p.partner_id
                 and (e.transaction_id, e.event_id) > ($2::text::xid8, $3::uuid)
                 and ($4::text is null or e.order_id = $4)
                 and ($5::timestamptz is null or e.received_at >= $5)
               order by e.transaction_id, e.event_id
               limit $6
           ) as e
           left join "order" o on o.partner_id = e.partner_id and o.order_id = e.order_id
           where p.deleted_at is null and ($1::uuid[] is null or p.partner_id = any($1))
           order by e.transaction_id, e.event_id
           limit $6"#,
        filter.partners.as_deref() as Option<&[PartnerId]>,
        place.transaction.to_string(),
        place.event,
        filter.order_id.as_deref(),
        filter.since,
        i64::try_from(limit).unwrap_or(i64::MAX),
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Settles what was brought from another Postgres cluster (dump and restore): the ids of its transactions mean nothing
/// here and could lie in the future. Those events then stand before all others, in the order of their ids. `true`: there
/// were some.
pub async fn adopt_foreign(conn: &mut PgConnection) -> Result<bool> {
    let foreign = sqlx::query_scalar!(
        r#"select exists (
               select from partner p
               join event e on e.partner_id = p.partner_id
                and e.transaction_id >= pg_snapshot_xmax(pg_current_snapshot())) as "foreign!""#
    );
    if !foreign.fetch_one(&mut *conn).await? {
        return Ok(false);
    }
    sqlx::query!("update event set transaction_id = '0' where transaction_id <> '0'").execute(conn).await?;
    Ok(true)
}
