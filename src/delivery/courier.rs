//! One delivery after another, each from its turn to its result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use http::{HeaderName, HeaderValue};
use tokio::sync::mpsc;

use super::compose::compose;
use super::finisher::{Done, Tried};
use super::measure;
use super::record::{not_sent, record};
use super::sender::{CallbackRequest, SendError, Sender};
use super::targets::Targets;
use crate::model::announcement;
use crate::model::attempt::AttemptRecord;
use crate::model::delivery::Job;
use crate::model::queue::{Ended, HandOver};
use crate::model::retry::{Jitter, Moment, Outcome, Verdict};
use crate::model::target::Target;
use crate::trace::{Span, SpanKind};

/// How long a delivery waits whose endpoint could not be read.
const UNREADABLE: Duration = Duration::from_secs(10);

/// How long a delivery waits that could not be sent because this machine has no file, port or memory left.
const SHORTAGE: Duration = Duration::from_secs(2);

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
        let result = courier.settle(job).await;
        // The finisher outlives every delivery, unless the process is being torn down.
        let _ = done.send(result).await;
        next = courier.queues.next();
    }
    count
}

impl Courier {
    /// Ends a delivery that was started.
    async fn settle(&self, job: Job) -> Done {
        let (id, place, of) = (job.endpoint_id, job.place(), job.delivery_id);
        if job.is_out_of_lane() {
            self.queues.with(|queues| queues.ended_unsent(place, of));
            return Done::OutOfLane(job);
        }
        if job.told.payload.is_empty() {
            self.queues.with(|queues| queues.ended_unsent(place, of));
            tracing::error!(delivery.id = %job.delivery_id, "what a delivery tells is not kept any more; it is cancelled");
            return Done::Orphaned(job);
        }
        match self.targets.of(&job).await {
            Ok(Some(target)) => self.attempt(job, &target).await,
            Ok(None) => {
                self.queues.with(|queues| queues.ended_unsent(place, of));
                Done::Orphaned(job)
            }
            Err(error) => {
                self.queues.with(|queues| queues.ended_unsent(place, of));
                tracing::error!(error = &error as &dyn std::error::Error, endpoint.id = %id, "an endpoint cannot be read; its delivery waits");
                // Not due at once, or it would be claimed and fail again in a hot loop.
                Done::Unsent(job, UNREADABLE)
            }
        }
    }

    async fn attempt(&self, job: Job, target: &Target) -> Done {
        let (began, at) = (Instant::now(), Utc::now());
        let span = Span::begin("attempt", SpanKind::Client, (job.told.trace, at));
        let (outcome, attempt) = match compose(&job, target, at) {
            Ok(mut request) => {
                place(span.as_ref(), &mut request);
                let attempt = self.sender.send(request).await;
                if attempt.error == Some(SendError::Shortage) {
                    return self.no_attempt(job);
                }
                (attempt.outcome(), record(attempt, at))
            }
            Err(error) => (Outcome::NotSent { kind: error.kind() }, not_sent(&error, at)),
        };
        let moment = Moment { now: Utc::now(), jitter: Jitter::per_mille(fastrand::u16(0..=1000)) };
        let verdict = once_only(&job, target.policy.verdict(&outcome, job.tries(), moment));
        let ended = Ended {
            of: job.delivery_id,
            succeeded: verdict == Verdict::Succeeded,
            found: outcome.found(),
            gone: verdict == Verdict::Gone,
            began,
        };
        let effect = self.queues.with(|queues| queues.ended(job.place(), ended, Instant::now()));
        measure::attempt(&job, &verdict, (attempt.durations.total, moment.now));
        if let Some(span) = span {
            end_span(&span, &job, &outcome);
        }
        log(&job, &attempt, verdict);
        Done::Tried(Box::new(Tried { job, verdict, asked: outcome.asked_wait(moment.now), attempt, effect }))
    }
}

impl Courier {
    /// Nothing was sent, for a reason that says nothing of the receiver.
    fn no_attempt(&self, job: Job) -> Done {
        self.queues.with(|queues| queues.ended_unsent(job.place(), job.delivery_id));
        metrics::counter!("relay_delivery_shortages_total").increment(1);
        tracing::warn!(
            delivery.id = %job.delivery_id,
            "this machine has no file, port or memory left for a callback: the delivery waits; raise its limit of open files"
        );
        Done::Unsent(job, SHORTAGE)
    }
}

/// Tells the receiver which span its work belongs to.
fn place(span: Option<&Span>, request: &mut CallbackRequest) {
    if let Some(place) = span.and_then(Span::context)
        && let Ok(value) = HeaderValue::try_from(place.to_string())
    {
        request.headers.insert(HeaderName::from_static("traceparent"), value);
    }
}

fn end_span(span: &Span, job: &Job, outcome: &Outcome) {
    span.set("relay.event.id", job.told.event_id.to_string());
    span.set("relay.delivery.id", job.delivery_id.to_string());
    span.set("relay.endpoint.id", job.endpoint_id.to_string());
    span.set("relay.attempt", i64::from(job.attempts));
    match outcome {
        Outcome::Answered { status, .. } => {
            span.set("http.response.status_code", i64::from(*status));
            if !(200..300).contains(status) {
                span.fail("status");
            }
        }
        Outcome::Failed { kind } | Outcome::NotSent { kind } => span.fail(kind),
    }
    span.end();
}

/// Somebody waits for the answer of a test: a later one is of no use.
fn once_only(job: &Job, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Retry { .. } if announcement::is_test(&job.told.event) => Verdict::Exhausted,
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
