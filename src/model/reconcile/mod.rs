//! When what the relay knows is compared with Transak's own record again.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};

use super::status::Status;

/// A refund may follow a failed, expired or cancelled order; so long it is waited for.
pub const REFUND_WAIT: TimeDelta = TimeDelta::days(14);

/// The rarest look at an order that is looked at at all.
const RAREST: Duration = Duration::from_hours(6);

/// The rarest look at an order that Transak says it does not know.
const RAREST_UNKNOWN: Duration = Duration::from_hours(24);

/// So long a repair goes on asking for an order that Transak says it does not know.
const UNKNOWN_FOR: TimeDelta = TimeDelta::hours(1);

/// So long before a gap an order may have changed, by the times that Transak writes, and is looked at all the same: what
/// writes them may have another clock than what answers us.
pub const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(15);

/// A clock that is said to be further off is not believed to be: one header would have everything read again.
const FURTHEST_OFF: TimeDelta = TimeDelta::hours(1);

/// An order that changed in a gap was made so many days before it at most, if the relay does not know it. Transak's own
/// lists reach as far unless asked otherwise, and no order is known to change for longer.
pub const REACH: Days = Days::new(90);

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

/// When an order is asked for again that Transak has said not to know each time since `since`; `None`: never.
///
/// One answer may be that of a copy that lags behind, so the next question comes soon; what stays unknown may be an order
/// of another kind of key, and is asked for more and more rarely for [`REFUND_WAIT`].
pub fn next_for_unknown(since: DateTime<Utc>, now: DateTime<Utc>, base: Duration) -> Option<DateTime<Utc>> {
    let age = (now - since).max(TimeDelta::zero());
    let wait = (age.to_std().unwrap_or_default() / 4).min(RAREST_UNKNOWN).max(base);
    (age < REFUND_WAIT).then(|| now.checked_add_signed(TimeDelta::from_std(wait).ok()?)).flatten()
}

/// Whether a repair takes an order for unknown that Transak has said not to know each time since `since`: the answer of a
/// copy that lags behind would otherwise have a gap called repaired in which something was not read.
pub fn is_believed_unknown(since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    since.is_some_and(|since| now - since >= UNKNOWN_FOR)
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

/// Now by Transak's clock, of which ours is said to be `ahead`.
pub fn their_now(now: DateTime<Utc>, ahead: TimeDelta) -> DateTime<Utc> {
    now - ahead.clamp(-FURTHEST_OFF, FURTHEST_OFF)
}

/// A span of our clock as wide as it may be by Transak's, of which ours is said to be `ahead`: what is said may be wrong
/// as well, so it is as wide as by both.
pub fn by_their_clock((from, to): Span, ahead: TimeDelta) -> Span {
    let ahead = ahead.clamp(-FURTHEST_OFF, FURTHEST_OFF);
    (from - ahead.max(TimeDelta::zero()), to - ahead.min(TimeDelta::zero()))
}

/// From when to when.
pub type Span = (DateTime<Utc>, DateTime<Utc>);

/// The first and the last day, both included.
pub type Dates = (NaiveDate, NaiveDate);

/// The days of these spans, in parts of at most `longest` days: a day more on either side, for a day is a different one in
/// other places of the world. Overlapping spans are merged. The newest come first, and the last two days of a span apart
/// from those before: most of what happened in it is about orders as young as that.
pub fn days_of(spans: &[Span], longest: u64) -> Vec<Dates> {
    newest_first(merged(widened(spans, Days::new(0))), longest)
}

/// The days before those of [`days_of`], [`REACH`] far: orders made on them may have changed in the spans.
pub fn days_before(spans: &[Span], longest: u64) -> Vec<Dates> {
    let near = merged(widened(spans, Days::new(0)));
    let mut far = merged(widened(spans, REACH));
    for (from, to) in near {
        far = far.into_iter().flat_map(|days| without(days, (from, to))).collect();
    }
    newest_first(far, longest)
}

/// Whether each of these days is among those.
pub fn are_among(days: Dates, those: &[Dates]) -> bool {
    merged(those.to_vec()).iter().any(|(from, to)| *from <= days.0 && days.1 <= *to)
}

fn widened(spans: &[Span], before: Days) -> Vec<Dates> {
    let widen = |(from, to): &Span| {
        let (from, to) = (from.date_naive(), to.date_naive());
        let from = from.checked_sub_days(before).unwrap_or(from);
        (from.pred_opt().unwrap_or(from), to.succ_opt().unwrap_or(to))
    };
    spans.iter().map(widen).collect()
}

/// Oldest first, none of which touches another.
fn merged(mut days: Vec<Dates>) -> Vec<Dates> {
    days.sort_unstable();
    let mut merged: Vec<Dates> = Vec::new();
    for (from, to) in days {
        match merged.last_mut() {
            Some(last) if from <= last.1 + TimeDelta::days(1) => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

/// What is left of these days before and behind those.
fn without((from, to): Dates, those: Dates) -> Vec<Dates> {
    let before = those.0.pred_opt().map(|end| (from, to.min(end)));
    let behind = those.1.succ_opt().map(|begin| (from.max(begin), to));
    before.into_iter().chain(behind).filter(|(from, to)| from <= to).collect()
}

fn newest_first(days: Vec<Dates>, longest: u64) -> Vec<Dates> {
    days.into_iter().rev().flat_map(|days| split(days, longest)).collect()
}

fn split((from, to): Dates, longest: u64) -> Vec<Dates> {
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
mod tests;
