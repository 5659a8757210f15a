//! A time as people say it on a command line: `2h`, `yesterday`, `2026-11-27`, or in full.
//!
//! Days begin at midnight UTC, as every time of the interface is UTC. What is said is relative until it is asked with a
//! clock: the one of the caller.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

/// What was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    At(DateTime<Utc>),
    /// So long before now.
    Ago(TimeDelta),
    /// The midnight that began the day so many days before today.
    Day(i64),
}

/// What cannot be read as a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a time: how long ago (90s, 15m, 2h, 7d, 1w), today, yesterday, a day (2026-11-27), or in full (2026-11-27T13:11:47Z)"
)]
pub struct NoMoment;

impl Moment {
    /// The time that is meant by somebody whose clock shows `now`.
    pub fn at(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => now.checked_sub_signed(span).unwrap_or(DateTime::UNIX_EPOCH),
            Self::Day(before) => {
                let today = now.date_naive();
                let day = TimeDelta::try_days(before).and_then(|days| today.checked_sub_signed(days));
                day.unwrap_or(today).and_time(NaiveTime::MIN).and_utc()
            }
        }
    }
}

impl FromStr for Moment {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        let text = text.trim();
        match text.to_ascii_lowercase().as_str() {
            "now" => return Ok(Self::Ago(TimeDelta::zero())),
            "today" => return Ok(Self::Day(0)),
            "yesterday" => return Ok(Self::Day(1)),
            _ => {}
        }
        if let Ok(day) = text.parse::<NaiveDate>() {
            return Ok(Self::At(day.and_time(NaiveTime::MIN).and_utc()));
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(time.to_utc()));
        }
        ago(text).map(Self::Ago).ok_or(NoMoment)
    }
}

/// `2h`, `1d12h`: numbers with units, the larger units first or not.
fn ago(text: &str) -> Option<TimeDelta> {
    let (mut span, mut rest) = (TimeDelta::zero(), text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next()?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        span = span.checked_add(&TimeDelta::try_seconds(count.checked_mul(seconds)?)?)?;
        rest = &rest[digits + unit.len_utf8()..];
    }
    (!text.is_empty()).then_some(span)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn meant(said: &str) -> String {
        let now = "2026-11-28T13:14:15.678Z".parse().unwrap();
        let moment = said.parse::<Moment>().unwrap_or_else(|error| panic!("{said}: {error}"));
        moment.at(now).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    }

    #[test]
    fn every_spelling_of_a_time_means_one_moment_of_the_given_clock() {
        for (said, expected) in [
            ("now", "2026-11-28T13:14:15.678Z"),
            ("90s", "2026-11-28T13:12:45.678Z"),
            ("15m", "2026-11-28T12:59:15.678Z"),
            ("2h", "2026-11-28T11:14:15.678Z"),
            ("1d12h", "2026-11-27T01:14:15.678Z"),
            ("7d", "2026-11-21T13:14:15.678Z"),
            ("1w", "2026-11-21T13:14:15.678Z"),
            ("today", "2026-11-28T00:00:00.000Z"),
            ("yesterday", "2026-11-27T00:00:00.000Z"),
            ("Yesterday", "2026-11-27T00:00:00.000Z"),
            ("2026-11-27", "2026-11-27T00:00:00.000Z"),
            ("2026-11-27T13:11:47.260Z", "2026-11-27T13:11:47.260Z"),
            ("2026-11-27T13:11:47+02:00", "2026-11-27T11:11:47.000Z"),
        ] {
            assert_eq!(meant(said), expected, "{said}");
        }
    }

    #[test]
    fn what_is_no_time_is_told_how_times_are_said() {
        for said in [
            "",
            "2",
            "h",
            "2 hours",
            "2x",
            "-2h",
            "tomorrow",
            "2026-13-01",
            "2026-11-27T13:11:47",
            "9999999999999999999h",
        ] {
            assert_eq!(said.parse::<Moment>(), Err(NoMoment), "{said}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn nothing_that_is_said_makes_the_clock_overflow(text in "\\PC{0,24}|[0-9]{1,19}[smhdw]{1,2}", seconds in any::<u32>()) {
            let now = DateTime::from_timestamp(seconds.into(), 0).unwrap();
            if let Ok(moment) = text.parse::<Moment>() {
                let _ = moment.at(now);
            }
        }
    }
}
