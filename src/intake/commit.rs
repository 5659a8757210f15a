//! The transaction: events, sightings, orders and deliveries of one batch, together or not at all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{Connection as _, PgConnection, PgPool};

use super::owe::{Owed, owe};
use super::recent::{Recent, partners};
use super::{Fate, arrival};
use crate::model::event::{Identity, NewEvent};
use crate::model::id::{EventId, PartnerId};
use crate::model::order::Snapshot;
use crate::model::queue::HandOver;
use crate::model::reconcile::next_reconcile;
use crate::model::status::{self, Standing};
use crate::store::event::admit::Admitted;
use crate::store::order::write::Orders;
use crate::store::session::Session;
use crate::store::{self, endpoint, event, order};

/// Another transaction wrote an order between our reading and our writing: start the batch again.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommitError {
    #[error("another transaction moved the same order first")]
    Raced,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl CommitError {
    fn leaves_session_usable(&self) -> bool {
        !matches!(self, Self::Store(error) if !error.leaves_session_usable())
    }
}

impl From<sqlx::Error> for CommitError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

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
) -> Result<Committed, CommitError> {
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
    if committed.as_ref().err().is_none_or(CommitError::leaves_session_usable) {
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
) -> Result<Committed, CommitError> {
    let admitting = async {
        let mut tx = writing.begin().await?;
        let admitted = event::admit::admit(&mut tx, distinct).await?;
        Ok::<_, store::Error>((tx, admitted))
    };
    // Who is to be told is read meanwhile.
    let ((mut tx, admitted), subscriptions) =
        tokio::try_join!(admitting, endpoint::subscription::of_partners(&mut *reading, partners(distinct)))?;
    desk.recent().learn_subscriptions(distinct, &subscriptions);
    let (new, known) = sorted(distinct, &admitted);
    let mut kept_as: HashMap<_, _> = distinct.iter().map(|one| (key(one), one.event_id)).collect();
    for event in distinct {
        kept_as.extend(admitted.kept.get(&event.event_id).map(|&kept| (key(event), kept)));
    }
    let rumours = known_before(&mut tx, &known, &mut kept_as).await?;
    let mut orders = admitted.orders;
    if !rumours.is_empty() {
        let certain: Vec<&NewEvent> = rumours.iter().collect();
        event::write::verify(&mut tx, &certain).await?;
        orders.extend(order::write::lock(&mut tx, &orders_of(&certain)).await?);
    }
    let moving: Vec<&NewEvent> = rumours.iter().chain(new.iter().copied()).collect();
    let (writes, anomalies) = follow_all(&moving, &orders, reconcile_every);
    if !anomalies.is_empty() {
        event::write::flag(&mut tx, &anomalies).await?;
    }
    let heard: Vec<_> = events.iter().map(|one| (kept_as[&key(one)], one)).collect();
    // The locks of the orders are held by this transaction, as lanes need it.
    let owed = owe(&new, &subscriptions, hand_over);
    let batch = event::keep::Batch {
        arriving: &[],
        heard: &heard,
        new: &new,
        orders: &writes,
        owed: &owed.deliveries,
        subscribed: (&[], &[]),
    };
    event::keep::keep(&mut *tx, &batch).await?;
    tx.commit().await?;
    let fate = |one: &NewEvent| {
        if admitted.new.contains(&one.event_id) { Fate::New } else { Fate::Sighted }
    };
    Ok(Committed { fates: events.iter().map(fate).collect(), owed })
}

fn key(event: &NewEvent) -> (PartnerId, Identity) {
    (event.partner_id, event.identity)
}

/// Those that are new, and those whose very identity was kept before.
fn sorted<'a>(distinct: &[&'a NewEvent], admitted: &Admitted) -> (Vec<&'a NewEvent>, Vec<&'a NewEvent>) {
    let own = distinct.iter().filter(|event| !admitted.kept.contains_key(&event.event_id));
    own.partition(|event| admitted.new.contains(&event.event_id))
}

/// Each identity once, in the order in which every process inserts: its first verified arrival, else its first.
fn distinct(events: &[NewEvent]) -> Vec<&NewEvent> {
    let mut first: BTreeMap<(PartnerId, Identity), &NewEvent> = BTreeMap::new();
    for event in events {
        let chosen = first.entry((event.partner_id, event.identity)).or_insert(event);
        if event.verified && !chosen.verified {
            *chosen = event;
        }
    }
    first.into_values().collect()
}

/// Finds under which ids known events are kept. Answers those of them that only public channels had told before and
/// that are verified now, as they are kept.
async fn known_before(
    tx: &mut PgConnection,
    known: &[&NewEvent],
    kept_as: &mut HashMap<(PartnerId, Identity), EventId>,
) -> Result<Vec<NewEvent>, CommitError> {
    let kept =
        if known.is_empty() { HashMap::new() } else { event::write::kept_by_identity(tx, known).await? };
    let mut rumours = Vec::new();
    for event in known {
        // One that somebody deleted between the two statements is new after all.
        let before = kept.get(&key(event)).ok_or(CommitError::Raced)?;
        kept_as.insert(key(event), before.event_id);
        if event.verified && !before.verified {
            let certain =
                NewEvent { event_id: before.event_id, received_at: before.received_at, ..(*event).clone() };
            rumours.push(certain);
        }
    }
    Ok(rumours)
}

/// An order on its way through the events of a batch.
struct Moving<'a> {
    revision: i32,
    standing: Option<Standing>,
    snapshot: Option<(&'a Snapshot, &'a NewEvent)>,
    snapshot_at: Option<chrono::DateTime<chrono::Utc>>,
}

/// The orders that events are about, sorted and each once.
pub(super) fn orders_of<'a>(events: &[&'a NewEvent]) -> Vec<(PartnerId, &'a str)> {
    let orders = events
        .iter()
        .filter_map(|event| event.order.as_ref().map(|order| (event.partner_id, order.order_id.as_str())));
    orders.collect::<BTreeSet<_>>().into_iter().collect()
}

pub(super) type Anomaly = (PartnerId, EventId, String);

/// The orders that these events move, as they are to be written, and what is odd about the events.
pub(super) fn follow_all<'a>(
    events: &[&'a NewEvent],
    orders: &Orders,
    every: Duration,
) -> (Vec<order::write::Write<'a>>, Vec<Anomaly>) {
    let mut by_order: BTreeMap<(PartnerId, &str), Vec<(&NewEvent, &Snapshot)>> = BTreeMap::new();
    for event in events {
        if let Some(order) = &event.order {
            by_order.entry((event.partner_id, order.order_id.as_str())).or_default().push((event, order));
        }
    }
    let mut anomalies = Vec::new();
    let mut writes = Vec::with_capacity(by_order.len());
    for ((partner_id, order_id), mut events) in by_order {
        events.sort_by_key(|(event, order)| (event.occurred_at, order.status.rank()));
        let moving = follow(orders.get(&(partner_id, order_id.to_owned())), &events, &mut anomalies);
        writes.extend(write_of(partner_id, moving, every));
    }
    (writes, anomalies)
}

fn follow<'a>(
    current: Option<&order::write::Current>,
    events: &[(&'a NewEvent, &'a Snapshot)],
    anomalies: &mut Vec<Anomaly>,
) -> Moving<'a> {
    let mut moving = Moving {
        revision: current.map_or(0, |order| order.revision),
        standing: current.map(|order| order.standing.clone()),
        snapshot: None,
        snapshot_at: current.map(|order| order.snapshot_at),
    };
    for (event, order) in events {
        let incoming =
            Standing { status: order.status.clone(), at: event.occurred_at, verified: event.verified };
        let advance = status::advance(moving.standing.as_ref(), &incoming);
        let overrides = event.verified || moving.standing.as_ref().is_none_or(|standing| !standing.verified);
        let newer = moving.snapshot_at.is_none_or(|at| event.occurred_at >= at);
        if advance.moves {
            moving.standing = Some(incoming);
        }
        if advance.moves || (newer && overrides) {
            moving.snapshot = Some((order, event));
            moving.snapshot_at = Some(event.occurred_at);
        }
        anomalies.extend(advance.anomaly.map(|why| (event.partner_id, event.event_id, why)));
    }
    moving
}

fn write_of(partner_id: PartnerId, moving: Moving<'_>, every: Duration) -> Option<order::write::Write<'_>> {
    let (snapshot, event) = moving.snapshot?;
    let standing = moving.standing?;
    let heard_at = event.received_at.max(standing.at);
    Some(order::write::Write {
        partner_id,
        read_revision: moving.revision,
        reconcile_at: next_reconcile(&standing.status, heard_at, event.received_at, every),
        standing,
        snapshot: (snapshot, event.event_id),
        snapshot_times: (event.received_at, event.occurred_at),
    })
}
