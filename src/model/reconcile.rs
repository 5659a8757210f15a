//! When what the relay knows is compared with Transak's own record again.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};

use super::status::Status;

/// A refund may follow a failed, expired or cancelled order; so long it is waited for.
pub const REFUND_WAIT: TimeDelta = TimeDelta::days(14);

/// The rarest look at an order that is looked at at all.
const RAREST: Duration = Duration::from_hours(6);

/// An order that Transak does not know may be one of another kind of key; it is not asked for often.
const UNKNOWN: TimeDelta = TimeDelta::hours(24);

/// A row of Transak's is not believed if it is further in the future than two clocks may differ.
pub const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// So long the other sources are given to tell an event themselves.
pub const YOUNG: TimeDelta = TimeDelta::seconds(10);

/// A gap is repaired this long after its end: what happened at its very end is then in Transak's record.
pub const SETTLING: TimeDelta = TimeDelta::seconds(2);

/// When an order is to be looked at again; `None`: never. `base` is the wait for an order that has just moved.
///
/// An order that is under way is looked at every `base`, and more rarely once it has not moved for a day. One that failed,
/// expired or was cancelled is looked at more and more rarely for [`REFUND_WAIT`], because a refund may follow.
pub fn next_reconcile(
    status: &Status,
    status_at: DateTime<Utc>,
    now: DateTime<Utc>,
    base: Duration,
) -> Option<DateTime<Utc>> {
    let age = (now - status_at).max(TimeDelta::zero());
    let share = match status.as_str() {
        "COMPLETED" | "REFUNDED" => return None,
        "FAILED" | "EXPIRED" | "CANCELLED" if age >= REFUND_WAIT => return None,
        "FAILED" | "EXPIRED" | "CANCELLED" => 8,
        _ => 1440,
    };
    let age = age.to_std().unwrap_or_default();
    let wait = (age / share).min(RAREST).max(base);
    now.checked_add_signed(TimeDelta::from_std(wait).ok()?)
}

/// When an order that Transak says it does not know is asked for again; `None`: never.
pub fn next_for_unknown(status_at: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (now - status_at < REFUND_WAIT).then(|| now + UNKNOWN)
}

/// How long a gap waits after it could not be repaired `times` times, whatever Transak asked for on top.
pub fn repair_pause(times: u32, asked: Duration) -> Duration {
    let doubled = Duration::from_secs(30) * 2_u32.pow(times.saturating_sub(1).min(7));
    doubled.min(Duration::from_hours(1)).max(asked)
}

/// How long a partner is left alone after its calls failed `times` times in a row.
pub fn partner_pause(times: u32, asked: Duration) -> Duration {
    let doubled = Duration::from_secs(5) * 2_u32.pow(times.saturating_sub(1).min(6));
    doubled.min(Duration::from_mins(5)).max(asked)
}

/// The days to ask for, to read everything of these spans: a day more on either side, for a day is a different one in
/// other places of the world. Overlapping spans are merged, and none is longer than `longest` days. The newest come first,
/// and the last two days of a span apart from those before: most of what happened in it is about orders as young as that.
pub fn windows(spans: &[(DateTime<Utc>, DateTime<Utc>)], longest: u64) -> Vec<(NaiveDate, NaiveDate)> {
    let widened = spans.iter().map(|(from, to)| {
        let (from, to) = (from.date_naive(), to.date_naive());
        (from.pred_opt().unwrap_or(from), to.succ_opt().unwrap_or(to))
    });
    let mut widened: Vec<_> = widened.collect();
    widened.sort_unstable();
    let mut merged: Vec<(NaiveDate, NaiveDate)> = Vec::new();
    for (from, to) in widened {
        match merged.last_mut() {
            Some(last) if from <= last.1 + TimeDelta::days(1) => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged.into_iter().rev().flat_map(|window| split(window, longest)).collect()
}

fn split((from, to): (NaiveDate, NaiveDate), longest: u64) -> Vec<(NaiveDate, NaiveDate)> {
    let mut parts = Vec::new();
    let (mut last, mut days) = (Some(to), 2.min(longest));
    while let Some(end) = last.filter(|end| *end >= from) {
        let begin = end.checked_sub_days(Days::new(days.saturating_sub(1))).unwrap_or(from).max(from);
        parts.push((begin, end));
        (last, days) = (begin.pred_opt(), longest);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_mins(1);

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn wait(status: &str, age: TimeDelta) -> Option<i64> {
        let now = at("2025-01-31T00:00:00Z");
        let status = Status::parse(status).unwrap();
        next_reconcile(&status, now - age, now, BASE).map(|next| (next - now).num_seconds())
    }

    #[test]
    fn an_order_under_way_is_looked_at_every_minute_and_more_rarely_once_it_lies() {
        for status in ["AWAITING_PAYMENT_FROM_USER", "PROCESSING", "SOMETHING_NEW"] {
            assert_eq!(wait(status, TimeDelta::zero()), Some(60));
            assert_eq!(wait(status, TimeDelta::hours(24)), Some(60));
            assert_eq!(wait(status, TimeDelta::days(10)), Some(600));
            assert_eq!(wait(status, TimeDelta::days(4000)), Some(6 * 3600));
            assert_eq!(wait(status, TimeDelta::days(-1)), Some(60), "a clock that is behind");
        }
    }

    #[test]
    fn a_refund_is_waited_for_more_and_more_rarely_for_14_days() {
        for status in ["FAILED", "EXPIRED", "CANCELLED"] {
            assert_eq!(wait(status, TimeDelta::zero()), Some(60));
            assert_eq!(wait(status, TimeDelta::hours(8)), Some(3600));
            assert_eq!(wait(status, TimeDelta::days(13)), Some(6 * 3600));
            assert_eq!(wait(status, TimeDelta::days(14)), None);
        }
    }

    #[test]
    fn what_is_over_is_never_looked_at() {
        assert_eq!(wait("COMPLETED", TimeDelta::zero()), None);
        assert_eq!(wait("REFUNDED", TimeDelta::zero()), None);
    }

    #[test]
    fn pauses_grow_up_to_a_bound_and_never_undercut_what_transak_asks_for() {
        let seconds = |times| repair_pause(times, Duration::ZERO).as_secs();
        assert_eq!([1, 2, 3, 7, 8, 99].map(seconds), [30, 60, 120, 1920, 3600, 3600]);
        let seconds = |times| partner_pause(times, Duration::ZERO).as_secs();
        assert_eq!([0, 1, 2, 6, 7, 99].map(seconds), [5, 5, 10, 160, 300, 300]);
        assert_eq!(partner_pause(1, Duration::from_hours(2)), Duration::from_hours(2));
    }

    #[test]
    fn the_days_of_a_gap_reach_a_day_further_on_either_side() {
        let gap = (at("2025-01-10T23:59:59Z"), at("2025-01-11T00:00:01Z"));
        assert_eq!(shown(&[gap], 30), ["2025-01-11..2025-01-12", "2025-01-09..2025-01-10"]);
    }

    fn shown(gaps: &[(DateTime<Utc>, DateTime<Utc>)], longest: u64) -> Vec<String> {
        windows(gaps, longest).iter().map(|(from, to)| format!("{from}..{to}")).collect()
    }

    #[test]
    fn gaps_of_the_same_days_are_read_once_long_ones_in_parts_and_the_newest_days_first() {
        let day = |text: &str| at(&format!("2025-{text}T12:00:00Z"));
        let gaps = [(day("03-01"), day("03-01")), (day("01-05"), day("01-08")), (day("01-01"), day("01-03"))];
        assert_eq!(
            shown(&gaps, 4),
            [
                "2025-03-01..2025-03-02",
                "2025-02-28..2025-02-28",
                "2025-01-08..2025-01-09",
                "2025-01-04..2025-01-07",
                "2024-12-31..2025-01-03",
            ]
        );
    }
}
