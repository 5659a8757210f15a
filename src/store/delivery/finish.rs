//! Writing back how attempts went. Every write-back is fenced: a worker whose lease has passed to another changes
//! nothing.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::lane::LaneKey;
use crate::model::delivery::{DeliveryState, Job};
use crate::model::id::{DeliveryId, EndpointId, PartnerId};
use crate::store::Result;
use crate::store::due::{self, Due};

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone)]
pub struct Finished<'a> {
    /// Whose attempt it was; `claims` is the fence.
    pub job: &'a Job,
    /// `Pending` to try again, else the end.
    pub state: DeliveryState,
    /// Nothing can be sent, whoever asks for it.
    pub is_over: bool,
    /// How long to wait before the next attempt, if there is one.
    pub retry_after: Option<Duration>,
    /// The wait that the receiver asked for: nothing hastens it.
    pub asked: Option<Duration>,
    /// The HTTP status of the answer, if there was one.
    pub status_code: Option<i16>,
}

/// A delivery that was still leased to the attempt whose result was written.
#[derive(Debug, Clone)]
pub struct Written {
    pub delivery_id: DeliveryId,
    /// What it became: a delivery to be tried again is `Held` if its endpoint was disabled meanwhile, and one that was
    /// asked for again is owed whatever came of the attempt.
    pub state: DeliveryState,
    /// The lane it has left, if it was in one and is finished.
    pub left_lane: Option<LaneKey>,
}

/// Writes back a batch. Answers the deliveries that were still leased to the attempt given; the others were taken over
/// by somebody else in the meantime and are left as they are.
///
/// To hold what is to be tried again, the caller must have locked the endpoints that failed. In a transaction.
pub async fn finish(conn: &mut PgConnection, batch: &[Finished<'_>]) -> Result<Vec<Written>> {
    let waits = batch.iter().filter(|one| one.state == DeliveryState::Pending);
    let due = waits.map(|one| Due { place: one.job.place(), within: one.retry_after.unwrap_or_default() });
    due::note(&mut *conn, &due.collect::<Vec<_>>()).await?;
    let rows = sqlx::query_file!(
        "src/store/delivery/finish.sql",
        &column(batch, |one| one.job.partner_id.uuid()) as &[Uuid],
        &column(batch, |one| one.job.delivery_id.uuid()),
        &column(batch, |one| one.job.attempts),
        &column(batch, |one| one.state) as &[DeliveryState],
        &column(batch, |one| one.retry_after.map_or(0.0, |wait| wait.as_secs_f64())),
        &column(batch, |one| one.status_code) as &[Option<i16>],
        &column(batch, |one| one.asked.map(|wait| wait.as_secs_f64())) as &[Option<f64>],
        &column(batch, |one| one.job.claims),
        &column(batch, |one| one.is_over),
    );
    let rows = rows.fetch_all(&mut *conn).await?;
    // What was asked for again is due at once.
    let again = rows.iter().filter(|row| row.due_now).map(|row| (row.partner_id, row.endpoint_id));
    due::note_now(conn, again).await?;
    let written = rows.into_iter().map(|row| {
        let finished = !matches!(row.state, DeliveryState::Pending | DeliveryState::Held);
        let order_id = row.order_id.filter(|_| row.in_lane && finished);
        let key = order_id.map(|order_id| LaneKey {
            partner_id: row.partner_id,
            endpoint_id: row.endpoint_id,
            order_id,
        });
        Written { delivery_id: row.delivery_id, state: row.state, left_lane: key }
    });
    Ok(written.collect())
}

fn column<'a, T>(batch: &'a [Finished<'a>], of: impl Fn(&'a Finished<'a>) -> T) -> Vec<T> {
    batch.iter().map(of).collect()
}
