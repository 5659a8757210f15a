//! Whether this machine's clock is right: receivers refuse callbacks whose signed time is minutes off.

use chrono::{DateTime, TimeDelta, Utc};

/// A clock further off than this, in seconds, is wrong. Receivers tolerate five minutes (Standard Webhooks).
pub const TOLERATED: f64 = 60.0;

/// How far this clock is ahead of others, in seconds; what was not compared yet is 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ahead {
    /// Of the database's.
    pub of_database: f64,
    /// Of Transak's, as its answers tell it.
    pub of_transak: f64,
}

impl Ahead {
    /// The clocks that disagree with this one, each with how far this one is ahead.
    pub fn wrong(&self) -> impl Iterator<Item = (&'static str, f64)> {
        [("the database's", self.of_database), ("Transak's", self.of_transak)]
            .into_iter()
            .filter(|(_, ahead)| ahead.abs() > TOLERATED)
    }
}

/// How far this clock is ahead of another one that was asked at `asked`, had answered by `answered`, and said `theirs`.
pub fn ahead((asked, answered): (DateTime<Utc>, DateTime<Utc>), theirs: DateTime<Utc>) -> f64 {
    (asked + (answered - asked) / 2 - theirs).as_seconds_f64()
}

/// Seconds as a difference of two times, to the millisecond; what is no number is none.
pub fn difference(seconds: f64) -> TimeDelta {
    #[expect(clippy::cast_possible_truncation, reason = "it saturates")]
    let milliseconds = (seconds * 1000.0).clamp(-1e12, 1e12) as i64;
    TimeDelta::milliseconds(milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_noticed_in_either_direction_and_a_slow_answer_is_no_difference() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let hour = TimeDelta::hours(1);
        let offset = |theirs| ahead((now, now), theirs);
        let wrong = |of_database| Ahead { of_database, of_transak: 0.0 }.wrong().count();
        assert_eq!((offset(now - hour), wrong(offset(now - hour))), (3600.0, 1));
        assert_eq!((offset(now + hour), wrong(offset(now + hour))), (-3600.0, 1));
        let slow = ahead((now, now + TimeDelta::seconds(10)), now + TimeDelta::seconds(5));
        assert_eq!((slow, wrong(slow)), (0.0, 0));
    }

    #[test]
    fn seconds_become_a_difference_whatever_they_are() {
        let milliseconds = |seconds| difference(seconds).num_milliseconds();
        assert_eq!([1.5, -600.0, 0.0, f64::NAN].map(milliseconds), [1500, -600_000, 0, 0]);
        assert_eq!([f64::INFINITY, -1e300].map(milliseconds), [1_000_000_000_000, -1_000_000_000_000]);
    }
}
