//! One change of an order is one event, however it is told: by messages, again and again, and by rows of the order's
//! history, which have no message and a time of their own.
//!
//! A **message** is the event with its identity, kept or new. A **row** of a history tells that the order was in a status
//! at a time. It is a sighting of a message of that status whose time is not later than the row's (Transak writes the row
//! after the message; clocks may differ by [`SLACK`]). What is told by rows alone is one event for each status: that of
//! the earliest row, until a message of which it may be a row takes its place. A message that is later than the row is
//! another visit to the status, and an event of its own. One that does not say its time may be that of any row. Where a
//! history has an order in one status more than once, its rows say which *visit* they tell: each is an event of its own.
//!
//! So the events of an order and status are all its messages, and the earliest row if it may be a row of none of them,
//! in whatever order and batches they come. That holds only if whoever decides sees what is kept and nobody else
//! writes meanwhile: the caller holds the lock of the order.
//!
//! What is verified says what an event is: a message before a row, a row before what a public channel said.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::event::{Identity, NewEvent};
use super::id::{EventId, PartnerId};

/// So much later than its row in the history may a message of the same change be.
pub const SLACK: TimeDelta = TimeDelta::seconds(60);

/// So far from a row that tells one of several visits to a status its message may be: Transak writes the row some seconds
/// after it at most.
pub const LAG: TimeDelta = TimeDelta::seconds(9);

/// Who tells a visit has looked before that it is not known. So near, it may have become known meanwhile.
const MEANWHILE: TimeDelta = TimeDelta::seconds(1);

/// An event that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub event_id: EventId,
    pub identity: Identity,
    pub occurred_at: DateTime<Utc>,
    /// When it was first heard.
    pub received_at: DateTime<Utc>,
    /// It was heard from a source that can be verified.
    pub verified: bool,
    /// It is told by a row of a history alone.
    pub from_history: bool,
    /// And is one of several visits to its status.
    pub is_visit: bool,
}

/// What a telling is known by: the same message, and the same row, has the same key.
pub type Key = (PartnerId, Identity, bool);

/// The key of a telling.
pub fn key(event: &NewEvent) -> Key {
    (event.partner_id, event.identity, event.from_history)
}

/// What is to be done with the tellings of a batch.
#[derive(Debug, Default)]
pub struct Deduped<'a> {
    /// Events that are not kept yet.
    pub new: Vec<Cow<'a, NewEvent>>,
    /// Events that are kept, and what is to be kept of them from now on.
    pub restated: Vec<Restated<'a>>,
    /// Under which id each telling is kept.
    pub kept_as: HashMap<Key, EventId>,
}

/// A kept event of which more is known now.
#[derive(Debug)]
pub struct Restated<'a> {
    pub partner_id: PartnerId,
    /// Its columns from now on.
    pub event: Kept,
    /// Whose words it has from now on; `None`: it keeps those it has.
    pub said_by: Option<&'a NewEvent>,
}

/// Decides what is told by these tellings, each key once. `kept`: of each of them the kept events with its identity, known
/// from history alone, or of which it may be a row; of its order and status.
pub(crate) fn dedupe<'a>(told: &[&'a NewEvent], kept: &HashMap<Key, Vec<Kept>>) -> Deduped<'a> {
    let mut deduped = Deduped::default();
    let mut groups: BTreeMap<_, Vec<&'a NewEvent>> = BTreeMap::new();
    for event in told {
        let about = event.order.as_ref().map(|order| (&order.order_id, &order.status));
        // Without an order only the identity tells.
        let other = about.is_none().then_some(event.identity);
        groups.entry((event.partner_id, about, other)).or_default().push(event);
    }
    for ((partner_id, ..), group) in groups {
        Group::new(&group, kept).decide(&group, partner_id, &mut deduped);
    }
    deduped
}

/// The events of one order and status.
struct Group<'a> {
    events: Vec<Known<'a>>,
    /// Visits that are told together: each is another one.
    visits: HashSet<Identity>,
}

struct Known<'a> {
    event: Kept,
    is_new: bool,
    is_restated: bool,
    said_by: Option<&'a NewEvent>,
}

impl<'a> Group<'a> {
    fn new(told: &[&NewEvent], kept: &HashMap<Key, Vec<Kept>>) -> Self {
        let known: BTreeMap<EventId, Kept> = told
            .iter()
            .filter_map(|one| kept.get(&key(one)))
            .flatten()
            .map(|one| (one.event_id, *one))
            .collect();
        let known = known.into_values();
        let events =
            known.map(|event| Known { event, is_new: false, is_restated: false, said_by: None }).collect();
        Self { events, visits: told.iter().filter(|one| one.is_visit).map(|one| one.identity).collect() }
    }

    fn decide(mut self, told: &[&'a NewEvent], partner_id: PartnerId, deduped: &mut Deduped<'a>) {
        let (mut rows, mut messages): (Vec<&'a NewEvent>, Vec<&'a NewEvent>) =
            told.iter().copied().partition(|one| one.from_history && !one.is_visit);
        // The message nearest to a row takes its place, and the earliest row is the event.
        messages.sort_by_key(|one| (one.is_visit, Reverse((one.occurred_at, one.identity))));
        rows.sort_by_key(|one| (one.occurred_at, one.identity));
        for message in messages {
            let kept_as = if message.is_visit { self.visit(message) } else { self.message(message) };
            deduped.kept_as.insert(key(message), kept_as);
        }
        for row in rows {
            deduped.kept_as.insert(key(row), self.row(row));
        }
        for one in self.events {
            let said_by = one.said_by;
            match (one.is_new, one.is_restated, said_by) {
                (true, false, Some(said_by)) => deduped.new.push(Cow::Borrowed(said_by)),
                (true, true, Some(said_by)) => deduped.new.push(Cow::Owned(one.event.as_told(said_by))),
                (false, true, _) => {
                    deduped.restated.push(Restated { partner_id, event: one.event, said_by });
                }
                _ => {}
            }
        }
    }

    fn message(&mut self, message: &'a NewEvent) -> EventId {
        let own = self.known(message);
        let may_be_its_row = |one: &Kept| {
            let is_near = !one.is_visit || (one.occurred_at - message.occurred_at).abs() <= LAG;
            one.from_history && is_near && message.may_be_told_by(one)
        };
        let Some(at) = own.or_else(|| self.nearest(message.occurred_at, may_be_its_row)) else {
            return self.add(message);
        };
        let one = &mut self.events[at];
        if one.event.from_history {
            one.event.identity = message.identity;
            (one.event.from_history, one.event.is_visit) = (false, false);
            one.is_restated = true;
            if message.verified {
                one.restate(message);
            }
        } else if message.verified && !one.event.verified {
            one.restate(message);
        }
        one.event.event_id
    }

    /// As a message, but it may be told by one that is near: whoever tells it knew of none.
    fn visit(&mut self, visit: &'a NewEvent) -> EventId {
        let own = self.known(visit);
        let meanwhile = || {
            self.nearest(visit.occurred_at, |one| {
                let is_near = (one.occurred_at - visit.occurred_at).abs() <= MEANWHILE;
                is_near && !one.is_row() && !self.visits.contains(&one.identity)
            })
        };
        let row = || self.nearest(visit.occurred_at, |one| one.is_row() && visit.may_be_told_by(one));
        let Some(at) = own.or_else(meanwhile).or_else(row) else { return self.add(visit) };
        let one = &mut self.events[at];
        if one.event.is_row() {
            one.event.identity = visit.identity;
            one.event.is_visit = true;
            one.restate(visit);
        } else if !one.event.verified {
            one.restate(visit);
        }
        one.event.event_id
    }

    fn row(&mut self, row: &'a NewEvent) -> EventId {
        let own = self.known(row);
        let Some(at) = own.or_else(|| self.message_of(row)).or_else(|| self.told_by_rows()) else {
            return self.add(row);
        };
        let one = &mut self.events[at];
        let earlier = one.event.is_row()
            && (row.occurred_at, row.identity) < (one.event.occurred_at, one.event.identity);
        if earlier {
            one.event.identity = row.identity;
        }
        if earlier || !one.event.verified {
            one.restate(row);
        }
        one.event.event_id
    }

    fn known(&self, told: &NewEvent) -> Option<usize> {
        self.events.iter().position(|one| one.event.identity == told.identity)
    }

    /// The message or visit nearest in time of which this may be a row.
    fn message_of(&self, row: &NewEvent) -> Option<usize> {
        self.nearest(row.occurred_at, |one| {
            !one.is_row() && may_tell((one.occurred_at, one.received_at), row.occurred_at)
        })
    }

    fn nearest(&self, at: DateTime<Utc>, fits: impl Fn(&Kept) -> bool) -> Option<usize> {
        let fitting = self.events.iter().enumerate().filter(|(_, one)| fits(&one.event));
        fitting.min_by_key(|(_, one)| (one.event.occurred_at - at).abs()).map(|(at, _)| at)
    }

    fn told_by_rows(&self) -> Option<usize> {
        self.events.iter().position(|one| one.event.is_row())
    }

    fn add(&mut self, told: &'a NewEvent) -> EventId {
        let event = Kept {
            event_id: told.event_id,
            identity: told.identity,
            occurred_at: told.occurred_at,
            received_at: told.received_at,
            verified: told.verified,
            from_history: told.from_history,
            is_visit: told.is_visit,
        };
        self.events.push(Known { event, is_new: true, is_restated: false, said_by: Some(told) });
        told.event_id
    }
}

/// Whether a message that occurred and was received then may be of the change that a row dates so. What occurred when it
/// was received does not say when it occurred.
fn may_tell((occurred, received): (DateTime<Utc>, DateTime<Utc>), row: DateTime<Utc>) -> bool {
    occurred == received || occurred <= row + SLACK
}

impl NewEvent {
    fn may_be_told_by(&self, row: &Kept) -> bool {
        may_tell((self.occurred_at, self.received_at), row.occurred_at)
    }
}

impl<'a> Known<'a> {
    fn restate(&mut self, said_by: &'a NewEvent) {
        self.event.occurred_at = said_by.occurred_at;
        self.event.verified = said_by.verified;
        self.said_by = Some(said_by);
        self.is_restated = true;
    }
}

impl Kept {
    /// It is told by rows alone, and there is one such of its status.
    fn is_row(&self) -> bool {
        self.from_history && !self.is_visit
    }

    /// The event as it was told, under the id and identity that it has.
    fn as_told(&self, said_by: &NewEvent) -> NewEvent {
        NewEvent {
            event_id: self.event_id,
            identity: self.identity,
            received_at: self.received_at,
            from_history: self.from_history,
            is_visit: self.is_visit,
            ..said_by.clone()
        }
    }
}

#[cfg(test)]
mod tests;
