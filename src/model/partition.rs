//! The time partitions of a table: which there should be, and which are over.
//!
//! A partition is known by the end of its name, which says from when it is and how long: `p20261122` is a day,
//! `p2026112215` an hour, `p202611221504` a minute, all UTC. So partitions of different lengths, left by another
//! retention, can stand side by side.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Timelike as _, Utc};

const HOUR: Duration = Duration::from_hours(1);

/// How long one partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    Day,
    Hour,
    Minute,
}

impl Span {
    /// The length that makes retention drop about every 2 % or less of what it keeps, but at most a day. `None`: it
    /// keeps everything.
    pub fn of_retention(retention: Option<Duration>) -> Self {
        match retention {
            Some(kept) if kept < 2 * HOUR => Self::Minute,
            Some(kept) if kept < 48 * HOUR => Self::Hour,
            _ => Self::Day,
        }
    }

    fn length(self) -> TimeDelta {
        match self {
            Self::Day => TimeDelta::days(1),
            Self::Hour => TimeDelta::hours(1),
            Self::Minute => TimeDelta::minutes(1),
        }
    }

    /// How many partitions there are after the current one. Nothing is made for that long if no process runs.
    fn ahead(self) -> i32 {
        match self {
            Self::Day => 7,
            Self::Hour => 24,
            Self::Minute => 15,
        }
    }

    fn start(self, at: DateTime<Utc>) -> DateTime<Utc> {
        let minute = at.date_naive().and_hms_opt(at.hour(), at.minute(), 0).unwrap_or_default();
        let start = match self {
            Self::Day => at.date_naive().and_time(chrono::NaiveTime::MIN),
            Self::Hour => minute.with_minute(0).unwrap_or(minute),
            Self::Minute => minute,
        };
        start.and_utc()
    }
}

/// One partition: from its start until before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    start: DateTime<Utc>,
    span: Span,
}

impl Partition {
    /// The first moment in it.
    pub fn start(&self) -> DateTime<Utc> {
        self.start
    }

    /// The first moment after it.
    pub fn end(&self) -> DateTime<Utc> {
        self.start + self.span.length()
    }

    /// The end of its table's name.
    pub fn suffix(&self) -> String {
        let form = match self.span {
            Span::Day => "p%Y%m%d",
            Span::Hour => "p%Y%m%d%H",
            Span::Minute => "p%Y%m%d%H%M",
        };
        self.start.format(form).to_string()
    }

    /// Reads what [`Partition::suffix`] writes; `None` for any other text.
    pub fn parse(suffix: &str) -> Option<Self> {
        let digits = suffix.strip_prefix('p').filter(|rest| rest.bytes().all(|b| b.is_ascii_digit()))?;
        let (span, rest) = match digits.len() {
            8 => (Span::Day, "0000"),
            10 => (Span::Hour, "00"),
            12 => (Span::Minute, ""),
            _ => return None,
        };
        let start = NaiveDateTime::parse_from_str(&format!("{digits}{rest}"), "%Y%m%d%H%M").ok()?;
        Some(Self { start: start.and_utc(), span })
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end() && other.start < self.end()
    }

    /// Everything in it is older than `cutoff`, and has been for the length of one partition: what was heard late is in
    /// an older partition than what was heard with it.
    pub fn is_over(&self, cutoff: DateTime<Utc>) -> bool {
        self.end() + self.span.length() <= cutoff
    }
}

/// The partitions that are missing at the moment `now`: the current one and those ahead. None overlaps an existing one.
pub fn missing(existing: &[Partition], span: Span, now: DateTime<Utc>) -> Vec<Partition> {
    let first = span.start(now);
    (0..=span.ahead())
        .map(|step| Partition { start: first + span.length() * step, span })
        .filter(|wanted| !existing.iter().any(|other| wanted.overlaps(other)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    const NOW: &str = "2026-12-30T23:59:59.999Z";

    #[test]
    fn a_week_of_days_is_made_ahead_across_the_turn_of_a_year() {
        let made = missing(&[], Span::Day, at(NOW));
        assert_eq!(made.len(), 8);
        assert_eq!(made[0].suffix(), "p20261230");
        assert_eq!(made[2].suffix(), "p20270101");
        assert_eq!(made[0].end(), made[1].start());
        assert!(missing(&made, Span::Day, at(NOW)).is_empty());
    }

    #[test]
    fn a_partition_reads_back_from_its_name_and_no_other_name_does() {
        for span in [Span::Day, Span::Hour, Span::Minute] {
            let one = missing(&[], span, at(NOW))[0];
            assert_eq!(Partition::parse(&one.suffix()), Some(one));
        }
        for name in ["", "default", "p", "p2026", "p20261399", "p2026123024", "p+0261230", "20261230"] {
            assert_eq!(Partition::parse(name), None, "{name}");
        }
    }

    #[test]
    fn hours_are_made_only_where_no_day_stands() {
        let day = Partition::parse("p20261230").unwrap();
        let made = missing(&[day], Span::Hour, at("2026-12-30T20:30:00Z"));
        assert_eq!(made[0].suffix(), "p2026123100");
        assert_eq!(made.len(), 21);
        assert!(
            missing(&made, Span::Day, at("2026-12-31T10:00:00Z"))
                .iter()
                .all(|day| { made.iter().all(|hour| !day.overlaps(hour)) })
        );
    }

    #[test]
    fn a_partition_is_over_one_length_after_its_last_moment() {
        let day = Partition::parse("p20260101").unwrap();
        assert!(!day.is_over(at("2026-01-02T23:59:59Z")));
        assert!(day.is_over(at("2026-01-03T00:00:00Z")));
    }

    #[test]
    fn short_retention_has_short_partitions() {
        assert_eq!(Span::of_retention(None), Span::Day);
        assert_eq!(Span::of_retention(Some(90 * 24 * HOUR)), Span::Day);
        assert_eq!(Span::of_retention(Some(24 * HOUR)), Span::Hour);
        assert_eq!(Span::of_retention(Some(Duration::from_mins(3))), Span::Minute);
    }
}
