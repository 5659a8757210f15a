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

impl Step<'_> {
    pub(super) fn is_of_visit(&self, other: &Step<'_>) -> bool {
        (&self.row.status, self.visit) == (&other.row.status, other.visit)
    }
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
            let step = &steps[at];
            // A later visit has a row before it.
            let has_begun = step.visit == 0 || steps[at - 1].row.at < event.occurred_at;
            step.begins && step.row.status.as_str() == event.status && has_begun
        });
        if let Some(begun) = begun.map(|at| steps[at]) {
            steps.iter_mut().filter(|step| step.is_of_visit(&begun)).for_each(|step| step.known = true);
        }
    }
    steps
}

/// How often an order that came this way was in a status.
pub(super) fn times_in(way: &[Step<'_>], status: &Status) -> usize {
    way.iter().filter(|step| step.begins && step.row.status == *status).count()
}
