//! How far what was heard has got, so that a listener can say until when everything it heard is safe.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::told::Told;
use crate::model::id::PartnerId;

/// From when to when.
type Span = (DateTime<Utc>, DateTime<Utc>);

/// Messages of a partner that were lost.
pub(super) type Loss = (PartnerId, Span);

/// Counts what goes into the intake and what has become of it.
#[derive(Debug, Default)]
pub(super) struct Flow {
    taken: AtomicU64,
    settled: AtomicU64,
    lost: Mutex<HashMap<PartnerId, Span>>,
    /// What was said of it in the log.
    pub(super) told: Told,
}

impl Flow {
    /// A message is about to go in.
    pub(super) fn take(&self) {
        self.taken.fetch_add(1, Ordering::AcqRel);
    }

    /// It did not, or it is committed, on disk, or noted as lost.
    pub(super) fn settle(&self, messages: usize) {
        self.settled.fetch_add(messages as u64, Ordering::AcqRel);
    }

    /// These messages could be neither kept nor spooled, and nobody will send them again.
    pub(super) fn lose(&self, messages: impl IntoIterator<Item = (PartnerId, DateTime<Utc>)>) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        for (partner, at) in messages {
            let span = lost.entry(partner).or_insert((at, at));
            *span = (span.0.min(at), span.1.max(at));
        }
    }

    /// What was lost since this was last asked: to be written down as gaps.
    pub(super) fn take_lost(&self) -> Vec<Loss> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }

    /// What could not be written down is asked for again.
    pub(super) fn give_back(&self, losses: Vec<Loss>) {
        self.lose(losses.into_iter().flat_map(|(partner, (from, to))| [(partner, from), (partner, to)]));
    }

    fn has_losses(&self) -> bool {
        !self.lost.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Until when everything that was heard is known to be safe.
#[derive(Debug, Default)]
pub(super) struct Proof {
    /// What was taken by then, to be settled.
    mark: Option<(u64, DateTime<Utc>)>,
}

impl Proof {
    /// To be asked time and again; `None`: no further than at the last answer.
    pub(super) fn until(&mut self, flow: &Flow, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (taken, at) = *self.mark.get_or_insert_with(|| (flow.taken.load(Ordering::Acquire), now));
        // Everything is settled in the order in which it was taken.
        if flow.settled.load(Ordering::Acquire) < taken || flow.has_losses() {
            return None;
        }
        self.mark = None;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn what_is_heard_is_safe_only_once_everything_before_is_settled() {
        let (flow, mut proof) = (Flow::default(), Proof::default());
        assert_eq!(proof.until(&flow, at(10)), Some(at(10)));
        flow.take();
        flow.take();
        assert_eq!(proof.until(&flow, at(20)), None);
        flow.settle(1);
        assert_eq!(proof.until(&flow, at(22)), None);
        flow.take();
        flow.settle(1);
        assert_eq!(proof.until(&flow, at(24)), Some(at(20)), "the third came after the question");
        assert_eq!(proof.until(&flow, at(26)), None);
        flow.settle(1);
        assert_eq!(proof.until(&flow, at(28)), Some(at(26)));
    }

    #[test]
    fn a_loss_that_nobody_has_written_down_yet_is_not_passed_over() {
        let (flow, mut proof, partner) = (Flow::default(), Proof::default(), PartnerId::new());
        flow.lose([(partner, at(7)), (partner, at(5))]);
        assert_eq!(proof.until(&flow, at(10)), None);
        let losses = flow.take_lost();
        assert_eq!(losses, [(partner, (at(5), at(7)))]);
        flow.give_back(losses);
        assert_eq!(proof.until(&flow, at(12)), None);
        flow.take_lost();
        assert_eq!(proof.until(&flow, at(14)), Some(at(10)));
    }
}
