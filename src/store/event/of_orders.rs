//! All that is kept of some orders, to tell anew where they stand.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::event::Identity;
use crate::model::id::{EventId, PartnerId};
use crate::model::status::Status;
use crate::store::Result;

/// The most events of one order that are read: far beyond any real order. Of a flooded one the newest count.
const MOST: i64 = 1000;

/// A kept event of an order.
#[derive(Debug)]
pub struct KeptEvent {
    pub partner_id: PartnerId,
    pub order_id: String,
    pub event_id: EventId,
    pub identity: Identity,
    pub status: Status,
    pub occurred_at: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
    pub verified: bool,
    pub anomaly: Option<String>,
    /// The order as it came; `None` once retention has dropped it.
    pub body: Option<Vec<u8>>,
}

/// The kept events of these orders, in no particular order.
pub async fn of_orders(conn: &mut PgConnection, orders: &[(PartnerId, &str)]) -> Result<Vec<KeptEvent>> {
    let rows = sqlx::query!(
        r#"select wanted.partner_id as "partner_id!: PartnerId", wanted.order_id as "order_id!",
                  e.event_id as "event_id: EventId", e.identity, e.status, e.occurred_at, e.received_at, e.verified, e.anomaly,
                  payload.body as "body?"
           from unnest($1::uuid[], $2::text[]) as wanted (partner_id, order_id)
           cross join lateral (
               select * from event
               where event.partner_id = wanted.partner_id and event.order_id = wanted.order_id
               order by event.event_id desc limit $3
           ) as e
           left join payload on payload.partner_id = e.partner_id and payload.event_id = e.event_id
            and payload.received_at = e.received_at"#,
        &orders.iter().map(|(partner, _)| partner.uuid()).collect::<Vec<Uuid>>(),
        &orders.iter().map(|(_, order)| *order).collect::<Vec<_>>() as &[&str],
        MOST,
    );
    let rows = rows.fetch_all(conn).await?;
    let events = rows.into_iter().filter_map(|row| {
        Some(KeptEvent {
            partner_id: row.partner_id,
            order_id: row.order_id,
            event_id: row.event_id,
            identity: Identity(row.identity.as_slice().try_into().ok()?),
            status: Status::parse(&row.status?)?,
            occurred_at: row.occurred_at,
            received_at: row.received_at,
            verified: row.verified,
            anomaly: row.anomaly,
            body: row.body,
        })
    });
    Ok(events.collect())
}
