//! How fast somebody may be called: a bucket that holds a few turns and fills at an even rate.
//!
//! It is the generic cell rate algorithm, which keeps one instant instead of a counter and a timer. Turns are handed out
//! in advance, so that callers that wait at the same time wait for different turns.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// Calls per second on average, and how many may come at once after a quiet time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Turns that come back each second.
    pub per_second: NonZeroU32,
    /// Turns that the bucket holds.
    pub burst: NonZeroU32,
}

/// The turns of one caller.
#[derive(Debug, Clone)]
pub struct Pace {
    interval: Duration,
    tolerance: Duration,
    /// When the bucket would be full again.
    full_at: Option<Instant>,
}

impl Pace {
    /// A full bucket.
    pub fn new(rate: Rate) -> Self {
        let interval = Duration::from_secs(1) / rate.per_second.get();
        Self { interval, tolerance: interval * (rate.burst.get() - 1), full_at: None }
    }

    /// Takes the next turn and answers how long to wait for it.
    pub fn turn(&mut self, now: Instant) -> Duration {
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        self.full_at = Some(full_at + self.interval);
        full_at.saturating_duration_since(now).saturating_sub(self.tolerance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(per_second: u32, burst: u32) -> Pace {
        let [per_second, burst] = [per_second, burst].map(|n| NonZeroU32::new(n).unwrap());
        Pace::new(Rate { per_second, burst })
    }

    #[test]
    fn after_a_burst_turns_come_at_an_even_rate() {
        let (mut pace, now) = (pace(10, 3), Instant::now());
        let waits: Vec<u128> = (0..6).map(|_| pace.turn(now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 100, 200, 300]);
    }

    #[test]
    fn a_quiet_time_fills_the_bucket_but_no_more_than_that() {
        let (mut pace, start) = (pace(10, 2), Instant::now());
        for _ in 0..5 {
            pace.turn(start);
        }
        let later = start + Duration::from_hours(1);
        let waits: Vec<u128> = (0..4).map(|_| pace.turn(later).as_millis()).collect();
        assert_eq!(waits, [0, 0, 100, 200]);
    }
}
