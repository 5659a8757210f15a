//! When a delivery is tried again, and when it is over.
//!
//! Guarantees: only 2xx is success; 410 ends the endpoint; everything else is tried again until the schedule is used up.
//! A `Retry-After` on 429 or 503 can postpone the next try, up to [`MAX_POSTPONEMENT`], but never makes it sooner than
//! the schedule has it and never costs a try.
//! Does not guarantee: pauses and rate limits. They happen before an attempt is made and are no business of this.

use std::time::Duration;

use chrono::{DateTime, Utc};
use thiserror::Error;

/// Longest time a `Retry-After` can postpone a try: a receiver may ask for patience, not to be forgotten.
pub const MAX_POSTPONEMENT: Duration = Duration::from_hours(24);
/// Most entries of a schedule.
pub const MAX_ENTRIES: usize = 50;
/// Shortest and longest wait of a schedule, in seconds.
pub const WAIT_SECONDS: std::ops::RangeInclusive<u64> = 1..=7 * 86_400;

/// The waits after each failed try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule(Vec<Duration>);

/// Why a list of seconds is not a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidRetrySchedule {
    /// More than [`MAX_ENTRIES`].
    #[error("must have at most {MAX_ENTRIES} entries")]
    TooLong,
    /// Outside [`WAIT_SECONDS`].
    #[error("every entry must be from {} to {} seconds", WAIT_SECONDS.start(), WAIT_SECONDS.end())]
    Wait,
}

impl RetrySchedule {
    /// A schedule from waits in seconds. An empty one means that nothing is tried again.
    pub fn parse(seconds: &[u64]) -> Result<Self, InvalidRetrySchedule> {
        if seconds.len() > MAX_ENTRIES {
            return Err(InvalidRetrySchedule::TooLong);
        }
        if !seconds.iter().all(|wait| WAIT_SECONDS.contains(wait)) {
            return Err(InvalidRetrySchedule::Wait);
        }
        Ok(Self(seconds.iter().copied().map(Duration::from_secs).collect()))
    }

    /// The waits in seconds.
    pub fn seconds(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().map(Duration::as_secs)
    }
}

/// Ten tries over about three days, the first ones close together, as the Standard Webhooks specification suggests.
impl Default for RetrySchedule {
    fn default() -> Self {
        let seconds = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
        Self(seconds.map(Duration::from_secs).to_vec())
    }
}

/// What came of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// Its `Retry-After`, where it could be read.
        retry_after: Option<RetryAfter>,
    },
    /// There was no answer. The kind is a label from a closed set, such as `dns` or `timeout`.
    Failed {
        /// Why, in one word.
        kind: &'static str,
    },
    /// There was no request: what is owed cannot be made into one.
    NotSent {
        /// Why, in one word.
        kind: &'static str,
    },
}

impl Outcome {
    /// What it says of the endpoint itself, beside what it says of this delivery.
    pub fn found(&self) -> Found {
        match self {
            Self::Answered { status: 429, .. } => Found::Down,
            Self::Answered { status: 500.., .. } => Found::Erring,
            Self::Answered { .. } | Self::NotSent { .. } => Found::Up,
            Self::Failed { .. } => Found::Silent,
        }
    }

    /// How long from `now` the receiver asked to be spared, if it did: nothing may hasten the next try below that.
    pub fn asked_wait(&self, now: DateTime<Utc>) -> Option<Duration> {
        match self {
            Self::Answered { status: 429 | 503, retry_after } => retry_after.map(|asked| asked.wait(now)),
            _ => None,
        }
    }
}

/// How an endpoint was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing says that it is down, though it may have refused this delivery.
    Up,
    /// It answers with an error of its own (5xx): to this event, or to all of them.
    Erring,
    /// It answers that it can take nothing now: 429.
    Down,
    /// It does not answer.
    Silent,
}

/// What becomes of the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Delivered.
    Succeeded,
    /// To be tried again.
    Retry {
        /// How long from now.
        after: Duration,
    },
    /// Not delivered, and not tried again by itself.
    Exhausted,
    /// Not delivered, and the endpoint wants nothing any more (410).
    Gone,
}

/// A `Retry-After` header (RFC 9110 §10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// Wait this long.
    Wait(Duration),
    /// Come back then.
    At(DateTime<Utc>),
}

impl RetryAfter {
    /// Reads whole seconds or an HTTP date. Anything else, a sign or a fraction included, is nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t']);
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // More digits than fit mean "very long", and that is capped anyway.
            return Some(Self::Wait(Duration::from_secs(text.parse().unwrap_or(u64::MAX))));
        }
        httpdate::parse_http_date(text).ok().map(|at| Self::At(at.into()))
    }

    /// The wait from `now`, capped; zero if the date has passed.
    pub fn wait(self, now: DateTime<Utc>) -> Duration {
        let wait = match self {
            Self::Wait(wait) => wait,
            Self::At(at) => (at - now).to_std().unwrap_or_default(),
        };
        wait.min(MAX_POSTPONEMENT)
    }
}

/// Where in the ±10 % a wait falls: 0 is ten per cent sooner, 500 exact, 1000 ten per cent later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jitter(u16);

impl Jitter {
    /// No jitter.
    pub const NONE: Self = Self(500);

    /// A share of a thousand; more counts as a thousand.
    pub const fn per_mille(share: u16) -> Self {
        Self(if share > 1000 { 1000 } else { share })
    }

    /// `wait` times 0.9 to 1.1, in whole milliseconds.
    fn apply(self, wait: Duration) -> Duration {
        let share = 9_000 + 2 * u32::from(self.0);
        let jittered = wait * share / 10_000;
        Duration::from_millis(u64::try_from(jittered.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The moment a verdict is given: the two things that are not in its other arguments.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The time by which a date in `Retry-After` is judged.
    pub now: DateTime<Utc>,
    /// The draw for this wait.
    pub jitter: Jitter,
}

/// How an endpoint's deliveries are tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The waits.
    pub schedule: RetrySchedule,
}

impl RetryPolicy {
    /// What becomes of a delivery after `tries_made` attempts, the one just made included.
    pub fn verdict(&self, outcome: &Outcome, tries_made: u32, moment: Moment) -> Verdict {
        match *outcome {
            Outcome::Answered { status: 200..=299, .. } => return Verdict::Succeeded,
            Outcome::Answered { status: 410, .. } => return Verdict::Gone,
            Outcome::Answered { .. } | Outcome::Failed { .. } | Outcome::NotSent { .. } => {}
        }
        let index = usize::try_from(tries_made.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(&scheduled) = self.schedule.0.get(index) else {
            return Verdict::Exhausted;
        };
        let asked = outcome.asked_wait(moment.now).unwrap_or_default();
        Verdict::Retry { after: moment.jitter.apply(scheduled).max(asked) }
    }
}

#[cfg(test)]
mod tests;
