//! One delivery from its turn to its result.

use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use http::{HeaderName, HeaderValue};
use tokio::sync::mpsc;

use super::compose::compose;
use super::finisher::{Done, Tried};
use super::measure;
use super::record::{not_sent, record};
use super::sender::{CallbackRequest, Sender};
use super::targets::Targets;
use crate::model::announcement;
use crate::model::attempt::AttemptRecord;
use crate::model::delivery::Job;
use crate::model::queue::{Ended, HandOver};
use crate::model::retry::{Jitter, Moment, Outcome, Verdict};
use crate::model::target::Target;
use crate::trace::{Span, SpanKind};

/// What deliveries are sent with.
pub(super) struct Courier {
    pub(super) sender: Sender,
    pub(super) targets: Targets,
    pub(super) queues: HandOver,
}

/// Sends one delivery and hands its result to the finisher.
pub(super) async fn deliver(courier: Arc<Courier>, job: Job, done: mpsc::Sender<Done>) {
    let id = job.endpoint_id;
    if job.is_out_of_lane() {
        courier.queues.with(|queues| queues.ended_unsent(id));
        // The finisher outlives every delivery, unless the process is being torn down.
        let _ = done.send(Done::OutOfLane(job)).await;
        return;
    }
    let result = match courier.targets.of(&job).await {
        Ok(Some(target)) => courier.attempt(job, &target).await,
        Ok(None) => {
            courier.queues.with(|queues| queues.ended_unsent(id));
            Done::Orphaned(job)
        }
        Err(error) => {
            courier.queues.with(|queues| queues.ended_unsent(id));
            tracing::error!(error = &error as &dyn std::error::Error, endpoint.id = %id, "an endpoint cannot be read; its delivery waits");
            // Not given back at once, or it would be claimed and fail again in a hot loop: the lease runs out.
            return;
        }
    };
    let _ = done.send(result).await;
}

impl Courier {
    async fn attempt(&self, job: Job, target: &Target) -> Done {
        let (began, at) = (Instant::now(), Utc::now());
        let span = Span::begin("attempt", SpanKind::Client, (job.told.trace, at));
        let (outcome, attempt) = match compose(&job, target, at) {
            Ok(mut request) => {
                place(span.as_ref(), &mut request);
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
        if let Some(span) = span {
            end_span(&span, &job, &outcome);
        }
        log(&job, &attempt, verdict);
        Done::Tried(Box::new(Tried { job, verdict, asked: outcome.is_asked_to_wait(), attempt, effect }))
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
        Outcome::Failed { kind } => span.fail(kind),
    }
    span.end();
}

/// Somebody waits for the answer of a test: a later one is of no use.
fn once_only(job: &Job, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Retry { .. } if job.told.event == announcement::TEST => Verdict::Exhausted,
        verdict => verdict,
    }
}

fn log(job: &Job, attempt: &AttemptRecord, verdict: Verdict) {
    tracing::info!(
        delivery.id = %job.delivery_id, endpoint.id = %job.endpoint_id, event.id = %job.told.event_id,
        attempt = job.attempts, status_code = attempt.status_code, duration_ms = attempt.durations.total,
        error = attempt.error, ?verdict, "attempt"
    );
}
