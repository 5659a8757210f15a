//! Reading payloads.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::id::{EventId, PartnerId};
use crate::store::Result;

/// Which payload: the time finds its partition.
#[derive(Debug, Clone, Copy)]
pub struct PayloadKey {
    pub partner_id: PartnerId,
    pub event_id: EventId,
    pub received_at: DateTime<Utc>,
}

/// The payload of one event; `None` once retention has dropped it.
pub async fn find(conn: &mut PgConnection, key: PayloadKey) -> Result<Option<Vec<u8>>> {
    let body = sqlx::query_scalar!(
        "select body from payload where partner_id = $1 and event_id = $2 and received_at = $3",
        key.partner_id as _,
        key.event_id as _,
        key.received_at,
    );
    Ok(body.fetch_optional(conn).await?)
}

/// The payloads of several events, in no particular order; what retention has dropped is missing.
pub async fn find_all(conn: &mut PgConnection, keys: &[PayloadKey]) -> Result<Vec<(EventId, Vec<u8>)>> {
    let partners: Vec<PartnerId> = keys.iter().map(|key| key.partner_id).collect();
    let events: Vec<EventId> = keys.iter().map(|key| key.event_id).collect();
    let times: Vec<DateTime<Utc>> = keys.iter().map(|key| key.received_at).collect();
    let rows = sqlx::query!(
        r#"select p.event_id as "event_id: EventId", p.body
           from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as k (partner_id, event_id, received_at)
           join payload p using (partner_id, event_id, received_at)"#,
        &partners as _,
        &events as _,
        &times,
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.event_id, row.body)).collect())
}
