//! What the endpoints of one partner have together: turns, and a part of the slots.
//!
//! An endpoint is *proven* when its last request found it up. Until then, and while it is down, it is *doubtful*: each of
//! its requests may keep a slot until the deadline, and all that comes of it may be one more failure to write down. So the
//! doubtful endpoints of a partner share a small part of the slots, however many they are, and fail no faster than
//! [`MOST_FAILURES`]. Those of all partners together have half of the slots. Beyond that each partner that has none of them
//! may take one, and further still only if it is not known to fail: so its first try finds a slot, however many others
//! hang. And whatever is not answered in [`PROMPT`](super::under_way::PROMPT) leaves its slot and lingers elsewhere, while
//! there is room: so slots that many take in the same second are free again soon.

use std::collections::VecDeque;
use std::time::Instant;

use super::endpoint::FIRST_WINDOW;
use crate::model::id::EndpointId;
use crate::model::rate::{Bucket, Rate};
use crate::model::retry::Found;

/// An endpoint has no more under way than this part of what is free, and than [`PART_OF_ITS_PARTNERS`] of what its partner
/// may still have, so that many that stop answering in the same second leave something over to all others, their own
/// partner's too, whatever they had earned before. One that is alone comes to a fifth of all.
const PART_OF_ENDPOINT: usize = 4;
const PART_OF_ITS_PARTNERS: usize = 3;

/// A partner has no more under way than this many times what is free: alone it comes to three quarters of all, so that
/// whoever comes next need not wait for it.
const TIMES_OF_PARTNER: usize = 3;

/// The doubtful endpoints of a partner have no more under way than this part of what is free: alone they come to a quarter.
const PART_OF_DOUBTFUL: usize = 3;

/// So many eighths of all slots doubtful endpoints have at most, of whichever partner; if a partner's has none yet; and if
/// that partner is not known to fail.
const OF_ALL_DOUBTFUL: usize = 4;
const WITH_FIRST_ONES: usize = 5;
const WITH_NEWCOMERS: usize = 6;

/// This part of all slots is left to partners that have none.
const PART_OF_FIRST: usize = 16;

/// How fast the doubtful endpoints of a partner may fail in a second, and how often at once: each failure is a request,
/// and a write about the endpoint and the delivery, that everybody else waits for.
const MOST_FAILURES: Rate = Rate::of(50, 100);

/// What is known of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its last request found it up.
    Proven,
    /// Nobody knows whether it answers, or it is known to be down.
    Doubtful,
}

/// The slots of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots {
    pub(super) most: usize,
    pub(super) under_way: usize,
    /// How many of those are of doubtful endpoints.
    pub(super) doubtful: usize,
    /// How many more requests may linger.
    pub(super) left_to_linger: usize,
}

impl Slots {
    fn free(self) -> usize {
        self.most.saturating_sub(self.under_way)
    }

    /// What one endpoint may have under way, of a partner that has so much.
    pub(super) fn of_endpoint(self, of_its_partner: usize) -> usize {
        // Each slot that it takes is also one that is free no more.
        let left = self.of_partner().saturating_sub(of_its_partner) / (TIMES_OF_PARTNER + 1);
        FIRST_WINDOW.max((self.free() / PART_OF_ENDPOINT).min(left / PART_OF_ITS_PARTNERS))
    }

    fn of_partner(self) -> usize {
        FIRST_WINDOW.max(TIMES_OF_PARTNER * self.free())
    }

    pub(super) fn of_doubtful(self) -> usize {
        FIRST_WINDOW.max(self.free() / PART_OF_DOUBTFUL)
    }

    /// How many requests more may linger of a partner of which so many do: it has no more than it leaves.
    pub(super) fn left_to_linger(self, lingering: usize) -> usize {
        self.left_to_linger.saturating_sub(lingering).div_ceil(2)
    }

    fn are_left_to_the_proven(self, eighths: usize) -> bool {
        self.doubtful >= (self.most * eighths).div_ceil(8)
    }

    fn are_left_to_first_ones(self) -> bool {
        self.free() <= self.most / PART_OF_FIRST
    }
}

/// What a queue has at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) standing: Standing,
    pub(super) under_way: usize,
    /// Those of them that hold a slot.
    pub(super) in_slots: usize,
    pub(super) waiting: usize,
}

/// Endpoints of one standing.
#[derive(Debug, Default)]
struct Line {
    /// Those that may be able to start something, in turn.
    ready: VecDeque<EndpointId>,
    /// Those that may have more due in the table, in turn.
    hungry: VecDeque<EndpointId>,
    under_way: usize,
    waiting: usize,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Of(EndpointId),
    /// A doubtful endpoint's, when one more may fail.
    Then(Instant),
    /// Its own, when other partners have fewer slots.
    AfterOthers,
    /// Nobody's until one of this partner's own requests has ended.
    Nobody,
}

#[derive(Debug)]
pub(super) struct Partner {
    proven: Line,
    doubtful: Line,
    /// It stands in the line of those that may start.
    pub(super) listed: bool,
    /// It stands in the line of those that wait for others.
    pub(super) parked: bool,
    /// Also of endpoints that are another process's by now.
    pub(super) under_way: usize,
    /// Those of them that linger.
    pub(super) lingering: usize,
    /// How many queues there are.
    pub(super) endpoints: usize,
    /// Its last request did not find its endpoint up.
    failing: bool,
    /// Which of its endpoints come next.
    next: Standing,
    failures: Bucket,
}

impl Partner {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            proven: Line::default(),
            doubtful: Line::default(),
            listed: false,
            parked: false,
            under_way: 0,
            lingering: 0,
            endpoints: 0,
            failing: false,
            next: Standing::Proven,
            failures: Bucket::full(MOST_FAILURES, now),
        }
    }

    fn line(&mut self, standing: Standing) -> &mut Line {
        match standing {
            Standing::Proven => &mut self.proven,
            Standing::Doubtful => &mut self.doubtful,
        }
    }

    /// One of its queues has changed, and perhaps its standing with it.
    pub(super) fn shift(&mut self, before: Load, after: Load) {
        let line = self.line(before.standing);
        line.under_way = line.under_way.saturating_sub(before.under_way);
        line.waiting = line.waiting.saturating_sub(before.waiting);
        let line = self.line(after.standing);
        line.under_way += after.under_way;
        line.waiting += after.waiting;
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.proven.ready.is_empty() || !self.doubtful.ready.is_empty()
    }

    pub(super) fn enlist(&mut self, id: EndpointId, standing: Standing) {
        self.line(standing).ready.push_back(id);
    }

    pub(super) fn note_hungry(&mut self, id: EndpointId, standing: Standing) {
        self.line(standing).hungry.push_back(id);
    }

    /// An endpoint has another standing now.
    pub(super) fn leave_lines(&mut self, id: EndpointId, standing: Standing) {
        let line = self.line(standing);
        line.ready.retain(|one| *one != id);
        line.hungry.retain(|one| *one != id);
    }

    /// The next endpoint that may have more due in the table. `doubtful`: also one of those.
    pub(super) fn next_hungry(&mut self, doubtful: bool) -> Option<EndpointId> {
        let next = self.proven.hungry.pop_front();
        next.or_else(|| if doubtful { self.doubtful.hungry.pop_front() } else { None })
    }

    pub(super) fn is_hungry(&self, slots: Slots, now: Instant) -> bool {
        !self.proven.hungry.is_empty()
            || (!self.doubtful.hungry.is_empty() && self.doubtful_room(slots, now) > 0)
    }

    pub(super) fn waiting(&self) -> usize {
        self.proven.waiting + self.doubtful.waiting
    }

    /// How many more deliveries of doubtful endpoints are of use here.
    pub(super) fn doubtful_room(&self, slots: Slots, now: Instant) -> usize {
        let there = self.doubtful.under_way + self.doubtful.waiting;
        slots.of_doubtful().saturating_sub(there).min(self.failures.tokens(now))
    }

    /// How one of its requests found its endpoint.
    pub(super) fn note(&mut self, found: Found, now: Instant) {
        self.failing = found != Found::Up;
        if self.failing {
            // More may be under way than there are tokens.
            let _ = self.failures.take(now);
        }
    }

    /// Which endpoint has its turn: proven and doubtful ones in turn, while both may.
    pub(super) fn next(&mut self, slots: Slots, now: Instant) -> Turn {
        if self.under_way >= slots.of_partner() {
            return Turn::Nobody;
        }
        if self.under_way > 0 && slots.are_left_to_first_ones() {
            return if self.is_ready() { Turn::AfterOthers } else { Turn::Nobody };
        }
        let held_back = self.holds_back_the_doubtful(slots, now);
        let doubtful = if held_back.is_none() { self.doubtful.ready.front().copied() } else { None };
        match (self.proven.ready.front().copied(), doubtful) {
            (Some(id), other) if other.is_none() || self.next == Standing::Proven => {
                self.proven.ready.pop_front();
                self.next = Standing::Doubtful;
                Turn::Of(id)
            }
            (_, Some(id)) => {
                self.doubtful.ready.pop_front();
                self.next = Standing::Proven;
                Turn::Of(id)
            }
            _ if self.doubtful.ready.is_empty() => Turn::Nobody,
            _ => held_back.unwrap_or(Turn::Nobody),
        }
    }

    fn holds_back_the_doubtful(&self, slots: Slots, now: Instant) -> Option<Turn> {
        if self.doubtful.under_way >= slots.of_doubtful() {
            return Some(Turn::Nobody);
        }
        let eighths = match (self.doubtful.under_way, self.failing) {
            (1.., _) => OF_ALL_DOUBTFUL,
            (0, true) => WITH_FIRST_ONES,
            (0, false) => WITH_NEWCOMERS,
        };
        if slots.are_left_to_the_proven(eighths) {
            return Some(Turn::AfterOthers);
        }
        (self.failures.tokens(now) == 0).then(|| Turn::Then(self.failures.next_token_at(now)))
    }
}
