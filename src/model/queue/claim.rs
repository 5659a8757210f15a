//! What the queues ask the table for, and what they make of the answer.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::partner::{Slots, Standing};
use super::{EndpointId, FIRST_WINDOW, MOST_WAITING, PartnerId, Place, Queues};
use crate::model::breaker::Pick;

/// The most endpoints of one claim: enough to keep a process busy; the others have their turn in the next one.
const MOST_ENDPOINTS: usize = 128;

/// An endpoint to claim for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Whose.
    pub place: Place,
    /// The most deliveries.
    pub most: usize,
    /// Which.
    pub pick: Pick,
}

/// A claim as it is being planned: partners take turns in it.
struct Plan {
    rooms: Vec<Room>,
    /// How many deliveries more, in all.
    left: usize,
    /// The most of one endpoint.
    most: usize,
    /// How many deliveries more of each partner's doubtful endpoints.
    doubtful: HashMap<PartnerId, usize>,
    slots: Slots,
}

impl Queues {
    /// Whether anything is claimed now.
    pub fn may_claim(&self, now: Instant) -> bool {
        self.is_ours(now) && self.waiting < 2 * MOST_WAITING
    }

    /// What to claim now for endpoints of this process that may have more due.
    pub fn wanted(&mut self, now: Instant) -> Vec<Room> {
        if !self.may_claim(now) {
            return Vec::new();
        }
        let slots = self.slots();
        let hungry = self.by_partner.iter().filter(|(_, partner)| partner.is_hungry(slots, now));
        let partners: VecDeque<PartnerId> = hungry.map(|(&id, _)| id).collect();
        let mut plan = self.plan(partners.len());
        self.take_turns(partners, &mut plan, now);
        plan.rooms
    }

    /// What to claim now of what the table was seen to have due, the longest due first.
    pub fn wanted_of(&mut self, seen: &[Place], now: Instant) -> Vec<Room> {
        if !self.may_claim(now) {
            return Vec::new();
        }
        let (mut partners, mut of_partner) = (VecDeque::new(), HashMap::<_, VecDeque<EndpointId>>::new());
        for &(partner, endpoint) in seen {
            let endpoints = of_partner.entry(partner).or_default();
            if endpoints.is_empty() {
                partners.push_back(partner);
            }
            endpoints.push_back(endpoint);
        }
        let mut plan = self.plan(partners.len());
        while let Some(partner) = partners.pop_front().filter(|_| !plan.is_full()) {
            if let Some(endpoint) = of_partner.get_mut(&partner).and_then(VecDeque::pop_front) {
                self.add((partner, endpoint), &mut plan, now);
                partners.push_back(partner);
            }
        }
        self.note_the_rest(of_partner.into_values().flatten());
        plan.rooms
    }

    /// Takes note of what the table had: how many deliveries of each endpoint.
    pub fn claimed(&mut self, wanted: &[Room], got: &HashMap<EndpointId, usize>) {
        for room in wanted {
            let id = room.place.1;
            if let Some(queue) = self.by_endpoint.get_mut(&id) {
                queue.more = got.get(&id).is_some_and(|got| *got >= room.most);
                self.note_hungry(id);
            }
        }
    }

    fn plan(&self, partners: usize) -> Plan {
        // However much was born leased, what is due in the table has its turn as well.
        let least = self.most.slots.div_ceil(4);
        let left =
            (4 * self.most.slots).saturating_sub(self.waiting).clamp(least, self.most.slots.max(64) * 2);
        Plan {
            rooms: Vec::new(),
            left,
            most: left.div_ceil(partners.max(1)),
            doubtful: HashMap::new(),
            slots: self.slots(),
        }
    }

    fn take_turns(&mut self, mut partners: VecDeque<PartnerId>, plan: &mut Plan, now: Instant) {
        while let Some(id) = partners.pop_front().filter(|_| !plan.is_full()) {
            let doubtful = *self.doubtful_left(id, plan, now) > 0;
            let Some(endpoint) =
                self.by_partner.get_mut(&id).and_then(|partner| partner.next_hungry(doubtful))
            else {
                continue;
            };
            let Some(queue) = self.by_endpoint.get_mut(&endpoint) else { continue };
            queue.hungry = false;
            if queue.more {
                self.add((id, endpoint), plan, now);
            }
            partners.push_back(id);
        }
    }

    /// Adds an endpoint to a claim, if there is room for anything of it.
    fn add(&mut self, place: Place, plan: &mut Plan, now: Instant) {
        let (room, standing, pick) = match self.by_endpoint.get_mut(&place.1) {
            None => (FIRST_WINDOW, Standing::Doubtful, Pick::InTurn),
            Some(queue) => {
                let room = queue.room(now);
                if !queue.is_worth_a_claim(room) {
                    // What it has no room for now, or too little, may be due all the same.
                    queue.more = true;
                    let token_at = queue.next_token_at(now).filter(|_| room == 0);
                    self.timers.extend(token_at.map(|at| (at, super::Alarm::Endpoint(place.1))));
                    return;
                }
                (room, queue.standing(), queue.pick())
            }
        };
        let mut most = room.min(plan.most).min(plan.left);
        if standing == Standing::Doubtful {
            let left = self.doubtful_left(place.0, plan, now);
            most = most.min(*left);
            *left -= most;
        }
        if most > 0 {
            plan.left -= most;
            plan.rooms.push(Room { place, most, pick });
        } else {
            self.note_the_rest([place.1]);
        }
    }

    fn doubtful_left<'a>(&self, id: PartnerId, plan: &'a mut Plan, now: Instant) -> &'a mut usize {
        let (slots, partner) = (plan.slots, self.by_partner.get(&id));
        let room =
            || partner.map_or_else(|| slots.of_doubtful(), |partner| partner.doubtful_room(slots, now));
        plan.doubtful.entry(id).or_insert_with(room)
    }

    /// What is left out of a claim may be due all the same.
    fn note_the_rest(&mut self, endpoints: impl IntoIterator<Item = EndpointId>) {
        for id in endpoints {
            self.note_due(id);
        }
    }
}

impl Plan {
    fn is_full(&self) -> bool {
        self.left == 0 || self.rooms.len() >= MOST_ENDPOINTS
    }
}
