//! The events of a batch on their way into the database: all together if they can go, and otherwise so that what cannot go
//! keeps nothing else from going.
//!
//! Guarantees: the main way meets a lock that is not let go for a second at most, twice at most; then those that need it,
//! or all if it cannot be told which those are, wait aside. Whoever writes what waits aside divides it until single events
//! are left, in sessions of its own, and nothing waits for that.

use std::collections::HashSet;
use std::error::Error;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use super::batch::{Obstacle, Outcome, REFUSED, Sink, Unavailable};
use super::commit::Committed;
use super::decode::aside;
use super::follow::orders_of;
use super::told::Line;
use super::{Fate, Heard};
use crate::model::event::NewEvent;
use crate::model::id::PartnerId;
use crate::model::quarantine::{Reason, Refusal};
use crate::store;
use crate::store::order::locked::locked;
use crate::store::session::PATIENCE;

/// After so many failures one after the other it is not single events that cannot go.
const MOST_FAILURES: u32 = 24;

/// More orders than this are not remembered; one that is forgotten costs its batch a second.
const MOST_HELD: usize = 10_000;

/// Orders whose messages wait aside: what else is heard of them goes there as well, at once. Clones are of the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<Mutex<HashSet<(PartnerId, String)>>>);

impl Held {
    fn hold(&self, orders: impl IntoIterator<Item = (PartnerId, String)>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MOST_HELD {
            held.clear();
        }
        held.extend(orders);
    }

    fn release(&self, orders: &[(PartnerId, &str)]) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.is_empty() {
            for (partner, order) in orders {
                held.remove(&(*partner, (*order).to_owned()));
            }
        }
    }

    fn holds(&self, event: &NewEvent) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let order = event.order.as_ref().filter(|_| !held.is_empty());
        order.is_some_and(|order| held.contains(&(event.partner_id, order.order_id.as_str().to_owned())))
    }
}

/// Events, and where the message of each stands in its batch.
#[derive(Debug, Default)]
pub(super) struct Placed {
    places: Vec<usize>,
    events: Vec<NewEvent>,
}

impl Placed {
    pub(super) fn push(&mut self, place: usize, event: NewEvent) {
        self.places.push(place);
        self.events.push(event);
    }

    fn halves(mut self) -> [Self; 2] {
        let middle = self.events.len() / 2;
        let second = Self { places: self.places.split_off(middle), events: self.events.split_off(middle) };
        [self, second]
    }

    /// Those of which something is true, and the others.
    fn split(self, is_first: impl Fn(&NewEvent) -> bool) -> (Self, Self) {
        let (mut first, mut second) = (Self::default(), Self::default());
        for (at, event) in self.places.into_iter().zip(self.events) {
            if is_first(&event) { first.push(at, event) } else { second.push(at, event) }
        }
        (first, second)
    }

    fn orders(&self) -> Vec<(PartnerId, &str)> {
        orders_of(&self.events.iter().collect::<Vec<_>>())
    }
}

/// A batch that is being written.
pub(super) struct Batch<'a> {
    sink: &'a Sink,
    messages: &'a [Heard],
    outcomes: &'a mut [Outcome],
    /// One after the other.
    failures: u32,
}

impl<'a> Batch<'a> {
    pub(super) fn new(sink: &'a Sink, messages: &'a [Heard], outcomes: &'a mut [Outcome]) -> Self {
        Self { sink, messages, outcomes, failures: 0 }
    }

    /// Writes events, and says of each what came of it.
    pub(super) async fn write(&mut self, events: Placed) -> Result<(), Unavailable> {
        if self.sink.divides {
            let (is_locked, free) = self.look_at_locks(events).await?;
            self.put_off(is_locked);
            return self.part(free).await;
        }
        let (held, free) = events.split(|event| self.sink.held.holds(event));
        self.put_off(held);
        self.part(free).await
    }

    async fn part(&mut self, events: Placed) -> Result<(), Unavailable> {
        if events.events.is_empty() {
            return Ok(());
        }
        if self.failures > MOST_FAILURES {
            self.put_off(events);
            return Ok(());
        }
        match self.sink.commit(&events.events).await? {
            Ok(committed) => {
                self.kept(&events, committed).await;
                Ok(())
            }
            Err(Obstacle::Poison(error)) => self.find_poison(events, &error).await,
            Err(Obstacle::Locked(error)) => self.go_round(events, &error).await,
            Err(Obstacle::Unexpected(error)) => {
                if let Some(events) = self.told(Line::Obstacle, &events) {
                    tracing::error!(
                        error = &error as &dyn Error,
                        cause = store::cause(&error),
                        events,
                        "the database does not take events, though nothing is wrong with them; they wait on disk"
                    );
                }
                if !self.sink.divides {
                    self.sink.is_refused.store(true, Ordering::Release);
                }
                self.divide(events).await
            }
        }
    }

    fn told(&self, line: Line, events: &Placed) -> Option<u64> {
        self.sink.flow.told.times(line, events.events.len() as u64)
    }

    async fn kept(&mut self, events: &Placed, committed: Committed) {
        self.failures = 0;
        for (at, fate) in events.places.iter().zip(&committed.fates) {
            self.outcomes[*at] = Outcome::Done(*fate);
        }
        self.sink.held.release(&events.orders());
        self.sink.hand_over(committed.owed).await;
    }

    /// One of them is what the database will never take: find it, and keep the others.
    async fn find_poison(&mut self, events: Placed, error: &store::Error) -> Result<(), Unavailable> {
        if let [at] = events.places[..] {
            if let Some(events) = self.told(Line::Refused, &events) {
                tracing::error!(
                    error = error as &dyn Error,
                    cause = store::cause(error),
                    events,
                    "events were refused by the database and are quarantined"
                );
            }
            let message = aside(&self.messages[at], Refusal::new(Reason::Refused, REFUSED));
            self.outcomes[at] = self.sink.put_aside(message, Fate::Quarantined).await?;
            return Ok(());
        }
        tracing::debug!(
            error = error as &dyn Error,
            events = events.events.len(),
            "a batch was refused and is written in parts"
        );
        for half in events.halves() {
            Box::pin(self.part(half)).await?;
        }
        Ok(())
    }

    /// Somebody does not let go of a lock. Those that need it wait aside, and the others try once more.
    async fn go_round(&mut self, events: Placed, error: &store::Error) -> Result<(), Unavailable> {
        if let Some(events) = self.told(Line::Locked, &events) {
            tracing::warn!(
                error = error as &dyn Error,
                events,
                "something that events need is locked: what needs it waits on disk"
            );
        }
        if self.sink.divides {
            return self.divide(events).await;
        }
        let (is_locked, free) = self.look_at_locks(events).await?;
        let found = !is_locked.events.is_empty();
        self.put_off(is_locked);
        if !found || free.events.is_empty() {
            self.put_off(free);
            return Ok(());
        }
        match self.sink.commit(&free.events).await? {
            Ok(committed) => self.kept(&free, committed).await,
            Err(Obstacle::Poison(error)) => return self.find_poison(free, &error).await,
            Err(_) => self.put_off(free),
        }
        Ok(())
    }

    async fn divide(&mut self, events: Placed) -> Result<(), Unavailable> {
        self.failures += 1;
        if !self.sink.divides || events.events.len() == 1 {
            if self.sink.divides {
                self.hold(&events);
            }
            self.put_off(events);
            return Ok(());
        }
        for half in events.halves() {
            Box::pin(self.part(half)).await?;
        }
        Ok(())
    }

    /// These wait aside.
    fn put_off(&mut self, events: Placed) {
        events.places.into_iter().for_each(|at| self.outcomes[at] = Outcome::Aside);
    }

    fn hold(&self, events: &Placed) {
        self.sink.held.hold(events.orders().into_iter().map(|(partner, order)| (partner, order.to_owned())));
    }

    /// Those whose order somebody else has locked, and the others.
    async fn look_at_locks(&self, events: Placed) -> Result<(Placed, Placed), Unavailable> {
        let looking = async {
            let mut conn = self.sink.desk.reading().take().await?;
            let found = locked(&mut conn, &events.orders()).await;
            conn.keep_after(&found);
            found
        };
        let found = match store::within(PATIENCE, looking).await {
            Ok(found) => found,
            Err(error) if error.is_unavailable() => return Err(self.sink.away(&error)),
            // What cannot be told of any cannot be told of all.
            Err(_) => HashSet::new(),
        };
        let is_locked = |event: &NewEvent| {
            let order = event.order.as_ref().map(|order| order.order_id.as_str().to_owned());
            order.is_some_and(|order| found.contains(&(event.partner_id, order)))
        };
        let split = events.split(is_locked);
        self.hold(&split.0);
        Ok(split)
    }
}
