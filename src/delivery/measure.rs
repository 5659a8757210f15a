//! How long telling takes.

use chrono::{DateTime, Utc};

use crate::model::delivery::Job;
use crate::model::retry::Verdict;

/// Counts an attempt that took `total_ms` and was over at `now`.
pub(super) fn attempt(job: &Job, verdict: &Verdict, (total_ms, now): (u32, DateTime<Utc>)) {
    metrics::histogram!("relay_attempt_duration_seconds").record(f64::from(total_ms) / 1e3);
    // Two clocks of this machine, or of two: a span that seems to be negative says nothing.
    if *verdict == Verdict::Succeeded
        && let Ok(took) = (now - job.told.received_at).to_std()
    {
        metrics::histogram!("relay_heard_to_answered_seconds").record(took);
    }
}
