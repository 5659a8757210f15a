//! What Transak's record of an order tells that the relay does not know yet. Pure.

mod way;

use chrono::{DateTime, TimeDelta, Utc};

use self::way::{Step, times_in, way};
use crate::model::reconcile::YOUNG;
use crate::model::status::Status;
use crate::store::event::kept::Kept;
use crate::transak::rest::history::{HistoryRow, RestOrder};

/// By what a time in Transak's record is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Now, by Transak's clock.
    pub(super) now: DateTime<Utc>,
    /// What happened until then is told by nobody else any more.
    pub(super) settled: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Belief {
    /// It happened, and whoever else would tell it has had the time.
    Yes,
    /// It happened only just now: the other sources usually tell it.
    Young,
}

impl Moment {
    pub(super) fn judge(&self, at: DateTime<Utc>) -> Belief {
        // A time further ahead says that the clocks differ, not that it is news: waiting for it would lose the event.
        let is_old_or_odd = at <= self.now - YOUNG || at > self.now + YOUNG;
        if is_old_or_odd || self.settled.is_some_and(|settled| at <= settled) {
            Belief::Yes
        } else {
            Belief::Young
        }
    }
}

/// A comparison of Transak's record with what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Comparison {
    /// Transak knows more.
    pub(super) behind: bool,
    /// Something is left for another look, so much later.
    pub(super) young: Option<TimeDelta>,
}

/// Compares.
pub(super) fn compare(order: &RestOrder, kept: &[Kept], moment: &Moment) -> Comparison {
    let mut comparison = Comparison::default();
    let newest = kept.iter().map(|event| event.occurred_at).max();
    let rows = way(&order.history, kept).into_iter().map(|step| (step.row.at, !step.known));
    let changed = order
        .updated_at
        .map(|at| (at, !has(kept, order.status.as_str()) || newest.is_none_or(|newest| at > newest)));
    for (at, unknown) in rows.chain(changed) {
        match moment.judge(at) {
            Belief::Young if unknown => {
                comparison.young = comparison.young.max(Some(at + YOUNG - moment.now));
            }
            Belief::Young => {}
            Belief::Yes => comparison.behind |= unknown,
        }
    }
    if order.history.is_empty() && order.updated_at.is_none() {
        comparison.behind |= !has(kept, order.status.as_str());
    }
    comparison
}

/// Something to be put through the intake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling<'a> {
    /// The order as of this row.
    Row(&'a HistoryRow),
    /// The same, and it is an event of its own: the order was in this status more than once.
    Visit(&'a HistoryRow),
    /// The order as it stands, as it came.
    Newest {
        /// Transak's name for the event.
        event: Option<&'a str>,
        /// The order has been in this status before, and this is another event all the same.
        again: bool,
    },
}

/// What is to be told, oldest first: everything of which there is no event, and everything whose event REST has not been
/// seen to tell.
///
/// REST shows only the newest `updatedAt` of an order, and that may move without any event. So an event is missing only
/// if there is none of a visit to a status.
pub(super) fn tell<'a>(order: &'a RestOrder, kept: &[Kept], moment: &Moment) -> Vec<Telling<'a>> {
    let way = way(&order.history, kept);
    let last = way.iter().rfind(|step| step.row.status == order.status);
    let stands = stands_at(order, last).is_none_or(|at| moment.judge(at) == Belief::Yes);
    let is_newest = |step: &Step<'_>| last.is_some_and(|last| step.is_of_visit(last));
    let mut told: Vec<Telling<'a>> = Vec::new();
    for step in way.iter().filter(|step| step.begins && !(stands && is_newest(step))) {
        let (row, status) = (step.row, step.row.status.as_str());
        let told_before =
            told.iter().any(|one| matches!(one, Telling::Row(other) if other.status == row.status));
        let telling = if step.known {
            (!is_reconciled(kept, status) && !told_before).then_some(Telling::Row(row))
        } else {
            Some(if times_in(&way, &row.status) > 1 { Telling::Visit(row) } else { Telling::Row(row) })
        };
        told.extend(telling.filter(|_| moment.judge(row.at) == Belief::Yes));
    }
    if stands {
        let event = last.and_then(|last| last.row.event.as_deref());
        told.extend(newest(order, kept, &way, last).map(|again| Telling::Newest { event, again }));
    }
    told
}

/// How often an order was in a status, by its history.
pub(super) fn visits(order: &RestOrder, status: &Status) -> usize {
    times_in(&way(&order.history, &[]), status)
}

/// When the order reached its status: by its history, for the order's own times may move later.
fn stands_at(order: &RestOrder, last: Option<&Step<'_>>) -> Option<DateTime<Utc>> {
    last.map(|last| last.row.at).or(order.reached_at)
}

/// Whether the newest state is to be told, and if so whether as an event of its own in any case.
fn newest(order: &RestOrder, kept: &[Kept], way: &[Step<'_>], last: Option<&Step<'_>>) -> Option<bool> {
    let status = order.status.as_str();
    let at = |event: &Kept| order.reached_at == Some(event.occurred_at);
    let is_kept = kept.iter().any(|event| event.status == status && at(event));
    let is_known = is_kept || last.map_or_else(|| has(kept, status), |last| last.known);
    if is_known {
        (!is_reconciled(kept, status)).then_some(false)
    } else {
        Some(times_in(way, &order.status) > 1)
    }
}

fn has(kept: &[Kept], status: &str) -> bool {
    kept.iter().any(|event| event.status == status)
}

fn is_reconciled(kept: &[Kept], status: &str) -> bool {
    kept.iter().any(|event| event.status == status && event.reconciled)
}

#[cfg(test)]
mod tests;
