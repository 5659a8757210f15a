//! What is known of events before they are kept, read without a lock.

use sqlx::PgExecutor;
use uuid::Uuid;

use crate::model::event::NewEvent;
use crate::model::id::PartnerId;
use crate::store::Result;
use crate::store::order::write::{Current, Orders};

/// How the orders of `events` stand; `None` if one of the events is kept already.
pub async fn before(executor: impl PgExecutor<'_>, events: &[&NewEvent]) -> Result<Option<Orders>> {
    let rows = sqlx::query!(
        r#"select own.event_id is not null as "is_kept!", given.partner_id as "partner_id!: PartnerId", given.order_id,
                  "order".status as "status?", status_at as "status_at?", "order".verified as "verified?",
                  revision as "revision?", snapshot_at as "snapshot_at?"
           from unnest($1::uuid[], $2::bytea[], $3::text[]) as given (partner_id, identity, order_id)
           left join event as own on own.partner_id = given.partner_id and own.identity = given.identity
           left join "order" on "order".partner_id = given.partner_id and "order".order_id = given.order_id"#,
        &events.iter().map(|event| event.partner_id.uuid()).collect::<Vec<Uuid>>(),
        &events.iter().map(|event| event.identity.0.as_slice()).collect::<Vec<_>>() as &[&[u8]],
        &events
            .iter()
            .map(|event| event.order.as_ref().map(|order| order.order_id.as_str()))
            .collect::<Vec<_>>() as &[Option<&str>],
    );
    let mut orders = Orders::new();
    for row in rows.fetch_all(executor).await? {
        if row.is_kept {
            return Ok(None);
        }
        let standing = (row.status.as_deref(), row.status_at, row.verified);
        let current = Current::of_columns(standing, (row.revision, row.snapshot_at));
        if let (Some(order_id), Some(current)) = (row.order_id, current) {
            orders.insert((row.partner_id, order_id), current);
        }
    }
    Ok(Some(orders))
}
