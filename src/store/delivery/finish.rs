//! Writing back how attempts went. Every write-back is fenced: a worker whose lease has passed to another changes
//! nothing.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::delivery::{DeliveryState, Job};
use crate::model::id::DeliveryId;
use crate::store::Result;

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Whose attempt it was; `attempts` is the fence.
    pub job: Job,
    /// `Pending` to try again, else the end.
    pub state: DeliveryState,
    /// How long to wait before the next attempt, if there is one.
    pub retry_after: Option<Duration>,
    /// The HTTP status of the answer, if there was one.
    pub status_code: Option<i16>,
}

/// Writes back a batch. Answers the deliveries that were still leased to the attempt given; the others were taken over
/// by somebody else in the meantime and are left as they are.
pub async fn finish(conn: &mut PgConnection, batch: &[Finished]) -> Result<Vec<DeliveryId>> {
    let done = sqlx::query_scalar!(
        r#"update delivery set state = given.state, leased_at = null,
               last_status_code = coalesce(given.status_code, last_status_code),
               next_attempt_at = case when given.state = 'pending' then now() + make_interval(secs => given.retry_after) end,
               finished_at = case when given.state in ('succeeded', 'exhausted', 'cancelled') then now() end
           from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::delivery_state[], $5::float8[], $6::smallint[])
                as given (partner_id, delivery_id, attempts, state, retry_after, status_code)
           where delivery.partner_id = given.partner_id and delivery.delivery_id = given.delivery_id
             and delivery.attempts = given.attempts and delivery.leased_at is not null
           returning delivery.delivery_id as "delivery_id: DeliveryId""#,
        &column(batch, |one| one.job.partner_id.uuid()) as &[Uuid],
        &column(batch, |one| one.job.delivery_id.uuid()),
        &column(batch, |one| one.job.attempts),
        &column(batch, |one| one.state) as &[DeliveryState],
        &column(batch, |one| one.retry_after.map_or(0.0, |wait| wait.as_secs_f64())),
        &column(batch, |one| one.status_code) as &[Option<i16>],
    );
    Ok(done.fetch_all(conn).await?)
}

fn column<T>(batch: &[Finished], of: impl Fn(&Finished) -> T) -> Vec<T> {
    batch.iter().map(of).collect()
}
