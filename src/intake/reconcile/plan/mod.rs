//! What Transak's record of an order tells that the relay does not know yet. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::reconcile::YOUNG;
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
    let rows = order.history.iter().map(|row| (row.at, !has(kept, row.status.as_str())));
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
/// if there is none of its status, or if the history was in the status more often than events of it are kept.
pub(super) fn tell<'a>(order: &'a RestOrder, kept: &[Kept], moment: &Moment) -> Vec<Telling<'a>> {
    let last = order.history.iter().rposition(|row| row.status == order.status);
    let last_row = last.map(|at| &order.history[at]);
    let stands = stands_at(order, last_row).is_none_or(|at| moment.judge(at) == Belief::Yes);
    let mut told: Vec<Telling<'a>> = Vec::new();
    for (at, row) in order.history.iter().enumerate() {
        let is_newest = last == Some(at) && stands;
        let told_before =
            told.iter().any(|one| matches!(one, Telling::Row(other) if other.status == row.status));
        let wanted = !has(kept, row.status.as_str()) || !is_reconciled(kept, row.status.as_str());
        if !is_newest && !told_before && wanted && moment.judge(row.at) == Belief::Yes {
            told.push(Telling::Row(row));
        }
    }
    if stands {
        let rows_told =
            told.iter().filter(|one| matches!(one, Telling::Row(row) if row.status == order.status));
        let event = last_row.and_then(|row| row.event.as_deref());
        told.extend(newest(order, kept, rows_told.count()).map(|again| Telling::Newest { event, again }));
    }
    told
}

/// When the order reached its status: by its history, for the order's own times may move later.
fn stands_at(order: &RestOrder, last_row: Option<&HistoryRow>) -> Option<DateTime<Utc>> {
    last_row.map(|row| row.at).or(order.reached_at)
}

/// Whether the newest state is to be told, and if so whether as an event of its own in any case.
fn newest(order: &RestOrder, kept: &[Kept], rows_told: usize) -> Option<bool> {
    let status = order.status.as_str();
    let same: Vec<_> = kept.iter().filter(|event| event.status == status).collect();
    let unknown_rows = if same.is_empty() { rows_told } else { 0 };
    let times = order.times_in(&order.status).max(1);
    let known = same.len() + unknown_rows;
    let is_kept = order.reached_at.is_some_and(|at| same.iter().any(|event| event.occurred_at == at));
    if known == 0 {
        Some(false)
    } else if known < times && !is_kept {
        Some(true)
    } else {
        (!is_reconciled(kept, status)).then_some(false)
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
