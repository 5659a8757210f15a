//! The deliveries this process has leased, in one queue for each endpoint it may send to.
//!
//! An endpoint is sent to by one process at a time, so what is here is all there is: its requests under way, its tokens
//! and its failures are counted exactly, without a row for each. Pure: deliveries, outcomes and times are handed in.
//!
//! Guarantees: never more requests of an endpoint under way than its `max_in_flight`, nor faster than its rate; one probe
//! at a time while its breaker is half-open. Partners take turns, and the endpoints of a partner take its turns in turn. An
//! endpoint begins with one request at a time and earns one more with each answer; the less is free, the fewer of them
//! it may use, and so its partner. What is not known to answer has a part of the slots, a partner's and all partners'
//! together, so that many that hang or refuse keep nobody else waiting: neither who is known to answer nor a partner that
//! was never tried. A request that is not answered soon leaves its slot, and its endpoint is not known to answer any more.
//! Does not guarantee: that nobody waits when the proven endpoints of several partners stop answering in the same second;
//! but then for seconds, not until their deadlines.

mod claim;
mod endpoint;
mod hand_over;
mod most;
mod news;
mod partner;
#[cfg(test)]
mod tests;
mod turns;
mod under_way;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::delivery::Job;
use super::id::{DeliveryId, EndpointId, PartnerId};

pub use claim::Room;
pub use endpoint::FIRST_WINDOW;
use endpoint::Queue;
pub use hand_over::HandOver;
pub use most::Most;
pub use news::{Effect, Ended, Leased};
use partner::{Load, Partner, Slots, Standing};
use turns::Alarm;

/// An endpoint that is not sent to for this long is let go, so that another process may have it.
const IDLE: Duration = Duration::from_mins(1);

/// The most deliveries that wait here, of all endpoints together. Those that are born leased share their payloads and
/// cost one write less than those that are claimed.
const MOST_WAITING: usize = 8_192;

/// Of the places to wait a partner has no more than this many times what is free.
const WAITING_OF_PARTNER: usize = 3;

/// Whose endpoint, and which.
pub type Place = (PartnerId, EndpointId);

/// All queues of a process.
#[derive(Debug)]
pub struct Queues {
    by_endpoint: HashMap<EndpointId, Queue>,
    by_partner: HashMap<PartnerId, Partner>,
    /// Partners that may be able to start something, in turn.
    turns: VecDeque<PartnerId>,
    /// Partners that wait until others have fewer slots.
    after_others: Vec<PartnerId>,
    /// When somebody has a token again.
    timers: BTreeSet<(Instant, Alarm)>,
    /// Deliveries to be given back.
    unsent: Vec<Job>,
    /// Requests that hold a slot.
    under_way: usize,
    /// Those of them that are of doubtful endpoints.
    doubtful: usize,
    /// Requests under way that hold no slot any more, because they have waited for long.
    lingering: HashSet<DeliveryId>,
    waiting: usize,
    /// The most requests at once.
    most: Most,
    /// Until then nobody else may send to these endpoints.
    ours_until: Option<Instant>,
    closed: bool,
}

impl Queues {
    /// No queue yet.
    pub fn new(most: Most) -> Self {
        Self {
            by_endpoint: HashMap::new(),
            by_partner: HashMap::new(),
            turns: VecDeque::new(),
            after_others: Vec::new(),
            timers: BTreeSet::new(),
            unsent: Vec::new(),
            under_way: 0,
            doubtful: 0,
            lingering: HashSet::new(),
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
            self.remove(id);
        }
        for &Leased { place, lost, enabled, revision } in leased {
            self.queue(place, lost, now).revision = revision;
            self.note_hungry(place.1);
            if !enabled {
                self.drain(place.1);
            }
        }
    }

    /// Takes a leased delivery in. `lost`: its endpoint's last holder died.
    pub fn push(&mut self, job: Job, lost: bool, now: Instant) {
        let place = (job.partner_id, job.endpoint_id);
        self.queue(place, lost, now);
        self.update(place.1, |queue| queue.push(job, now));
        self.list(place.1);
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
        let (slots, free) = (self.slots(), MOST_WAITING - self.waiting);
        let Some(queue) = self.by_endpoint.get_mut(&id) else { return 0 };
        let room = queue.room_for_fresh(now);
        let Some(partner) = self.by_partner.get(&queue.place.0) else { return 0 };
        match queue.standing() {
            Standing::Proven => room.min((WAITING_OF_PARTNER * free).saturating_sub(partner.waiting())),
            Standing::Doubtful => room.min(partner.doubtful_room(slots, now)),
        }
    }

    /// Says that deliveries of this endpoint are due in the table. `true`: it is this process that must fetch them.
    pub fn note_due(&mut self, id: EndpointId) -> bool {
        let ours = self.by_endpoint.get_mut(&id).map(|queue| queue.more = true).is_some();
        self.note_hungry(id);
        ours
    }

    /// A delivery that was started ended with a request.
    pub fn ended(&mut self, place: Place, ended: Ended, now: Instant) -> Effect {
        self.free_slot(place.0, ended.of);
        if let Some(partner) = self.by_partner.get_mut(&place.0) {
            partner.note(ended.found, now);
        }
        let ended = self.update(place.1, |queue| {
            let was_probing = queue.is_probing();
            let effect = queue.ended(ended, now);
            // What waits is of one kind with what failed: a probe is chosen from all that is owed.
            let starts_to_probe = queue.is_probing() && !was_probing;
            (effect, starts_to_probe || queue.shutting)
        });
        let (effect, is_over) = ended.unwrap_or_default();
        if is_over {
            self.drain(place.1);
        }
        self.list(place.1);
        self.list_again(place.0);
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
    pub fn ended_unsent(&mut self, place: Place, of: DeliveryId) {
        self.free_slot(place.0, of);
        self.update(place.1, |queue| queue.under_way.end(of));
        self.list(place.1);
        self.list_again(place.0);
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
        let ids: Vec<_> = self.by_endpoint.keys().copied().collect();
        for id in ids {
            let stale = self.update(id, |queue| queue.take_stale(now));
            self.unsent.extend(stale.unwrap_or_default());
        }
        std::mem::take(&mut self.unsent)
    }

    /// Those of them that are known already.
    pub fn take_drained(&mut self) -> Vec<Job> {
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
        let idle = self.by_endpoint.values().filter(|queue| queue.is_idle(now, IDLE));
        let idle: Vec<_> = idle.map(|queue| queue.place).collect();
        for (_, id) in &idle {
            self.remove(*id);
        }
        idle
    }

    /// When something could be started that cannot be now.
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Nothing waits and nothing is under way.
    pub fn is_quiet(&self) -> bool {
        self.waiting == 0 && self.under_way == 0 && self.lingering.is_empty()
    }

    fn is_ours(&self, now: Instant) -> bool {
        !self.closed && self.ours_until.is_some_and(|until| now < until)
    }

    fn slots(&self) -> Slots {
        Slots {
            most: self.most.slots,
            under_way: self.under_way,
            doubtful: self.doubtful,
            left_to_linger: self.most.lingering.saturating_sub(self.lingering.len()),
        }
    }

    fn queue(&mut self, place: Place, lost: bool, now: Instant) -> &mut Queue {
        let partner = self.by_partner.entry(place.0).or_insert_with(|| Partner::new(now));
        self.by_endpoint.entry(place.1).or_insert_with(|| {
            partner.endpoints += 1;
            Queue::new(place, lost, now)
        })
    }

    fn drain(&mut self, id: EndpointId) {
        let drained = self.update(id, |queue| std::mem::take(&mut queue.waiting));
        self.unsent.extend(drained.unwrap_or_default());
    }
}
