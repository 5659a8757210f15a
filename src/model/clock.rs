//! Whether this machine's clock is right: receivers refuse callbacks whose signed time is minutes off.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

/// A clock further off than this, in seconds, is wrong. Receivers tolerate five minutes (Standard Webhooks).
pub const TOLERATED: f64 = 60.0;

/// How far this clock is ahead of others, in seconds; what was not compared yet is 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ahead {
    /// Of the database's.
    pub of_database: f64,
    /// Of Transak's, as the middle of its last answers tells it.
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

/// What the last answers of another clock said. Some of them may be wrong: a proxy's, or one that waited somewhere.
#[derive(Debug, Default)]
pub struct Answers(VecDeque<f64>);

/// So many count.
const LAST: usize = 5;

/// Fewer are no reason to say that a clock is wrong.
const ENOUGH: usize = 3;

impl Answers {
    /// One more, in seconds that this clock is ahead.
    pub fn note(&mut self, ahead: f64) {
        if self.0.len() == LAST {
            self.0.pop_front();
        }
        self.0.push_back(ahead);
    }

    /// The middle of them, the nearer to none if there are two; nothing before the first.
    pub fn middle(&self) -> f64 {
        let mut sorted: Vec<f64> = self.0.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
        let (one, other) = (sorted[last / 2], sorted[last.div_ceil(2)]);
        if one.abs() < other.abs() { one } else { other }
    }

    /// The same, once there are enough to be believed.
    pub fn believed(&self) -> f64 {
        if self.0.len() < ENOUGH { 0.0 } else { self.middle() }
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

    /// What is known and what is believed after these answers.
    fn known(answers: &[f64]) -> (f64, f64) {
        let mut known = Answers::default();
        for ahead in answers {
            known.note(*ahead);
        }
        (known.middle(), known.believed())
    }

    #[test]
    fn a_few_wrong_answers_are_not_believed_and_most_of_them_are() {
        assert_eq!(known(&[]), (0.0, 0.0));
        assert_eq!(known(&[3600.0]), (3600.0, 0.0), "one is all that is known, and not enough to be red");
        assert_eq!(known(&[0.5, 3600.0]), (0.5, 0.0));
        assert_eq!(known(&[3600.0, 0.5, 0.4]), (0.5, 0.5));
        assert_eq!(known(&[0.1, 0.2, 0.3, 3600.0, -7200.0]), (0.2, 0.2));
        assert_eq!(known(&[0.1, 0.2, 3600.0, 3601.0, 3602.0]), (3600.0, 3600.0), "its clock was set");
        assert_eq!(known(&[3600.0, 3600.0, 3600.0, 0.1, 0.2, 0.3]), (0.3, 0.3), "and set right again");
    }

    #[test]
    fn seconds_become_a_difference_whatever_they_are() {
        let milliseconds = |seconds| difference(seconds).num_milliseconds();
        assert_eq!([1.5, -600.0, 0.0, f64::NAN].map(milliseconds), [1500, -600_000, 0, 0]);
        assert_eq!([f64::INFINITY, -1e300].map(milliseconds), [1_000_000_000_000, -1_000_000_000_000]);
    }
}
