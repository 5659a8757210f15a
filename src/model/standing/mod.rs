//! Where an order stands: a function of the events that are known of it, never of the order in which they were heard.
//!
//! Events have places: by when they occurred; at one instant the further status is the later one; and if even that is
//! the same, by identity, which two processes compute alike. From the events in their places follow:
//! - the **standing**: the status that got furthest and since when, among equally far ones the latest. One that Transak
//!   does not document has no place among the others: it counts while it is the newest of all and the order is not over;
//! - the **snapshot**: the newest event;
//! - the **details**: each as the newest event that tells it says;
//! - the **anomalies**: each event seen from those before it.
//!
//! What is verified stands before what is not: if any event is, the others only fill in details.
//!
//! [`of_all`] is the definition. [`advanced`] comes to the same from a state and events newer than everything before, and
//! says when it cannot tell; then the caller has to read all events.
//! Not covered: what one identity swallows. Of two messages with one identity the first verified one is the event.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};

use super::event::Identity;
use super::id::EventId;
use super::order::Details;
use super::status::{Stage, Status};

/// One event of an order, as far as it says where the order stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    pub event_id: EventId,
    pub identity: Identity,
    pub status: Status,
    /// When it occurred.
    pub at: DateTime<Utc>,
    /// When it was first heard.
    pub received_at: DateTime<Utc>,
    pub verified: bool,
    /// `createdAt` and `updatedAt` of the order, where it says so.
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
    /// What else it tells of the order.
    pub details: Details,
}

/// A status, since when, and whether that is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub status: Status,
    /// When the order reached it, by Transak's clock where that is known.
    pub at: DateTime<Utc>,
    /// It came signed, or from Transak's REST API.
    pub verified: bool,
}

/// The newest event of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    pub event_id: EventId,
    pub received_at: DateTime<Utc>,
    /// When it occurred.
    pub at: DateTime<Utc>,
    /// `updatedAt` of the order, or else when the event occurred.
    pub updated_at: DateTime<Utc>,
}

/// Where an order stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderState {
    pub standing: Standing,
    pub newest: Newest,
    pub details: Details,
    /// When the order was made; where nobody tells, when the relay first heard of it.
    pub created_at: DateTime<Utc>,
}

/// A state, and why somebody should look at the events that led to it, in the order in which they were given.
pub type Followed = (OrderState, Vec<Option<String>>);

impl Observed {
    fn place(&self) -> (DateTime<Utc>, u8, &str, Identity) {
        (self.at, self.status.rank(), self.status.as_str(), self.identity)
    }

    fn standing(&self) -> Standing {
        Standing { status: self.status.clone(), at: self.at, verified: self.verified }
    }
}

/// Where an order stands of which these are all events. `None` if there are none.
pub fn of_all(events: &[Observed]) -> Option<Followed> {
    let mut places: Vec<usize> = (0..events.len()).collect();
    places.sort_by_key(|&at| (events[at].verified, events[at].place()));
    let certain = places.partition_point(|&at| !events[at].verified);
    let counts = if certain < places.len() { &places[certain..] } else { &places[..] };
    let mut anomalies: Vec<_> = events.iter().map(|event| unknown(&event.status)).collect();
    let (mut furthest, mut details, mut created_at) = (None, Details::default(), None);
    for &at in &places {
        details = events[at].details.or(&details);
        created_at = events[at].created_at.or(created_at);
    }
    for &at in counts {
        anomalies[at] = step(&mut furthest, &events[at]);
    }
    let newest = &events[*counts.last()?];
    let heard = events.iter().map(|event| event.received_at).min()?;
    let state = OrderState {
        standing: standing(furthest?, newest),
        newest: newest_of(newest),
        created_at: created_at.unwrap_or(heard),
        details,
    };
    Some((state, anomalies))
}

/// Where an order stands that stood so before these events. `None`: that cannot be told without all of its events.
pub fn advanced(before: &OrderState, events: &[Observed]) -> Option<Followed> {
    let is_newer = |event: &Observed| {
        event.verified == before.standing.verified
            && event.at > before.newest.at
            && (event.created_at.is_some() || event.received_at >= before.created_at)
    };
    // An undocumented status hides how far the order had got before it.
    if !before.standing.status.is_known() || !events.iter().all(is_newer) {
        return None;
    }
    let mut places: Vec<usize> = (0..events.len()).collect();
    places.sort_by_key(|&at| events[at].place());
    let (mut furthest, mut details) = (Some(before.standing.clone()), before.details.clone());
    // Until somebody tells when the order was made, it counts from when it was first heard of.
    let mut created_at = before.created_at;
    let mut anomalies = vec![None; events.len()];
    for &at in &places {
        details = events[at].details.or(&details);
        created_at = events[at].created_at.unwrap_or(created_at);
        anomalies[at] = step(&mut furthest, &events[at]);
    }
    let newest = &events[*places.last()?];
    let state =
        OrderState { standing: standing(furthest?, newest), newest: newest_of(newest), created_at, details };
    Some((state, anomalies))
}

/// Goes on to the next event in its place: how far the order had got by then, and whether that is odd.
fn step(furthest: &mut Option<Standing>, event: &Observed) -> Option<String> {
    let anomaly = unknown(&event.status).or_else(|| illegal(&furthest.as_ref()?.status, &event.status));
    // Of equally far ones it is the later one, or at one instant that of the higher rank.
    if furthest.as_ref().is_none_or(|before| event.status.stage() >= before.status.stage()) {
        *furthest = Some(event.standing());
    }
    anomaly
}

fn standing(furthest: Standing, newest: &Observed) -> Standing {
    let is_over = furthest.status.is_terminal();
    if is_over || newest.status.is_known() { furthest } else { newest.standing() }
}

fn newest_of(event: &Observed) -> Newest {
    Newest {
        event_id: event.event_id,
        received_at: event.received_at,
        at: event.at,
        updated_at: event.updated_at.unwrap_or(event.at),
    }
}

fn unknown(status: &Status) -> Option<String> {
    (!status.is_known()).then(|| format!("the status {status} is not one that Transak documents"))
}

/// A legal way goes forward, or from an unsuccessful end to a refund. `from` is the furthest status before.
fn illegal(from: &Status, to: &Status) -> Option<String> {
    let (before, after) = (from.stage(), to.stage());
    let legal = from == to
        || match before.cmp(&Stage::Unsuccessful) {
            Ordering::Less => after >= before,
            Ordering::Equal => after == Stage::Refunded,
            Ordering::Greater => false,
        };
    (!legal).then(|| format!("{to} after {from} is not a transition that Transak is known to make"))
}

#[cfg(test)]
mod tests;
