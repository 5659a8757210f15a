//! One delivery after another, each from its turn to its result.

use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use tokio::sync::mpsc;

use super::compose::compose;
use super::finisher::{Done, Tried};
use super::measure;
use super::record::{not_sent, record};
use super::sender::Sender;
use super::targets::Targets;
use crate::model::announcement;
use crate::model::attempt::AttemptRecord;
use crate::model::delivery::Job;
use crate::model::queue::{Ended, HandOver};
use crate::model::retry::{Jitter, Moment, Outcome, Verdict};
use crate::model::target::Target;

/// What deliveries are sent with.
pub(super) struct Courier {
    pub(super) sender: Sender,
    pub(super) targets: Targets,
    pub(super) queues: HandOver,
}

/// Sends a delivery and then whatever has its turn next, until nothing may be sent now, and hands the results to the
/// finisher. Answers how many that were.
///
/// Taking the next one here, and not in a task of its own, keeps a slot busy without waking anybody.
pub(super) async fn deliver(courier: Arc<Courier>, first: Job, done: mpsc::Sender<Done>) -> usize {
    let (mut next, mut count) = (Some(first), 0);
    while let Some(job) = next {
        count += 1;
        if let Some(result) = courier.settle(job).await {
            // The finisher outlives every delivery, unless the process is being torn down.
            let _ = done.send(result).await;
        }
        next = courier.queues.next();
    }
    count
}

impl Courier {
    /// Ends a delivery that was started; `None`: nothing is to be written.
    async fn settle(&self, job: Job) -> Option<Done> {
        let id = job.endpoint_id;
        if job.is_out_of_lane() {
            self.queues.with(|queues| queues.ended_unsent(id));
            return Some(Done::OutOfLane(job));
        }
        match self.targets.of(&job).await {
            Ok(Some(target)) => Some(self.attempt(job, &target).await),
            Ok(None) => {
                self.queues.with(|queues| queues.ended_unsent(id));
                Some(Done::Orphaned(job))
            }
            Err(error) => {
                self.queues.with(|queues| queues.ended_unsent(id));
                tracing::error!(error = &error as &dyn std::error::Error, endpoint.id = %id, "an endpoint cannot be read; its delivery waits");
                // Not given back at once, or it would be claimed and fail again in a hot loop: the lease runs out.
                None
            }
        }
    }

    async fn attempt(&self, job: Job, target: &Target) -> Done {
        let (began, at) = (Instant::now(), Utc::now());
        let (outcome, attempt) = match compose(&job, target, at) {
            Ok(request) => {
                let attempt = self.sender.send(request).await;
                (attempt.outcome(), record(attempt, at))
            }
            Err(error) => (Outcome::Failed { kind: error.kind() }, not_sent(&error, at)),
        };
        let moment = Moment { now: Utc::now(), jitter: Jitter::per_mille(fastrand::u16(0..=1000)) };
        let verdict = once_only(&job, target.policy.verdict(&outcome, job.tries(), moment));
        let ended = Ended {
            succeeded: verdict == Verdict::Succeeded,
            answered: matches!(outcome, Outcome::Answered { .. }),
            began,
        };
        let effect = self.queues.with(|queues| queues.ended(job.endpoint_id, ended, Instant::now()));
        measure::attempt(&job, &verdict, (attempt.durations.total, moment.now));
        log(&job, &attempt, verdict);
        Done::Tried(Box::new(Tried { job, verdict, asked: outcome.is_asked_to_wait(), attempt, effect }))
    }
}

/// Somebody waits for the answer of a test: a later one is of no use.
fn once_only(job: &Job, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Retry { .. } if job.told.event == announcement::TEST => Verdict::Exhausted,
        verdict => verdict,
    }
}

/// A success stands in the attempt log and in the metrics; as a line for each it would cost more than sending it.
fn log(job: &Job, attempt: &AttemptRecord, verdict: Verdict) {
    if verdict == Verdict::Succeeded {
        tracing::debug!(
            delivery.id = %job.delivery_id, endpoint.id = %job.endpoint_id, event.id = %job.told.event_id,
            attempt = job.attempts, status_code = attempt.status_code, duration_ms = attempt.durations.total, "attempt"
        );
    } else {
        tracing::info!(
            delivery.id = %job.delivery_id, endpoint.id = %job.endpoint_id, event.id = %job.told.event_id,
            attempt = job.attempts, status_code = attempt.status_code, duration_ms = attempt.durations.total,
            error = attempt.error, ?verdict, "attempt"
        );
    }
}
