//! How long to wait before the next attempt.
//!
//! Guarantees: apart from one prompt attempt per stable connection, two attempts are at least
//! [`Timing::backoff_floor`] apart, whatever the server answers and however the dice fall.

use std::time::Duration;

use crate::pusher::Timing;

/// Answers a random duration between zero and its argument. Handed in, so that a test can decide the dice.
pub type Jitter = Box<dyn FnMut(Duration) -> Duration + Send>;

/// Counts what went wrong since the last stable connection.
pub(super) struct Backoff {
    failures: u32,
    prompt_spent: bool,
    jitter: Jitter,
}

impl Backoff {
    pub(super) fn new(jitter: Jitter) -> Self {
        Self { failures: 0, prompt_spent: false, jitter }
    }

    /// A connection stood long enough: what was before it no longer counts.
    pub(super) fn forget(&mut self) {
        self.failures = 0;
        self.prompt_spent = false;
    }

    /// The pause before reconnecting "immediately". Only the first time; a server that keeps asking for it gets the
    /// back-off, or the two would spin.
    pub(super) fn prompt(&mut self, timing: &Timing) -> Duration {
        if self.prompt_spent {
            return self.pause(timing);
        }
        self.prompt_spent = true;
        self.roll(timing.prompt)
    }

    /// The next pause: evenly spread between the floor and a ceiling that doubles with each failure.
    pub(super) fn pause(&mut self, timing: &Timing) -> Duration {
        let doubled = timing.backoff_floor.saturating_mul(2_u32.saturating_pow(self.failures));
        let ceiling = doubled.min(timing.backoff_ceiling);
        self.failures = self.failures.saturating_add(1);
        timing.backoff_floor + self.roll(ceiling.saturating_sub(timing.backoff_floor))
    }

    fn roll(&mut self, span: Duration) -> Duration {
        (self.jitter)(span).min(span)
    }
}
