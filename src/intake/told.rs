//! What the intake says in the log: what may happen for each message, once a minute with its number; why the database takes
//! nothing, when it begins to and when that changes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::model::fault::Fault;
use crate::model::seldom::Seldom;
use crate::store;

/// What may happen for each message or batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    Quarantined,
    Lost,
    Stranger,
    Obstacle,
    Locked,
    Refused,
    Disk,
}

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Told {
    lines: Mutex<BTreeMap<Line, Seldom>>,
    away: Mutex<(Fault, Option<String>)>,
}

impl Told {
    /// It happened so many times more. Answers how often it did since it was last told, if it is to be told now.
    pub(super) fn times(&self, line: Line, times: u64) -> Option<u64> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.entry(line).or_default().add(times, Instant::now())
    }

    /// Tells the number of what happened after it was last told, once its minute is over.
    pub(super) fn tell_rest(&self) {
        if let Some(messages) = self.times(Line::Quarantined, 0) {
            tracing::warn!(messages, "more messages are quarantined");
        }
        if let Some(messages) = self.times(Line::Lost, 0) {
            tracing::error!(messages, "more messages are lost: they can be neither kept nor spooled");
        }
    }

    /// The database takes nothing, for this reason.
    pub(super) fn away(&self, error: &store::Error) {
        let cause = store::cause(error);
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.1 = Some(cause.clone());
        if away.0.is(cause.clone()) {
            tracing::warn!(cause, "the database is not available: messages go to the spool");
        }
    }

    /// It took something.
    pub(super) fn is_back(&self) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.1 = None;
        if away.0.is_over() {
            tracing::info!("the database takes messages again");
        }
    }

    /// Why the database takes nothing.
    pub(super) fn cause(&self) -> Option<String> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}
