//! The way of an order by its history, and what of it is known. Pure.
//!
//! An order may come back to a status. Rows of one status that follow each other within [`SLACK`] tell one visit to it; any
//! other row begins another visit. What is kept of a status belongs to the last visit that had begun by then: that is
//! after the row before it, for Transak writes the row of a change after its message.

use crate::model::dedupe::SLACK;
use crate::model::status::Status;
use crate::store::event::kept::Kept;
use crate::transak::rest::history::HistoryRow;

/// A row of the history.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) row: &'a HistoryRow,
    /// Which visit to its status it tells, from 0 on.
    pub(super) visit: usize,
    /// It is the first to tell it.
    pub(super) begins: bool,
    /// An event of this visit is kept.
    pub(super) known: bool,
}

/// The way of an order with this history, the oldest row first.
pub(super) fn way<'a>(history: &'a [HistoryRow], kept: &[Kept]) -> Vec<Step<'a>> {
    let mut steps: Vec<Step<'a>> = Vec::with_capacity(history.len());
    for row in history {
        let goes_on = steps
            .last()
            .is_some_and(|before| before.row.status == row.status && row.at - before.row.at <= SLACK);
        let visit = times_in(&steps, &row.status) - usize::from(goes_on);
        steps.push(Step { row, visit, begins: !goes_on, known: false });
    }
    for event in kept {
        let begun = (0..steps.len()).rev().find(|&at| {
            let is_first = steps[at].visit == 0;
            let step = &steps[at];
            let before = || at.checked_sub(1).map(|before| steps[before].row.at);
            step.begins
                && step.row.status.as_str() == event.status
                && (is_first || before().is_none_or(|before| before < event.occurred_at))
        });
        if let Some(Step { row, visit, .. }) = begun.map(|at| steps[at]) {
            let of_visit =
                steps.iter_mut().filter(|step| step.visit == visit && step.row.status == row.status);
            of_visit.for_each(|step| step.known = true);
        }
    }
    steps
}

/// How often an order that came this way was in a status.
pub(super) fn times_in(way: &[Step<'_>], status: &Status) -> usize {
    way.iter().filter(|step| step.begins && step.row.status == *status).count()
}
