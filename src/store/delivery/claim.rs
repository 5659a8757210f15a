//! Taking deliveries to send, and giving them back unsent.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::breaker::Pick;
use crate::model::delivery::{Job, LEASE, Terms, Told};
use crate::model::hops::Hops;
use crate::model::id::{DeliveryId, EndpointId, EventId, PartnerId};
use crate::model::queue::Room;
use crate::model::rate::Rate;
use crate::store::Result;
use crate::store::dispatcher::DispatcherId;
use crate::store::due::{self, Due};

/// A delivery that was leased.
#[derive(Debug)]
pub struct Claimed {
    /// What to send.
    pub job: Job,
    /// Its endpoint was taken over from a dispatcher that died.
    pub lost: bool,
}

/// Leases due deliveries of these endpoints, the longest due first, as many as there is room for. An endpoint nobody sends
/// to becomes this dispatcher's; one that is another's is left out.
///
/// An endpoint is one dispatcher's at a time, so the room that its queue knows of is a cap over all processes. What is due
/// of each is found by one step along the index, so the size of a backlog does not matter. The lease of a delivery is
/// `next_attempt_at` moved past [`LEASE`]: a worker that dies needs no clean-up.
///
/// Of an endpoint whose breaker is half-open one is leased, the probe: by turns what was never tried and what was. Of what
/// was never tried it is by turns the newest, any, and the oldest, so that a block of deliveries that fail hides none of
/// the others; [`Pick`] says the same of one whose breaker is still closed. A probe is chosen among the fifty that have
/// been due longest, the fifty that have been due shortest, and fifty from anywhere between.
pub async fn claim(
    conn: &mut PgConnection,
    dispatcher: DispatcherId,
    wanted: &[Room],
) -> Result<Vec<Claimed>> {
    let leased_at = Instant::now();
    let most = |room: &Room| i32::try_from(room.most).unwrap_or(i32::MAX);
    let rows = sqlx::query_file!(
        "src/store/delivery/claim.sql",
        LEASE.as_secs_f64(),
        dispatcher.0,
        &wanted.iter().map(|room| room.place.0.uuid()).collect::<Vec<Uuid>>(),
        &wanted.iter().map(|room| room.place.1.uuid()).collect::<Vec<Uuid>>(),
        &wanted.iter().map(most).collect::<Vec<i32>>(),
        &wanted.iter().map(|room| pick(room.pick)).collect::<Vec<Option<&str>>>() as _,
    );
    let rows = rows.fetch_all(conn).await?;
    let claimed = rows.into_iter().map(|row| {
        let terms = Terms {
            revision: row.revision,
            max_in_flight: u16::try_from(row.max_in_flight).unwrap_or(1),
            rate: rate(row.rate_thousandths, row.rate_burst),
            ordered: row.ordered,
            trips: u16::try_from(row.breaker_trips).unwrap_or(0),
        };
        let told = Told {
            event_id: row.event_id,
            order_id: row.order_id,
            event: row.event,
            occurred_at: row.occurred_at,
            received_at: row.received_at,
            hops: Hops::from_stored(row.hops),
            payload: Bytes::from(row.body.unwrap_or_default()),
            trace: row.traceparent.and_then(|place| place.parse().ok()),
            standard: OnceLock::new(),
        };
        let job = Job {
            partner_id: row.partner_id,
            delivery_id: row.delivery_id,
            endpoint_id: row.endpoint_id,
            terms,
            in_lane: row.in_lane,
            attempts: row.attempts,
            claims: row.claims,
            schedule_start: row.schedule_start,
            leased_at,
            told: Arc::new(told),
        };
        Claimed { job, lost: row.lost }
    });
    Ok(claimed.collect())
}

fn pick(pick: Pick) -> Option<&'static str> {
    match pick {
        Pick::InTurn => None,
        Pick::Newest => Some("newest"),
        Pick::Anywhere => Some("anywhere"),
    }
}

fn rate(thousandths: Option<i32>, burst: Option<i32>) -> Option<Rate> {
    Rate::from_stored(thousandths?, burst?)
}

/// Gives leased deliveries back unsent: due after a wait, the attempt not counted; held if the endpoint was disabled
/// meanwhile. What was never tried and need not wait has its place among the others again: it is not the newest. Answers how many were still ours. In a transaction.
pub async fn release(conn: &mut PgConnection, jobs: &[(&Job, Duration)]) -> Result<u64> {
    let due = jobs.iter().map(|(job, wait)| Due { place: job.place(), within: *wait });
    due::note(&mut *conn, &due.collect::<Vec<_>>()).await?;
    let done = sqlx::query!(
        "update delivery
         set attempts = delivery.attempts - 1, leased_at = null,
             state = case when given.disabled then 'held' else 'pending' end::delivery_state,
             next_attempt_at = case when given.disabled then null
                                    when given.wait = 0 and delivery.attempts = 1 then least(delivery.created_at, now())
                                    else now() + make_interval(secs => given.wait) end
         from (select given.*, exists (select from endpoint e
                                       where e.partner_id = given.partner_id and e.endpoint_id = given.endpoint_id
                                         and e.state = 'disabled') as disabled
               from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::uuid[], $5::integer[], $6::float8[])
                    as given (partner_id, delivery_id, attempts, endpoint_id, claims, wait)) as given
         where delivery.partner_id = given.partner_id and delivery.delivery_id = given.delivery_id
           and delivery.claims = given.claims and delivery.attempts = given.attempts and delivery.leased_at is not null",
        &jobs.iter().map(|(job, _)| job.partner_id.uuid()).collect::<Vec<Uuid>>(),
        &jobs.iter().map(|(job, _)| job.delivery_id.uuid()).collect::<Vec<Uuid>>(),
        &jobs.iter().map(|(job, _)| job.attempts).collect::<Vec<i32>>(),
        &jobs.iter().map(|(job, _)| job.endpoint_id.uuid()).collect::<Vec<Uuid>>(),
        &jobs.iter().map(|(job, _)| job.claims).collect::<Vec<i32>>(),
        &jobs.iter().map(|(_, wait)| wait.as_secs_f64()).collect::<Vec<f64>>(),
    );
    Ok(done.execute(conn).await?.rows_affected())
}
