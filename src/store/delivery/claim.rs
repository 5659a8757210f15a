//! Taking deliveries to send, and giving them back unsent.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::model::delivery::{Job, LEASE, Told};
use crate::model::id::{DeliveryId, EndpointId, EventId, PartnerId};
use crate::store::Result;

/// Leases up to `limit` due deliveries, at most `per_endpoint` of any one endpoint, the longest due first.
///
/// Endpoints are visited in random order, so that a long queue of one cannot keep the others waiting; each is found by
/// one step along the index, so the size of a backlog does not matter. The lease is `next_attempt_at` moved past
/// [`LEASE`]: a worker that dies needs no clean-up.
pub async fn claim(pool: &PgPool, limit: i64, per_endpoint: i64) -> Result<Vec<Job>> {
    let leased_at = Instant::now();
    let rows = sqlx::query_file!("src/store/delivery/claim.sql", limit, per_endpoint, LEASE.as_secs_f64(),);
    let rows = rows.fetch_all(pool).await?;
    let jobs = rows.into_iter().map(|row| Job {
        partner_id: row.partner_id,
        delivery_id: row.delivery_id,
        endpoint_id: row.endpoint_id,
        endpoint_revision: row.revision,
        attempts: row.attempts,
        schedule_start: row.schedule_start,
        leased_at,
        told: Arc::new(Told {
            event_id: row.event_id,
            order_id: row.order_id,
            event: row.event,
            occurred_at: row.occurred_at,
            received_at: row.received_at,
            payload: Bytes::from(row.body),
            standard: OnceLock::new(),
        }),
    });
    Ok(jobs.collect())
}

/// Gives leased deliveries back unsent: due at once, the attempt not counted. Answers how many were still ours.
pub async fn release(conn: &mut PgConnection, jobs: &[Job]) -> Result<u64> {
    let done = sqlx::query!(
        "update delivery set attempts = delivery.attempts - 1, leased_at = null, next_attempt_at = now()
         from unnest($1::uuid[], $2::uuid[], $3::integer[]) as given (partner_id, delivery_id, attempts)
         where delivery.partner_id = given.partner_id and delivery.delivery_id = given.delivery_id
           and delivery.attempts = given.attempts and delivery.leased_at is not null",
        &jobs.iter().map(|job| job.partner_id.uuid()).collect::<Vec<Uuid>>(),
        &jobs.iter().map(|job| job.delivery_id.uuid()).collect::<Vec<Uuid>>(),
        &jobs.iter().map(|job| job.attempts).collect::<Vec<i32>>(),
    );
    Ok(done.execute(conn).await?.rows_affected())
}
