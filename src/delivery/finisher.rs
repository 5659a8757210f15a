//! Writes back how attempts went, in batches: whatever has gathered since the last write.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::model::attempt::AttemptRecord;
use crate::model::delivery::{DeliveryState, Job};
use crate::model::id::{EndpointId, PartnerId};
use crate::model::retry::Verdict;
use crate::store::delivery::claim::release;
use crate::store::delivery::finish::{Finished, finish};
use crate::store::{self, attempt, endpoint};

const LARGEST_BATCH: usize = 500;

/// How long to wait before a database that is not available is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// How a job ended.
#[derive(Debug)]
pub(super) enum Done {
    /// It was sent, or failed to be.
    Tried { job: Job, verdict: Verdict, attempt: Box<AttemptRecord> },
    /// Its endpoint is gone: owed no more.
    Orphaned(Job),
    /// It was not sent after all: the attempt does not count.
    Unsent(Job),
}

/// Writes back until every sender of `done` is gone.
pub(super) async fn run(pool: PgPool, mut done: mpsc::Receiver<Done>) {
    let mut batch = Vec::with_capacity(LARGEST_BATCH);
    while done.recv_many(&mut batch, LARGEST_BATCH).await > 0 {
        write(&pool, &batch).await;
        batch.clear();
    }
}

async fn write(pool: &PgPool, batch: &[Done]) {
    loop {
        match write_once(pool, batch).await {
            Ok(()) => return,
            Err(error) if matches!(error, store::Error::Refused(_)) => {
                // The leases run out and the deliveries are sent again; nothing is lost, but somebody must look.
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    attempts = batch.len(),
                    "attempts could not be written back"
                );
                return;
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    attempts = batch.len(),
                    "attempts wait for the database"
                );
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn write_once(pool: &PgPool, batch: &[Done]) -> store::Result<()> {
    let finished: Vec<Finished> = batch.iter().filter_map(finished).collect();
    let attempts: Vec<_> = batch.iter().filter_map(attempted).collect();
    let unsent: Vec<Job> = batch
        .iter()
        .filter_map(|done| if let Done::Unsent(job) = done { Some(job.clone()) } else { None })
        .collect();
    let mut tx = pool.begin().await?;
    let ours = if finished.is_empty() { Vec::new() } else { finish(&mut tx, &finished).await? };
    if !attempts.is_empty() {
        attempt::write::insert(&mut tx, &attempts).await?;
    }
    if !unsent.is_empty() {
        release(&mut tx, &unsent).await?;
    }
    judge_endpoints(&mut tx, batch).await?;
    tx.commit().await?;
    count(batch);
    if ours.len() < finished.len() {
        let late = finished.len() - ours.len();
        metrics::counter!("relay_delivery_late_write_backs_total").increment(late as u64);
        tracing::warn!(
            late,
            "attempts came back after their lease had passed to another process; its result stands"
        );
    }
    Ok(())
}

async fn judge_endpoints(tx: &mut sqlx::PgConnection, batch: &[Done]) -> store::Result<()> {
    let (mut failing, mut answering, mut gone) = (HashSet::new(), HashSet::new(), HashSet::new());
    for done in batch {
        if let Done::Tried { job, verdict, .. } = done {
            let place: (PartnerId, EndpointId) = (job.partner_id, job.endpoint_id);
            match verdict {
                Verdict::Succeeded => answering.insert(place),
                Verdict::Gone => gone.insert(place),
                Verdict::Retry { .. } | Verdict::Exhausted => failing.insert(place),
            };
        }
    }
    let failing: Vec<_> = failing.difference(&answering).copied().collect();
    if !failing.is_empty() {
        endpoint::health::mark_failing(tx, &failing).await?;
    }
    if !answering.is_empty() {
        endpoint::health::mark_answering(tx, &answering.into_iter().collect::<Vec<_>>()).await?;
    }
    for place in gone {
        if endpoint::health::disable(tx, place, "the endpoint answered 410 Gone").await? {
            tracing::warn!(partner.id = %place.0, endpoint.id = %place.1, "an endpoint answered 410 Gone and is disabled");
        }
    }
    Ok(())
}

fn finished(done: &Done) -> Option<Finished> {
    let (job, state, retry_after, status_code) = match done {
        Done::Tried { job, verdict, attempt } => {
            let (state, retry_after) = match verdict {
                Verdict::Succeeded => (DeliveryState::Succeeded, None),
                Verdict::Retry { after } => (DeliveryState::Pending, Some(*after)),
                Verdict::Exhausted | Verdict::Gone => (DeliveryState::Exhausted, None),
            };
            (job, state, retry_after, attempt.status_code.and_then(|code| i16::try_from(code).ok()))
        }
        Done::Orphaned(job) => (job, DeliveryState::Cancelled, None, None),
        Done::Unsent(_) => return None,
    };
    Some(Finished { job: job.clone(), state, retry_after, status_code })
}

fn attempted(done: &Done) -> Option<(&Job, &AttemptRecord)> {
    match done {
        Done::Tried { job, attempt, .. } => Some((job, attempt.as_ref())),
        Done::Orphaned(_) | Done::Unsent(_) => None,
    }
}

fn count(batch: &[Done]) {
    for done in batch {
        let outcome = match done {
            Done::Tried { verdict: Verdict::Succeeded, .. } => "succeeded",
            Done::Tried { verdict: Verdict::Retry { .. }, .. } => "failed",
            Done::Tried { verdict: Verdict::Exhausted, .. } => "exhausted",
            Done::Tried { verdict: Verdict::Gone, .. } => "gone",
            Done::Orphaned(_) => "cancelled",
            Done::Unsent(_) => "unsent",
        };
        metrics::counter!("relay_deliveries_total", "outcome" => outcome).increment(1);
    }
}
