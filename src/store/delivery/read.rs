//! Reading deliveries.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::delivery::DeliveryState;
use crate::model::id::{DeliveryId, EndpointId, EventId, PartnerId};
use crate::store::Result;
use crate::store::list::{MOST_LOOKED_AT, Page, looked_at};

/// One event owed to one endpoint.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub partner_id: PartnerId,
    pub delivery_id: DeliveryId,
    pub event_id: EventId,
    pub order_id: Option<String>,
    pub endpoint_id: EndpointId,
    pub state: DeliveryState,
    pub attempts: i32,
    /// While a request is under way this is when its lease ends; `None` also while it waits for one before it.
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub last_status_code: Option<i16>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it was given up, if not because its own attempts failed.
    pub reason: Option<String>,
}

/// Which deliveries; what is absent filters nothing.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    pub endpoint_id: Option<EndpointId>,
    /// Of any of these events. Deliveries have no index by order: look up the order's events first.
    pub events: Option<Vec<EventId>>,
    pub state: Option<DeliveryState>,
    /// This one and those made after it.
    pub from: Option<DeliveryId>,
}

impl DeliveryFilter {
    /// It has a part that no index serves: every state but `exhausted`, whose index is in the order of the list.
    fn needs_a_horizon(&self) -> bool {
        self.events.is_none() && self.state.is_some_and(|state| state != DeliveryState::Exhausted)
    }
}

/// The delivery before which a page does not look for what `filter` wants, if there is anything before it.
pub async fn horizon(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    filter: &DeliveryFilter,
    page: &Page<DeliveryId>,
) -> Result<Option<DeliveryId>> {
    if !filter.needs_a_horizon() {
        return Ok(None);
    }
    let horizon = sqlx::query_scalar!(
        r#"select d.delivery_id as "delivery_id: DeliveryId"
           from unnest($1::uuid[]) as p (id)
           cross join lateral (
               select d.delivery_id from delivery d
               where d.partner_id = p.id
                 and ($2::uuid is null or d.endpoint_id = $2)
                 and ($3::uuid is null or d.delivery_id < $3)
               order by d.delivery_id desc
               offset $4
               limit 1
           ) as d
           order by d.delivery_id desc
           limit 1"#,
        partners as _,
        filter.endpoint_id as _,
        page.after as _,
        looked_at(MOST_LOOKED_AT, partners, page.limit),
    );
    Ok(horizon.fetch_optional(conn).await?)
}

/// The deliveries of `partners`, newest first.
pub async fn list(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    filter: &DeliveryFilter,
    page: &Page<DeliveryId>,
) -> Result<Vec<Delivery>> {
    let rows = sqlx::query_as!(
        Delivery,
        r#"select d.partner_id as "partner_id: _", d.delivery_id as "delivery_id: _", d.event_id as "event_id: _",
                  d.order_id, d.endpoint_id as "endpoint_id: _", d.state as "state: _", d.attempts,
                  nullif(d.next_attempt_at, '9999-01-01Z') as next_attempt_at,
                  d.last_status_code, d.created_at, d.finished_at, d.reason
           from unnest($1::uuid[]) as p (id)
           cross join lateral (
               select * from delivery d
               where d.partner_id = p.id
                 and ($2::uuid is null or d.endpoint_id = $2)
                 and ($3::uuid[] is null or d.event_id = any($3))
                 and ($4::delivery_state is null or d.state = $4)
                 and ($5::uuid is null or d.delivery_id < $5)
                 and ($6::uuid is null or d.delivery_id >= $6)
               order by d.delivery_id desc
               limit $7
           ) as d
           order by d.delivery_id desc
           limit $7"#,
        partners as _,
        filter.endpoint_id as _,
        filter.events.as_deref() as _,
        filter.state as _,
        page.after as _,
        filter.from as _,
        page.limit,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// One delivery.
pub async fn find(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    delivery_id: DeliveryId,
) -> Result<Option<Delivery>> {
    let row = sqlx::query_as!(
        Delivery,
        r#"select partner_id as "partner_id: _", delivery_id as "delivery_id: _", event_id as "event_id: _",
                  order_id, endpoint_id as "endpoint_id: _", state as "state: _", attempts,
                  nullif(next_attempt_at, '9999-01-01Z') as next_attempt_at,
                  last_status_code, created_at, finished_at, reason
           from delivery
           where partner_id = any($1::uuid[]) and delivery_id = $2"#,
        partners as _,
        delivery_id as _,
    );
    Ok(row.fetch_optional(conn).await?)
}

/// Every delivery of several events, oldest first.
pub async fn of_events(
    conn: &mut PgConnection,
    partner_id: PartnerId,
    events: &[EventId],
) -> Result<Vec<Delivery>> {
    let rows = sqlx::query_as!(
        Delivery,
        r#"select partner_id as "partner_id: _", delivery_id as "delivery_id: _", event_id as "event_id: _",
                  order_id, endpoint_id as "endpoint_id: _", state as "state: _", attempts,
                  nullif(next_attempt_at, '9999-01-01Z') as next_attempt_at,
                  last_status_code, created_at, finished_at, reason
           from delivery
           where partner_id = $1 and event_id = any($2::uuid[])
           order by delivery_id"#,
        partner_id as _,
        events as _,
    );
    Ok(rows.fetch_all(conn).await?)
}
