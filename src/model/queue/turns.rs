//! Whose turn it is to start a request: a partner's, and then one of its endpoints'.

use std::time::Instant;

use super::partner::Turn;
use super::{DeliveryId, EndpointId, Job, Load, PartnerId, Queue, Queues, Slots, Standing};

/// What is to be seen to when a timer rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// An endpoint has a token.
    Endpoint(EndpointId),
    /// A partner has one.
    Partner(PartnerId),
    /// A request of this endpoint has waited for long.
    Slow(EndpointId),
}

impl Queues {
    /// The next delivery to send, if one may be sent now. Partners take turns.
    pub fn start(&mut self, now: Instant) -> Option<Job> {
        // Also while nothing may be sent: a time that has passed would be waited for again and again.
        self.ring(now);
        if !self.is_ours(now) {
            return None;
        }
        while self.under_way < self.most.slots {
            let id = self.turns.pop_front()?;
            if let Some(partner) = self.by_partner.get_mut(&id) {
                partner.listed = false;
            }
            if let Some(job) = self.start_of(id, now) {
                self.list_partner(id);
                return Some(job);
            }
        }
        None
    }

    /// The next delivery of one partner. If it has none that may be sent now, it is listed again when that changes.
    fn start_of(&mut self, id: PartnerId, now: Instant) -> Option<Job> {
        loop {
            let slots = self.slots();
            match self.by_partner.get_mut(&id)?.next(slots, now) {
                Turn::Of(endpoint) => {
                    if let Some(job) = self.start_at(endpoint, slots, now) {
                        return Some(job);
                    }
                }
                Turn::Then(at) => {
                    self.timers.insert((at, Alarm::Partner(id)));
                    return None;
                }
                Turn::AfterOthers => {
                    if let Some(partner) = self.by_partner.get_mut(&id).filter(|partner| !partner.parked) {
                        partner.parked = true;
                        self.after_others.push(id);
                    }
                    return None;
                }
                Turn::Nobody => return None,
            }
        }
    }

    fn start_at(&mut self, id: EndpointId, slots: Slots, now: Instant) -> Option<Job> {
        let queue = self.by_endpoint.get_mut(&id)?;
        queue.listed = false;
        let of_partner = self.by_partner.get(&queue.place.0).map_or(0, |partner| partner.under_way);
        let share = slots.of_endpoint(of_partner);
        // Who is held back by its share has requests under way, and is listed again when one ends.
        let started = self.update(id, |queue| (queue.take_stale(now), queue.start(share, now)));
        let (stale, started) = started?;
        self.unsent.extend(stale);
        match started {
            Ok(Some(job)) => {
                self.under_way += 1;
                if let Some(partner) = self.by_partner.get_mut(&job.partner_id) {
                    partner.under_way += 1;
                }
                self.watch(id, now);
                self.list(id);
                Some(job)
            }
            Ok(None) => None,
            Err(token_at) => {
                self.timers.insert((token_at, Alarm::Endpoint(id)));
                None
            }
        }
    }

    /// Changes a queue, and what is counted of it.
    pub(super) fn update<T>(&mut self, id: EndpointId, change: impl FnOnce(&mut Queue) -> T) -> Option<T> {
        let queue = self.by_endpoint.get_mut(&id)?;
        let before = queue.load();
        let answer = change(queue);
        let (after, place) = (queue.load(), queue.place);
        self.count(place.0, before, after);
        if before.standing != after.standing {
            self.change_lines(id, before.standing);
        }
        self.note_hungry(id);
        Some(answer)
    }

    /// Forgets a queue in which nothing waits.
    pub(super) fn remove(&mut self, id: EndpointId) {
        let Some(queue) = self.by_endpoint.remove(&id) else { return };
        let (before, owner) = (queue.load(), queue.place.0);
        self.count(owner, before, Load { under_way: 0, in_slots: 0, waiting: 0, ..before });
        if let Some(partner) = self.by_partner.get_mut(&owner) {
            partner.endpoints -= 1;
            if partner.endpoints == 0 && partner.under_way == 0 {
                self.by_partner.remove(&owner);
            }
        }
    }

    fn count(&mut self, id: PartnerId, before: Load, after: Load) {
        let doubtful = |load: Load| if load.standing == Standing::Doubtful { load.in_slots } else { 0 };
        self.waiting = (self.waiting + after.waiting).saturating_sub(before.waiting);
        self.doubtful = (self.doubtful + doubtful(after)).saturating_sub(doubtful(before));
        if let Some(partner) = self.by_partner.get_mut(&id) {
            partner.shift(before, after);
        }
    }

    /// What stands in the lines of its old standing has its turn in those of the new one.
    fn change_lines(&mut self, id: EndpointId, old: Standing) {
        let Some(queue) = self.by_endpoint.get_mut(&id).filter(|queue| queue.listed || queue.hungry) else {
            return;
        };
        if let Some(partner) = self.by_partner.get_mut(&queue.place.0) {
            partner.leave_lines(id, old);
        }
        (queue.listed, queue.hungry) = (false, false);
        self.list(id);
    }

    /// A request of this partner has ended.
    pub(super) fn free_slot(&mut self, id: PartnerId, of: DeliveryId) {
        let lingered = self.lingering.remove(&of);
        self.under_way -= usize::from(!lingered);
        if let Some(partner) = self.by_partner.get_mut(&id) {
            partner.under_way = partner.under_way.saturating_sub(1);
            partner.lingering = partner.lingering.saturating_sub(usize::from(lingered));
            if partner.endpoints == 0 && partner.under_way == 0 {
                self.by_partner.remove(&id);
            }
        }
    }

    /// Has a partner try again that was held back by its share, and those that waited for others.
    pub(super) fn list_again(&mut self, id: PartnerId) {
        self.list_partner(id);
        for other in std::mem::take(&mut self.after_others) {
            if let Some(partner) = self.by_partner.get_mut(&other) {
                partner.parked = false;
            }
            self.list_partner(other);
        }
    }

    fn ring(&mut self, now: Instant) {
        while let Some((at, alarm)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, alarm));
            match alarm {
                Alarm::Endpoint(id) => {
                    self.list(id);
                    self.note_hungry(id);
                }
                Alarm::Partner(id) => self.list_partner(id),
                Alarm::Slow(id) => self.linger(id, now),
            }
        }
    }

    /// Sees to it that what is not answered soon leaves its slot.
    fn watch(&mut self, id: EndpointId, now: Instant) {
        if let Some(queue) = self.by_endpoint.get_mut(&id).filter(|queue| !queue.watched)
            && let Some(at) = queue.under_way.next_lingers_at(now)
        {
            queue.watched = true;
            self.timers.insert((at, Alarm::Slow(id)));
        }
    }

    /// Has requests of an endpoint linger that have waited for long.
    fn linger(&mut self, id: EndpointId, now: Instant) {
        let Some(queue) = self.by_endpoint.get_mut(&id) else { return };
        queue.watched = false;
        let owner = queue.place.0;
        let lingering = self.by_partner.get(&owner).map_or(0, |partner| partner.lingering);
        let room = self.slots().left_to_linger(lingering);
        let slow = self.update(id, |queue| queue.linger(room, now)).unwrap_or_default();
        if !slow.is_empty() {
            self.under_way -= slow.len();
            if let Some(partner) = self.by_partner.get_mut(&owner) {
                partner.lingering += slow.len();
            }
            self.lingering.extend(slow);
            self.list(id);
            self.list_again(owner);
        }
        self.watch(id, now);
    }

    pub(super) fn list(&mut self, id: EndpointId) {
        let Some(queue) = self.by_endpoint.get_mut(&id).filter(|queue| queue.may_start()) else { return };
        let (standing, owner) = (queue.standing(), queue.place.0);
        if !queue.listed
            && let Some(partner) = self.by_partner.get_mut(&owner)
        {
            queue.listed = true;
            partner.enlist(id, standing);
        }
        self.list_partner(owner);
    }

    fn list_partner(&mut self, id: PartnerId) {
        if let Some(partner) =
            self.by_partner.get_mut(&id).filter(|partner| !partner.listed && partner.is_ready())
        {
            partner.listed = true;
            self.turns.push_back(id);
        }
    }

    /// Remembers that an endpoint may have more due in the table.
    pub(super) fn note_hungry(&mut self, id: EndpointId) {
        let Some(queue) = self.by_endpoint.get_mut(&id).filter(|queue| queue.more && !queue.hungry) else {
            return;
        };
        let standing = queue.standing();
        if let Some(partner) = self.by_partner.get_mut(&queue.place.0) {
            queue.hungry = true;
            partner.note_hungry(id, standing);
        }
    }
}
