//! Events as Transak's Get Webhooks lists them: by name and order, with what was last answered to them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::id::{EventId, PartnerId};
use crate::store::Result;

/// An event of a partner's key.
#[derive(Debug, Clone)]
pub struct WebhookEvent {
    pub partner_id: PartnerId,
    pub api_key: String,
    pub event_id: EventId,
    pub event: String,
    pub occurred_at: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
}

/// Which events, and which part of them.
#[derive(Debug, Clone)]
pub struct WebhookFilter {
    pub event: Option<String>,
    pub order_id: Option<String>,
    pub limit: i64,
    pub skip: i64,
}

/// What an endpoint last answered to an event.
#[derive(Clone)]
pub struct LastAttempt {
    pub event_id: EventId,
    pub url: String,
    pub status_code: Option<i16>,
    pub error: Option<String>,
    pub body: Option<Vec<u8>>,
}

/// The events of `partners` but the relay's own, the latest occurrence first.
pub async fn list(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    filter: &WebhookFilter,
) -> Result<Vec<WebhookEvent>> {
    let rows = sqlx::query_as!(
        WebhookEvent,
        r#"select e.partner_id as "partner_id: _", p.api_key, e.event_id as "event_id: _", e.event, e.occurred_at,
                  e.received_at
           from partner p
           cross join lateral (
               select * from event e
               where e.partner_id = p.partner_id
                 and ($2::text is null or e.event = $2)
                 and ($3::text is null or e.order_id = $3)
                 and e.event not like 'relay.%'
               order by e.occurred_at desc, e.event_id desc
               limit $4::bigint + $5::bigint
           ) as e
           where p.partner_id = any($1::uuid[])
           order by e.occurred_at desc, e.event_id desc
           limit $4 offset $5"#,
        partners as _,
        filter.event.as_deref(),
        filter.order_id.as_deref(),
        filter.limit,
        filter.skip,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// The last attempt of each event's newest delivery; events that were never attempted are missing.
pub async fn last_attempts(conn: &mut PgConnection, events: &[WebhookEvent]) -> Result<Vec<LastAttempt>> {
    let partners: Vec<PartnerId> = events.iter().map(|event| event.partner_id).collect();
    let ids: Vec<EventId> = events.iter().map(|event| event.event_id).collect();
    let rows = sqlx::query_as!(
        LastAttempt,
        r#"select e.event_id as "event_id!: _", n.url, a.status_code, a.error, a.response_body as body
           from unnest($1::uuid[], $2::uuid[]) as e (partner_id, event_id)
           cross join lateral (
               select d.delivery_id, d.endpoint_id, d.created_at from delivery d
               where d.partner_id = e.partner_id and d.event_id = e.event_id
               order by d.delivery_id desc
               limit 1
           ) as d
           cross join lateral (
               select a.status_code, a.error, a.response_body from attempt a
               where a.partner_id = e.partner_id and a.delivery_id = d.delivery_id
                 and a.at >= d.created_at - interval '1 hour'
               order by a.attempt_id desc
               limit 1
           ) as a
           join endpoint n on n.partner_id = e.partner_id and n.endpoint_id = d.endpoint_id"#,
        &partners as _,
        &ids as _,
    );
    Ok(rows.fetch_all(conn).await?)
}
