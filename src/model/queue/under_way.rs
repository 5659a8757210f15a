//! Requests of one endpoint that are under way. One that has waited for its answer for a while *lingers*: it costs a
//! connection and no work any more, so it has a place of its own and holds no slot.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::model::id::DeliveryId;

/// After so long a request lingers. Those that answer at all mostly do so in a fraction of it.
pub(super) const PROMPT: Duration = Duration::from_secs(2);

/// How soon it is looked again whether there is room for one that should linger.
const AGAIN: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// The oldest first.
    requests: VecDeque<(Instant, DeliveryId)>,
    /// So many of the first linger.
    lingering: usize,
}

impl UnderWay {
    pub(super) fn count(&self) -> usize {
        self.requests.len()
    }

    /// How many hold a slot.
    pub(super) fn in_slots(&self) -> usize {
        self.requests.len() - self.lingering
    }

    pub(super) fn begin(&mut self, of: DeliveryId, now: Instant) {
        self.requests.push_back((now, of));
    }

    pub(super) fn end(&mut self, of: DeliveryId) {
        if let Some(at) = self.requests.iter().position(|(_, one)| *one == of) {
            self.requests.remove(at);
            self.lingering -= usize::from(at < self.lingering);
        }
    }

    /// Whether any of them has waited for long.
    pub(super) fn is_slow(&self, now: Instant) -> bool {
        self.requests.front().is_some_and(|(began, _)| now.saturating_duration_since(*began) >= PROMPT)
    }

    /// Has those linger that began long enough ago, at most `room` of them. Answers which.
    pub(super) fn linger(&mut self, room: usize, now: Instant) -> Vec<DeliveryId> {
        let in_slots = self.requests.iter().skip(self.lingering);
        let slow = in_slots.take_while(|(began, _)| now.saturating_duration_since(*began) >= PROMPT);
        let slow: Vec<_> = slow.map(|(_, of)| *of).take(room).collect();
        self.lingering += slow.len();
        slow
    }

    /// When another one is to linger.
    pub(super) fn next_lingers_at(&self, now: Instant) -> Option<Instant> {
        self.requests.get(self.lingering).map(|(began, _)| (*began + PROMPT).max(now + AGAIN))
    }
}
