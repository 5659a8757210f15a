//! What is known of events before they are kept, read without a lock.

use sqlx::PgExecutor;
use uuid::Uuid;

use crate::model::event::NewEvent;
use crate::store::Result;
use crate::store::order::write::{Orders, Row};

/// How the orders of `events` stand; `None` if one of the events is kept already.
pub async fn before(executor: impl PgExecutor<'_>, events: &[&NewEvent]) -> Result<Option<Orders>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select given.partner_id as "partner_id!: _", given.order_id, "order".status as "status?",
                  status_at as "status_at?", "order".verified as "verified?", partner_order_id, product as "product: _",
                  wallet_address, fiat_currency, fiat_amount, crypto_currency, crypto_amount, network,
                  created_at as "created_at?", updated_at as "updated_at?", snapshot_event_id as "snapshot_event_id?: _",
                  snapshot_received_at as "snapshot_received_at?", snapshot_at as "snapshot_at?", revision as "revision?"
           from unnest($1::uuid[], $2::bytea[], $3::text[]) as given (partner_id, identity, order_id)
           left join event as own on own.partner_id = given.partner_id and own.identity = given.identity
           left join "order" on "order".partner_id = given.partner_id and "order".order_id = given.order_id
           where own.event_id is null"#,
        &events.iter().map(|event| event.partner_id.uuid()).collect::<Vec<Uuid>>(),
        &events.iter().map(|event| event.identity.0.as_slice()).collect::<Vec<_>>() as &[&[u8]],
        &events
            .iter()
            .map(|event| event.order.as_ref().map(|order| order.order_id.as_str()))
            .collect::<Vec<_>>() as &[Option<&str>],
    );
    let rows = rows.fetch_all(executor).await?;
    let none_is_kept = rows.len() == events.len();
    Ok(none_is_kept.then(|| rows.into_iter().filter_map(Row::order).collect()))
}
