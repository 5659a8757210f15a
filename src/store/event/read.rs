//! Reading events and their payloads.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::event::Source;
use crate::model::id::{EventId, PartnerId};
use crate::store::Result;
use crate::store::list::{MOST_LOOKED_AT, Page, looked_at};
use crate::store::order::read::Order;

/// The most events an order is shown with: far beyond any real order, and a bound for one that is flooded.
const MOST_OF_AN_ORDER: i64 = 1000;

/// An event without its payload.
#[derive(Debug, Clone)]
pub struct Event {
    pub partner_id: PartnerId,
    pub event_id: EventId,
    pub order_id: Option<String>,
    /// The partner's own reference of the order.
    pub partner_order_id: Option<String>,
    pub event: String,
    pub status: Option<String>,
    pub occurred_at: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
    pub anomaly: Option<String>,
}

/// Which events; what is absent filters nothing.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    pub order_id: Option<String>,
    pub event: Option<String>,
    pub status: Option<String>,
    /// Seen at least once by this source.
    pub source: Option<Source>,
    /// Occurred then or later.
    pub from: Option<DateTime<Utc>>,
    /// Occurred before.
    pub to: Option<DateTime<Utc>>,
}

/// The events of `partners`, the latest occurrence first. The place of a row is its `occurred_at` and `event_id`.
pub async fn list(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    filter: &EventFilter,
    page: &Page<(DateTime<Utc>, EventId)>,
) -> Result<Vec<Event>> {
    let (after_at, after_id) = page.after.unzip();
    let rows = sqlx::query_as!(
        Event,
        r#"select e.partner_id as "partner_id: _", e.event_id as "event_id: _", e.order_id,
                  o.partner_order_id as "partner_order_id?", e.event, e.status, e.occurred_at, e.received_at, e.anomaly
           from unnest($1::uuid[]) as p (id)
           cross join lateral (
               select * from event e
               where e.partner_id = p.id
                 and ($2::text is null or e.order_id = $2)
                 and ($3::text is null or e.event = $3)
                 and ($4::text is null or e.status = $4)
                 and ($5::event_source is null or exists (
                     select from sighting s
                     where s.partner_id = e.partner_id and s.event_id = e.event_id and s.source = $5))
                 and ($6::timestamptz is null or e.occurred_at >= $6)
                 and ($7::timestamptz is null or e.occurred_at < $7)
                 and ($8::timestamptz is null or (e.occurred_at, e.event_id) < ($8, $9::uuid))
               order by e.occurred_at desc, e.event_id desc
               limit $10
           ) as e
           left join "order" o on o.partner_id = e.partner_id and o.order_id = e.order_id
           order by e.occurred_at desc, e.event_id desc
           limit $10"#,
        partners as _,
        filter.order_id.as_deref(),
        filter.event.as_deref(),
        filter.status.as_deref(),
        filter.source as _,
        filter.from,
        filter.to,
        after_at,
        after_id as _,
        page.limit,
    );
    Ok(rows.fetch_all(conn).await?)
}

impl EventFilter {
    /// It has a part that no index serves. An order's events are few, whatever else is asked of them.
    fn needs_a_horizon(&self) -> bool {
        self.order_id.is_none() && (self.status.is_some() || self.source.is_some())
    }
}

/// Rows looked at for what a source told: each costs a look into the sightings, which are partitioned by another time.
const LOOKED_AT_BY_SOURCE: i64 = 500;

/// The occurrence before which a page does not look for what `filter` wants, if there is anything before it.
pub async fn horizon(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    filter: &EventFilter,
    page: &Page<(DateTime<Utc>, EventId)>,
) -> Result<Option<DateTime<Utc>>> {
    if !filter.needs_a_horizon() {
        return Ok(None);
    }
    let in_all = if filter.source.is_some() { LOOKED_AT_BY_SOURCE } else { MOST_LOOKED_AT };
    let horizon = sqlx::query_scalar!(
        r#"select max(e.occurred_at)
           from unnest($1::uuid[]) as p (id)
           cross join lateral (
               select e.occurred_at from event e
               where e.partner_id = p.id
                 and ($2::timestamptz is null or e.occurred_at >= $2)
                 and ($3::timestamptz is null or e.occurred_at < $3)
                 and ($4::timestamptz is null or e.occurred_at <= $4)
               order by e.occurred_at desc
               offset $5
               limit 1
           ) as e"#,
        partners as _,
        filter.from,
        filter.to,
        page.after.map(|(at, _)| at),
        looked_at(in_all, partners, page.limit),
    );
    Ok(horizon.fetch_one(conn).await?)
}

/// One event.
pub async fn find(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    event_id: EventId,
) -> Result<Option<Event>> {
    let row = sqlx::query_as!(
        Event,
        r#"select e.partner_id as "partner_id: _", e.event_id as "event_id: _", e.order_id,
                  o.partner_order_id as "partner_order_id?", e.event, e.status, e.occurred_at, e.received_at, e.anomaly
           from event e
           left join "order" o on o.partner_id = e.partner_id and o.order_id = e.order_id
           where e.partner_id = any($1::uuid[]) and e.event_id = $2"#,
        partners as _,
        event_id as _,
    );
    Ok(row.fetch_optional(conn).await?)
}

/// The events of one order in no particular order; of a flooded one, the newest 1000.
pub async fn of_order(conn: &mut PgConnection, order: &Order) -> Result<Vec<Event>> {
    let rows = sqlx::query_as!(
        Event,
        r#"select partner_id as "partner_id: _", event_id as "event_id: _", order_id,
                  $4::text as partner_order_id, event, status, occurred_at, received_at, anomaly
           from event
           where partner_id = $1 and order_id = $2
           order by event_id desc
           limit $3"#,
        order.partner_id as _,
        order.order_id,
        MOST_OF_AN_ORDER,
        order.partner_order_id,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// The ids of the events of one order id, for lists that have no order of their own.
pub async fn ids_of_order(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    order_id: &str,
) -> Result<Vec<EventId>> {
    let ids = sqlx::query_scalar!(
        r#"select event_id as "event_id: EventId" from event
           where partner_id = any($1::uuid[]) and order_id = $2
           order by event_id desc
           limit $3"#,
        partners as _,
        order_id,
        MOST_OF_AN_ORDER,
    );
    Ok(ids.fetch_all(conn).await?)
}
