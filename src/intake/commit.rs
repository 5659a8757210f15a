//! The transaction: events, sightings, orders and deliveries of one batch, together or not at all.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{Connection as _, PgConnection, PgPool};

use super::follow::{follow_all, orders_of};
use super::owe::{Owed, owe};
use super::recent::{Recent, partners};
use super::{Fate, arrival};
use crate::model::dedupe::{Key, dedupe, key};
use crate::model::event::NewEvent;
use crate::model::queue::HandOver;
use crate::store::session::Session;
use crate::store::{self, endpoint, event, order};

/// What a committed batch left to do.
#[derive(Debug, Default)]
pub(super) struct Committed {
    /// What became of each event, in the order given.
    pub(super) fates: Vec<Fate>,
    /// What is owed for the new ones.
    pub(super) owed: Owed,
}

/// Where batches are written: the sessions it is done in, and what is remembered.
#[derive(Debug)]
pub(super) struct Desk {
    writing: Session,
    /// For what is read meanwhile.
    reading: Session,
    recent: Mutex<Recent>,
}

impl Desk {
    pub(super) fn new(pool: &PgPool) -> Self {
        let (writing, reading) = (Session::new(pool.clone()), Session::new(pool.clone()));
        Self { writing, reading, recent: Mutex::default() }
    }

    /// For what waits for no lock.
    pub(super) fn hurried(pool: &PgPool) -> Self {
        let (writing, reading) = (Session::hurried(pool.clone()), Session::hurried(pool.clone()));
        Self { writing, reading, recent: Mutex::default() }
    }

    pub(super) fn reading(&self) -> &Session {
        &self.reading
    }

    pub(super) fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Commits a batch of events. Deliveries for which `hand_over` has room are born leased to this process; orders under
/// way are compared with Transak's own record every `reconcile_every`.
pub(super) async fn commit(
    desk: &Desk,
    events: &[NewEvent],
    how: (Option<&HandOver>, Duration),
) -> store::Result<Committed> {
    let distinct = distinct(events);
    let (mut writing, mut reading) = tokio::try_join!(desk.writing.take(), desk.reading.take())?;
    let committed = async {
        if arrival::is_likely(events, &distinct)
            && let Some(committed) = arrival::keep(desk, (&mut writing, &mut reading), &distinct, how).await?
        {
            return Ok(committed);
        }
        desk.recent().forget(&distinct);
        commit_all(desk, (&mut writing, &mut reading), (events, &distinct), how).await
    };
    let committed = committed.await;
    if committed.as_ref().err().is_none_or(store::Error::leaves_session_usable) {
        writing.keep();
        reading.keep();
    }
    committed
}

async fn commit_all(
    desk: &Desk,
    (writing, reading): (&mut PgConnection, &mut PgConnection),
    (events, distinct): (&[NewEvent], &[&NewEvent]),
    (hand_over, reconcile_every): (Option<&HandOver>, Duration),
) -> store::Result<Committed> {
    let locking = async {
        let mut tx = writing.begin().await?;
        // Locked before it is read what is kept: whoever keeps another telling of the same change has to wait, or
        // has been waited for.
        let orders = order::write::lock(&mut tx, &orders_of(distinct)).await?;
        let kept = event::candidates::candidates(&mut tx, distinct).await?;
        Ok::<_, store::Error>((tx, orders, kept))
    };
    // Who is to be told is read meanwhile.
    let ((mut tx, orders, kept), subscriptions) =
        tokio::try_join!(locking, endpoint::subscription::of_partners(&mut *reading, partners(distinct)))?;
    desk.recent().learn_subscriptions(distinct, &subscriptions);
    let deduped = dedupe(distinct, &kept);
    if !deduped.restated.is_empty() {
        event::write::restate(&mut tx, &deduped.restated).await?;
    }
    let mut new: Vec<&NewEvent> = deduped.new.iter().map(AsRef::as_ref).collect();
    new.sort_by_key(|event| (event.partner_id, event.identity));
    let moved = follow_all(&mut tx, (&new, &deduped.restated), &orders, reconcile_every).await?;
    if !moved.flags.is_empty() {
        event::write::flag(&mut tx, &moved.flags).await?;
    }
    let heard: Vec<_> = events.iter().map(|one| (deduped.kept_as[&key(one)], one)).collect();
    // The locks of the orders are held by this transaction, as lanes need it.
    let owed = owe(&new, &subscriptions, hand_over);
    let batch = event::keep::Batch {
        arriving: &moved.arriving(&new),
        heard: &heard,
        orders: &moved.orders,
        owed: &owed.deliveries,
        subscribed: (&[], &[]),
    };
    event::keep::keep(&mut *tx, &batch).await?;
    tx.commit().await?;
    let ids: HashSet<_> = new.iter().map(|event| event.event_id).collect();
    let fate = |one: &NewEvent| if ids.contains(&one.event_id) { Fate::New } else { Fate::Sighted };
    Ok(Committed { fates: events.iter().map(fate).collect(), owed })
}

/// Each telling once, in the order in which every process inserts: its first verified arrival, else its first.
fn distinct(events: &[NewEvent]) -> Vec<&NewEvent> {
    let mut first: BTreeMap<Key, &NewEvent> = BTreeMap::new();
    for event in events {
        let chosen = first.entry(key(event)).or_insert(event);
        if event.verified && !chosen.verified {
            *chosen = event;
        }
    }
    first.into_values().collect()
}
