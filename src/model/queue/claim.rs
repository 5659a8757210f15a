//! What the queues ask the table for, and what they make of the answer.

use std::collections::HashMap;
use std::time::Instant;

use super::{FIRST_WINDOW, MOST_WAITING, Queues};
use crate::model::id::EndpointId;

/// What to ask the table for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Look for other endpoints too.
    pub scan: bool,
    /// The endpoints this process sends to, and how many deliveries each has room for.
    pub rooms: Vec<(EndpointId, usize)>,
    /// The most deliveries in all.
    pub limit: usize,
}

impl Queues {
    /// What to ask the table for now; `None`: nothing. `scan`: look for other endpoints too.
    pub fn wanted(&mut self, scan: bool, now: Instant) -> Option<Wanted> {
        // However much was born leased, what is due in the table has its turn as well.
        let limit =
            (4 * self.most).saturating_sub(self.waiting).clamp(self.most.div_ceil(4), self.most.max(64) * 2);
        if !self.is_ours(now) || self.waiting >= 2 * MOST_WAITING {
            return None;
        }
        let mut rooms = Vec::new();
        for (&id, queue) in &mut self.by_endpoint {
            let room = queue.room(now);
            let worth = queue.is_worth_a_claim(room);
            if scan {
                // What it has no room for now, or too little, may be due all the same.
                queue.more |= !worth;
                rooms.push((id, if worth { room } else { 0 }));
            } else if queue.more && worth {
                rooms.push((id, room));
            } else if queue.more && room == 0 {
                self.timers.extend(queue.next_token_at(now).map(|at| (at, id)));
            }
        }
        (scan || !rooms.is_empty()).then_some(Wanted { scan, rooms, limit })
    }

    /// Takes note of what the table had: how many deliveries of each endpoint.
    pub fn claimed(&mut self, wanted: &Wanted, got: &HashMap<EndpointId, usize>) {
        let full = got.values().sum::<usize>() >= wanted.limit;
        let known: HashMap<_, _> = wanted.rooms.iter().copied().collect();
        for (id, room) in wanted.rooms.iter().filter(|(_, room)| *room > 0) {
            if let Some(queue) = self.by_endpoint.get_mut(id) {
                queue.more = full || got.get(id).is_some_and(|got| got >= room);
            }
        }
        for (id, count) in got.iter().filter(|(id, _)| !known.contains_key(*id)) {
            if let Some(queue) = self.by_endpoint.get_mut(id) {
                queue.more = *count >= FIRST_WINDOW;
            }
        }
    }
}
