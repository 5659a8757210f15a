//! Results that the database does not take while it takes others: of an endpoint whose row somebody has locked, for example.
//! They wait in memory and are tried again in a session of its own, so that no other result waits for them.
//!
//! Guarantees: what waits is tried again within two seconds at most, divided until single results are left.
//! Does not guarantee: that a result is ever written. What a crash or a full memory takes is sent again when its lease runs
//! out, as is everything that waits longer than the lease.

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::finisher::{Done, write_once};
use crate::model::id::EndpointId;
use crate::store;
use crate::store::session::Session;

/// Batches that may wait to be looked at, and results that may wait to be written.
pub(super) const QUEUE: usize = 64;
const MOST_WAITING: usize = 10_000;

/// Between two tries.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// After so many failures one after the other it is not single results that cannot be written.
const MOST_FAILURES: u32 = 24;

/// Endpoints whose results wait: further ones are no hindrance to others either. Clones are of the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<Mutex<HashSet<EndpointId>>>);

impl Held {
    /// Those of a batch that wait as well, and the others.
    pub(super) fn split(&self, batch: Vec<Done>) -> (Vec<Done>, Vec<Done>) {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        batch.into_iter().partition(|done| held.contains(&done.job().endpoint_id))
    }

    fn set(&self, waiting: &[Done]) {
        let endpoints = waiting.iter().map(|done| done.job().endpoint_id).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = endpoints;
    }
}

/// What is to become of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Written,
    /// It will never be.
    Refused,
    Waits,
}

/// Writes what comes, time and again, until nothing comes any more; then once more. `written` is told of what was.
pub(super) async fn run(
    (pool, held): (PgPool, Held),
    mut refused: mpsc::Receiver<Vec<Done>>,
    written: impl Fn(&[Done]),
) {
    let session = Session::hurried(pool);
    let (mut waiting, mut pause, mut next) = (Vec::new(), SHORTEST, Instant::now());
    loop {
        let mut new = tokio::select! {
            biased;
            () = tokio::time::sleep_until(next), if !waiting.is_empty() => Some(std::mem::take(&mut waiting)),
            new = refused.recv() => new,
        };
        let is_over = new.is_none();
        let batch = new.take().unwrap_or_else(|| std::mem::take(&mut waiting));
        let before = batch.len();
        waiting.extend(attempt(&session, batch, &written).await);
        if waiting.len() > MOST_WAITING {
            tracing::error!(
                attempts = waiting.len() - MOST_WAITING,
                "too many attempts wait to be written back: some are forgotten and will be sent again"
            );
            waiting.drain(..waiting.len() - MOST_WAITING);
        }
        held.set(&waiting);
        if is_over {
            return;
        }
        pause = if waiting.len() < before { SHORTEST } else { (pause * 2).min(LONGEST) };
        next = Instant::now() + pause;
    }
}

/// Tries a batch. Answers what has to wait on.
async fn attempt(session: &Session, batch: Vec<Done>, written: impl Fn(&[Done])) -> Vec<Done> {
    let mut fates = vec![Fate::Waits; batch.len()];
    Box::pin(divide(session, &batch, &mut fates, &mut 0)).await;
    let mut sorted = (Vec::new(), Vec::new());
    for (done, fate) in batch.into_iter().zip(fates) {
        match fate {
            Fate::Written => sorted.0.push(done),
            Fate::Refused => {}
            Fate::Waits => sorted.1.push(done),
        }
    }
    written(&sorted.0);
    sorted.1
}

async fn divide(session: &Session, batch: &[Done], fates: &mut [Fate], failures: &mut u32) {
    if batch.is_empty() || *failures > MOST_FAILURES {
        return;
    }
    let error = match write_once(session, batch).await {
        Ok(()) => {
            *failures = 0;
            return fates.fill(Fate::Written);
        }
        Err(error) => error,
    };
    *failures += 1;
    if error.is_unavailable() {
        return;
    }
    if batch.len() > 1 {
        let middle = batch.len() / 2;
        let (first, second) = fates.split_at_mut(middle);
        Box::pin(divide(session, &batch[..middle], first, failures)).await;
        return Box::pin(divide(session, &batch[middle..], second, failures)).await;
    }
    if matches!(error, store::Error::Refused(_)) {
        // The lease runs out and the delivery is sent again; nothing is lost, but somebody must look.
        tracing::error!(error = &error as &dyn Error, "an attempt cannot be written back");
        fates.fill(Fate::Refused);
    }
}
