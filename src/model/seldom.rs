//! What may happen a thousand times in a second, told once a minute with how often it was.

use std::time::{Duration, Instant};

/// The least time between two tellings.
const EVERY: Duration = Duration::from_mins(1);

/// One such thing.
#[derive(Debug, Default)]
pub struct Seldom {
    told: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// It happened so many times more; none to ask for what is left to tell. Answers how often it was since it was last
    /// told, if it is to be told now.
    pub fn add(&mut self, times: u64, now: Instant) -> Option<u64> {
        self.untold += times;
        let is_time = self.told.is_none_or(|told| now.saturating_duration_since(told) >= EVERY);
        if self.untold == 0 || !is_time {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_all_the_time_is_told_at_once_and_then_once_a_minute_with_its_number() {
        let (mut seldom, began) = (Seldom::default(), Instant::now());
        let mut add = |times, seconds| seldom.add(times, began + Duration::from_secs(seconds));
        assert_eq!([add(0, 0), add(3, 0), add(2, 1), add(5, 59)], [None, Some(3), None, None]);
        assert_eq!([add(1, 60), add(0, 61), add(1, 62), add(0, 121)], [Some(8), None, None, Some(1)]);
        assert_eq!([add(0, 500), add(1, 501)], [None, Some(1)]);
    }
}
