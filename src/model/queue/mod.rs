//! The deliveries this process has leased, in one queue for each endpoint it may send to.
//!
//! An endpoint is sent to by one process at a time, so what is here is all there is: its requests under way, its tokens
//! and its failures are counted exactly, without a row for each. Pure: deliveries, outcomes and times are handed in.
//!
//! Guarantees: never more requests of an endpoint under way than its `max_in_flight`, nor faster than its rate; one probe
//! at a time while its breaker is half-open; endpoints take turns. An endpoint begins with two requests at a time and
//! earns one more with each answer, and the less is free, the fewer of them it may use, so that many that hang cannot
//! take every slot before they are found out.

mod claim;
mod endpoint;
mod hand_over;
mod news;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::breaker::Change;
use super::delivery::Job;
use super::id::{EndpointId, PartnerId};
pub use claim::Wanted;
pub use endpoint::FIRST_WINDOW;
use endpoint::Queue;
pub use hand_over::HandOver;
pub use news::{Effect, Ended, Leased};

/// An endpoint that was not sent to for this long is let go, so that another process may have it.
const IDLE: Duration = Duration::from_mins(1);

/// The most deliveries that wait here, of all endpoints together. Those that are born leased share their payloads and
/// cost one write less than those that are claimed.
const MOST_WAITING: usize = 8_192;

/// An endpoint has no more under way than this part of what is free, so that many that stop answering in the same second
/// leave something over, whatever they had earned before. One that is alone comes to a fifth of all.
const SHARE: usize = 4;

/// Whose endpoint, and which.
pub type Place = (PartnerId, EndpointId);

/// All queues of a process.
#[derive(Debug)]
pub struct Queues {
    by_endpoint: HashMap<EndpointId, Queue>,
    /// Endpoints that may be able to start something, in turn.
    ready: VecDeque<EndpointId>,
    /// When endpoints have their next token.
    timers: BTreeSet<(Instant, EndpointId)>,
    /// Deliveries to be given back.
    unsent: Vec<Job>,
    under_way: usize,
    waiting: usize,
    /// The most requests at once.
    most: usize,
    /// Until then nobody else may send to these endpoints.
    ours_until: Option<Instant>,
    closed: bool,
}

impl Queues {
    /// No queue yet, for at most `most` requests at once.
    pub fn new(most: usize) -> Self {
        Self {
            by_endpoint: HashMap::new(),
            ready: VecDeque::new(),
            timers: BTreeSet::new(),
            unsent: Vec::new(),
            under_way: 0,
            waiting: 0,
            most,
            ours_until: None,
            closed: false,
        }
    }

    /// Says that until then nobody else sends to the endpoints of this process.
    pub fn ours_until(&mut self, until: Instant) {
        self.ours_until = Some(until);
    }

    /// Nothing is started or taken in any more.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether nothing is taken in any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The endpoints leased to this process are exactly these. What waits for others, or for one that is disabled, is to be
    /// given back.
    pub fn hold(&mut self, leased: &[Leased], now: Instant) {
        let held: HashSet<EndpointId> = leased.iter().map(|one| one.place.1).collect();
        let lost: Vec<_> = self.by_endpoint.keys().filter(|id| !held.contains(id)).copied().collect();
        for id in lost {
            self.drain(id);
            self.by_endpoint.remove(&id);
        }
        for &Leased { place, lost, enabled, revision } in leased {
            self.by_endpoint.entry(place.1).or_insert_with(|| Queue::new(place, lost, now)).revision =
                revision;
            if !enabled {
                self.drain(place.1);
            }
        }
    }

    /// Takes a leased delivery in. `lost`: its endpoint's last holder died.
    pub fn push(&mut self, job: Job, lost: bool, now: Instant) {
        let id = job.endpoint_id;
        let queue = self.by_endpoint.entry(id).or_insert_with(|| Queue::new((job.partner_id, id), lost, now));
        queue.push(job, now);
        self.waiting += 1;
        self.list(id);
    }

    /// Takes a delivery in that was born leased to this process. If its endpoint has become another's, it is to be given
    /// back.
    pub fn push_fresh(&mut self, job: Job, now: Instant) {
        if self.by_endpoint.contains_key(&job.endpoint_id) {
            self.push(job, false, now);
        } else {
            self.unsent.push(job);
        }
    }

    /// How many deliveries of this endpoint may be born leased to this process. While others may be due in the table,
    /// half of the room is theirs.
    pub fn room(&mut self, id: EndpointId, now: Instant) -> usize {
        if !self.is_ours(now) || self.waiting >= MOST_WAITING {
            return 0;
        }
        self.by_endpoint.get_mut(&id).map_or(0, |queue| queue.room_for_fresh(now))
    }

    /// Says that deliveries of this endpoint are due in the table. `true`: it is this process that must fetch them.
    pub fn note_due(&mut self, id: EndpointId) -> bool {
        self.by_endpoint.get_mut(&id).map(|queue| queue.more = true).is_some()
    }

    /// The next delivery to send, if one may be sent now. Endpoints take turns.
    pub fn start(&mut self, now: Instant) -> Option<Job> {
        // Also while nothing may be sent: a time that has passed would be waited for again and again.
        self.ring(now);
        if !self.is_ours(now) {
            return None;
        }
        while self.under_way < self.most {
            let id = self.ready.pop_front()?;
            let Some(queue) = self.by_endpoint.get_mut(&id) else { continue };
            queue.listed = false;
            let stale = queue.take_stale(now);
            self.waiting -= stale.len();
            self.unsent.extend(stale);
            // Who is held back by its share has requests under way, and is listed again when one ends.
            let share = FIRST_WINDOW.max((self.most - self.under_way) / SHARE);
            match queue.start(share, now) {
                Ok(Some(job)) => {
                    self.under_way += 1;
                    self.waiting -= 1;
                    self.list(id);
                    return Some(job);
                }
                Ok(None) => {}
                Err(token_at) => drop(self.timers.insert((token_at, id))),
            }
        }
        None
    }

    /// A delivery that was started ended with a request.
    pub fn ended(&mut self, id: EndpointId, ended: Ended, now: Instant) -> Effect {
        self.under_way -= 1;
        let Some(queue) = self.by_endpoint.get_mut(&id) else { return Effect::default() };
        let effect = queue.ended(ended, now);
        if matches!(effect.change, Some(Change::Opened { .. })) || ended.gone {
            self.drain(id);
        }
        self.list(id);
        effect
    }

    /// A failure of this endpoint has been written. If it has answered since, and that was written first, the table believes
    /// that it fails: its next success tells it better.
    pub fn failure_is_written(&mut self, id: EndpointId) {
        if let Some(queue) = self.by_endpoint.get_mut(&id) {
            queue.failure_is_written();
        }
    }

    /// A delivery that was started ended without a request.
    pub fn ended_unsent(&mut self, id: EndpointId) {
        self.under_way -= 1;
        if let Some(queue) = self.by_endpoint.get_mut(&id) {
            queue.in_flight = queue.in_flight.saturating_sub(1);
        }
        self.list(id);
    }

    /// The table knows that this endpoint's breaker opened, or that it is gone: whatever it hands out from now on may be
    /// sent.
    pub fn shutting_is_known(&mut self, id: EndpointId) {
        if let Some(queue) = self.by_endpoint.get_mut(&id) {
            queue.shutting = false;
        }
        self.list(id);
    }

    /// Deliveries to be given back: their turn did not come in time, or their endpoint is paused or another process's.
    pub fn take_unsent(&mut self, now: Instant) -> Vec<Job> {
        for queue in self.by_endpoint.values_mut() {
            let stale = queue.take_stale(now);
            self.waiting -= stale.len();
            self.unsent.extend(stale);
        }
        std::mem::take(&mut self.unsent)
    }

    /// Everything that waits, to be given back.
    pub fn take_all(&mut self) -> Vec<Job> {
        let ids: Vec<_> = self.by_endpoint.keys().copied().collect();
        for id in ids {
            self.drain(id);
        }
        std::mem::take(&mut self.unsent)
    }

    /// Lets endpoints go that were not sent to for a while, and answers which.
    pub fn let_go(&mut self, now: Instant) -> Vec<Place> {
        let idle: Vec<_> = self
            .by_endpoint
            .values()
            .filter(|queue| queue.is_idle(now, IDLE))
            .map(|queue| queue.place)
            .collect();
        for (_, id) in &idle {
            self.by_endpoint.remove(id);
        }
        idle
    }

    /// When something could be started that cannot be now.
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Nothing waits and nothing is under way.
    pub fn is_quiet(&self) -> bool {
        self.waiting == 0 && self.under_way == 0
    }

    fn is_ours(&self, now: Instant) -> bool {
        !self.closed && self.ours_until.is_some_and(|until| now < until)
    }

    fn ring(&mut self, now: Instant) {
        while let Some((at, id)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, id));
            self.list(id);
        }
    }

    fn list(&mut self, id: EndpointId) {
        if let Some(queue) = self.by_endpoint.get_mut(&id).filter(|queue| !queue.listed && queue.may_start())
        {
            queue.listed = true;
            self.ready.push_back(id);
        }
    }

    fn drain(&mut self, id: EndpointId) {
        if let Some(queue) = self.by_endpoint.get_mut(&id) {
            self.waiting -= queue.waiting.len();
            self.unsent.extend(queue.waiting.drain(..));
        }
    }
}
