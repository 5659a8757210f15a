//! Rate limits: so many requests a second, and how many at once after a pause. A token bucket in whole nanoseconds, on a
//! clock that is handed in.

use std::time::{Duration, Instant};

use thiserror::Error;

/// The most requests a second.
const MOST_PER_SECOND: u32 = 10_000;
/// The most requests at once.
const MOST_BURST: u64 = 10_000;

/// What has its token within this time may as well wait here.
const SOON: Duration = Duration::from_millis(500);

/// So many requests in a thousand seconds, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    thousandths: u32,
    burst: u32,
}

/// Why something is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidRate {
    /// Zero, too much, too fine, or no decimal number.
    #[error("must be a number above 0 and up to {MOST_PER_SECOND}, with at most three decimals")]
    PerSecond,
    /// Out of range.
    #[error("must be from 1 to {MOST_BURST}")]
    Burst,
}

impl Rate {
    /// A rate from the JSON literal of its requests per second, which is never made a binary fraction, and its burst.
    pub fn parse(per_second: &str, burst: u64) -> Result<Self, InvalidRate> {
        let thousandths = thousandths(per_second).ok_or(InvalidRate::PerSecond)?;
        if !(1..=MOST_BURST).contains(&burst) {
            return Err(InvalidRate::Burst);
        }
        Ok(Self { thousandths, burst: u32::try_from(burst).map_err(|_| InvalidRate::Burst)? })
    }

    /// So many a second, and so many at once: neither is 0.
    pub(in crate::model) const fn of(per_second: u32, burst: u32) -> Self {
        Self { thousandths: per_second * 1000, burst }
    }

    /// A rate as it is stored.
    pub fn from_stored(thousandths: i32, burst: i32) -> Option<Self> {
        let (thousandths, burst) = (u32::try_from(thousandths).ok()?, u32::try_from(burst).ok()?);
        (thousandths > 0 && burst > 0).then_some(Self { thousandths, burst })
    }

    /// Requests in a thousand seconds, as it is stored.
    pub fn thousandths(self) -> i32 {
        i32::try_from(self.thousandths).unwrap_or(i32::MAX)
    }

    /// Requests at once.
    pub fn burst(self) -> u32 {
        self.burst
    }

    /// Requests per second, as the shortest JSON number.
    pub fn per_second(self) -> String {
        let (whole, rest) = (self.thousandths / 1000, self.thousandths % 1000);
        if rest == 0 {
            return whole.to_string();
        }
        format!("{whole}.{rest:03}").trim_end_matches('0').to_owned()
    }

    /// The time in which one token comes.
    fn interval(self) -> Duration {
        Duration::from_nanos(1_000_000_000_000 / u64::from(self.thousandths))
    }
}

fn thousandths(literal: &str) -> Option<u32> {
    let (whole, decimals) = literal.split_once('.').unwrap_or((literal, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 5 || decimals.len() > 3 || !digits(whole) || !digits(decimals) {
        return None;
    }
    let whole: u32 = whole.parse().ok()?;
    let decimals: u32 = format!("{decimals:0<3}").parse().ok()?;
    let thousandths = whole * 1000 + decimals;
    (1..=MOST_PER_SECOND * 1000).contains(&thousandths).then_some(thousandths)
}

/// The tokens of one endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    rate: Rate,
    /// When it is or was full: each token taken makes that later by one interval.
    full_at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self { rate, full_at: now }
    }

    /// An empty one.
    pub fn empty(rate: Rate, now: Instant) -> Self {
        Self { rate, full_at: now + rate.interval() * rate.burst }
    }

    /// Takes one token, or says when there is one.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let after = self.full_at.max(now) + self.rate.interval();
        let latest = now + self.rate.interval() * self.rate.burst;
        if after > latest {
            return Err(now + (after - latest));
        }
        self.full_at = after;
        Ok(())
    }

    /// How many tokens there are.
    pub fn tokens(&self, now: Instant) -> usize {
        let missing = self.full_at.saturating_duration_since(now);
        let room = (self.rate.interval() * self.rate.burst).saturating_sub(missing);
        usize::try_from(room.as_nanos() / self.rate.interval().as_nanos()).unwrap_or(usize::MAX)
    }

    /// How many there are, and come within half a second.
    pub fn tokens_soon(&self, now: Instant) -> usize {
        let coming = SOON.as_nanos() / self.rate.interval().as_nanos();
        self.tokens(now) + usize::try_from(coming).unwrap_or(usize::MAX)
    }

    /// When there is one.
    pub fn next_token_at(&self, now: Instant) -> Instant {
        let mut probe = *self;
        probe.take(now).err().unwrap_or(now)
    }

    /// The rate it was made for.
    pub fn rate(&self) -> Rate {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_rate_is_read_and_written_exactly() {
        for (literal, shown) in
            [("1", "1"), ("0.001", "0.001"), ("2.50", "2.5"), ("10000", "10000"), ("0.1", "0.1")]
        {
            assert_eq!(Rate::parse(literal, 1).unwrap().per_second(), shown);
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for literal in ["0", "0.0", "-1", "10000.001", "0.0001", "1e3", "", ".5", "100000", "\"1\"", "null"] {
            assert_eq!(Rate::parse(literal, 1), Err(InvalidRate::PerSecond), "{literal}");
        }
        for burst in [0, 10_001, u64::MAX] {
            assert_eq!(Rate::parse("1", burst), Err(InvalidRate::Burst), "{burst}");
        }
    }

    #[test]
    fn an_empty_bucket_says_when_its_first_token_comes() {
        let now = Instant::now();
        let mut bucket = Bucket::empty(Rate::parse("4", 10).unwrap(), now);
        assert_eq!(bucket.tokens(now), 0);
        let next = bucket.take(now).unwrap_err();
        assert_eq!(next - now, Duration::from_millis(250));
        assert_eq!(bucket.take(next), Ok(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_window_ever_sees_more_than_the_burst_and_what_came_in_it(
            thousandths in 1_i32..=10_000_000, burst in 1_i32..8, steps in prop::collection::vec(0_u64..2_000_000, 1..40)
        ) {
            let rate = Rate::from_stored(thousandths, burst).unwrap();
            let start = Instant::now();
            let mut bucket = Bucket::full(rate, start);
            let (mut now, mut taken) = (start, Vec::new());
            for step in steps {
                now += Duration::from_micros(step);
                while bucket.take(now).is_ok() {
                    taken.push(now);
                }
            }
            for (at, &from) in taken.iter().enumerate() {
                for (count, &until) in taken[at..].iter().enumerate() {
                    let came = (until - from).as_nanos() / rate.interval().as_nanos();
                    prop_assert!(count as u128 <= came + u128::from(rate.burst()));
                }
            }
        }
    }
}
