//! The short way for what is heard first: one statement that is a transaction of its own.
//!
//! It needs to know how the orders stand and who is to be told. What this process last saw of them is tried first; if that
//! is not true any more, or nothing is remembered, they are read, without a lock.
//!
//! Guarantees: what is kept here is what the long way would have kept. If an event is kept already, or what was believed
//! of its order or of the endpoints is not so, the statement fails as a whole and nothing is written. What is not newer
//! than all that is known of its order goes the long way.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::Fate;
use super::commit::{Committed, Desk};
use super::follow::follow;
use super::owe::owe;
use super::recent::{Known, partners};
use crate::model::event::{NewEvent, Source};
use crate::model::id::PartnerId;
use crate::model::queue::HandOver;
use crate::store::{self, endpoint, event};

/// The most events that are tried to be kept in one statement. What is heard under load comes in larger batches, and for
/// them the round trips matter less than the work.
const FEW: usize = 8;

/// Whether it is likely that nobody has told these events before.
pub(super) fn is_likely(events: &[NewEvent], distinct: &[&NewEvent]) -> bool {
    events.len() <= FEW
        && events.len() == distinct.len()
        && events.iter().all(|event| event.source != Source::Reconcile && !event.from_history)
}

/// Keeps events that nobody has told before. `None`: they must go the long way, and nothing is written.
pub(super) async fn keep(
    desk: &Desk,
    (writing, reading): (&mut PgConnection, &mut PgConnection),
    events: &[&NewEvent],
    how: (Option<&HandOver>, Duration),
) -> store::Result<Option<Committed>> {
    // A place in a lane needs the lock of the order.
    if desk.recent().has_lanes(events) {
        return Ok(None);
    }
    let guess = desk.recent().guess(events);
    if let Some(known) = guess {
        if let Some(committed) = write((desk, writing), events, &known, how).await? {
            return Ok(Some(committed));
        }
        desk.recent().was_wrong(events);
    }
    let (orders, subscriptions) = tokio::try_join!(
        event::before::before(&mut *writing, events),
        endpoint::subscription::of_partners(&mut *reading, partners(events))
    )?;
    let Some(orders) = orders else { return Ok(None) };
    desk.recent().learn_orders(&orders);
    desk.recent().learn_subscriptions(events, &subscriptions);
    if desk.recent().has_lanes(events) {
        return Ok(None);
    }
    write((desk, writing), events, &Known { orders, subscriptions }, how).await
}

/// `None`: what was believed is not so, and nothing is written.
async fn write(
    (desk, writing): (&Desk, &mut PgConnection),
    events: &[&NewEvent],
    known: &Known,
    (hand_over, reconcile_every): (Option<&HandOver>, Duration),
) -> store::Result<Option<Committed>> {
    let Some(moved) = follow(events, &known.orders, reconcile_every) else { return Ok(None) };
    let owed = owe(events, &known.subscriptions, hand_over);
    let heard: Vec<_> = events.iter().map(|one| (one.event_id, *one)).collect();
    let partners: Vec<Uuid> = partners(events).into_iter().map(PartnerId::uuid).collect();
    let versions: Vec<i64> = known.subscriptions.iter().map(|endpoint| endpoint.version).collect();
    let batch = event::keep::Batch {
        arriving: &moved.arriving(events),
        heard: &heard,
        orders: &moved.orders,
        owed: &owed.deliveries,
        subscribed: (&partners, &versions),
    };
    match event::keep::keep(&mut *writing, &batch).await {
        Ok(()) => {
            desk.recent().wrote(&moved.orders);
            Ok(Some(Committed { fates: vec![Fate::New; events.len()], owed }))
        }
        Err(store::Error::Contended(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
