//! The transaction: events, sightings, orders and deliveries of one batch, together or not at all.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use super::Fate;
use super::owe::owe;
use crate::model::delivery::Job;
use crate::model::event::{Identity, NewEvent};
use crate::model::id::{EndpointId, EventId, PartnerId};
use crate::model::order::Snapshot;
use crate::model::queue::HandOver;
use crate::model::reconcile::next_reconcile;
use crate::model::status::{self, Standing};
use crate::store::{self, event, order, sighting};

/// Another transaction wrote an order between our reading and our writing: start the batch again.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommitError {
    #[error("another transaction moved the same order first")]
    Raced,
    #[error(transparent)]
    Store(#[from] store::Error),
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
    /// Deliveries born leased to this process.
    pub(super) jobs: Vec<Job>,
    /// Endpoints with deliveries that are due and leased to nobody.
    pub(super) due: Vec<EndpointId>,
}

/// Commits a batch of events. Deliveries for which `hand_over` has room are born leased to this process; orders under
/// way are compared with Transak's own record every `reconcile_every`.
pub(super) async fn commit(
    pool: &PgPool,
    events: &[NewEvent],
    (hand_over, reconcile_every): (Option<&HandOver>, Duration),
) -> Result<Committed, CommitError> {
    let mut tx = pool.begin().await?;
    let mut distinct = distinct(events);
    let adopted: HashMap<EventId, EventId> =
        event::write::adopt(&mut tx, &distinct).await?.into_iter().collect();
    let mut kept_as = HashMap::new();
    distinct.retain(|event| {
        let kept = adopted.get(&event.event_id);
        kept_as.extend(kept.map(|&kept| ((event.partner_id, event.identity), kept)));
        kept.is_none()
    });
    let inserted: HashSet<EventId> =
        event::write::insert_new(&mut tx, &distinct).await?.into_iter().collect();
    let (new, known): (Vec<&NewEvent>, Vec<&NewEvent>) =
        distinct.into_iter().partition(|event| inserted.contains(&event.event_id));
    kept_as.extend(new.iter().map(|event| ((event.partner_id, event.identity), event.event_id)));
    let rumours = known_before(&mut tx, &known, &mut kept_as).await?;
    let heard: Vec<_> = events.iter().map(|one| (kept_as[&(one.partner_id, one.identity)], one)).collect();
    sighting::write::insert(&mut tx, &heard).await?;
    if !rumours.is_empty() {
        let certain: Vec<&NewEvent> = rumours.iter().collect();
        event::write::verify(&mut tx, &certain).await?;
        move_orders(&mut tx, &certain, reconcile_every).await?;
    }
    let mut committed = Committed::default();
    if !new.is_empty() {
        event::write::insert_payloads(&mut tx, &new).await?;
        move_orders(&mut tx, &new, reconcile_every).await?;
        owe(&mut tx, &new, hand_over, &mut committed).await?;
    }
    tx.commit().await?;
    committed.fates = events
        .iter()
        .map(|one| if inserted.contains(&one.event_id) { Fate::New } else { Fate::Sighted })
        .collect();
    Ok(committed)
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
) -> store::Result<Vec<NewEvent>> {
    let kept =
        if known.is_empty() { HashMap::new() } else { event::write::kept_by_identity(tx, known).await? };
    let mut rumours = Vec::new();
    for event in known {
        // One that retention dropped between the two statements: its new sighting stands under the id it would get.
        let before = kept.get(&(event.partner_id, event.identity));
        kept_as
            .insert((event.partner_id, event.identity), before.map_or(event.event_id, |kept| kept.event_id));
        if let Some(kept) = before.filter(|kept| event.verified && !kept.verified) {
            let certain =
                NewEvent { event_id: kept.event_id, received_at: kept.received_at, ..(*event).clone() };
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

async fn move_orders(tx: &mut PgConnection, new: &[&NewEvent], every: Duration) -> Result<(), CommitError> {
    let mut by_order: BTreeMap<(PartnerId, &str), Vec<(&NewEvent, &Snapshot)>> = BTreeMap::new();
    for event in new {
        if let Some(order) = &event.order {
            by_order.entry((event.partner_id, order.order_id.as_str())).or_default().push((event, order));
        }
    }
    if by_order.is_empty() {
        return Ok(());
    }
    let keys: Vec<_> = by_order.keys().copied().collect();
    let current = order::write::lock(tx, &keys).await?;
    let mut anomalies = Vec::new();
    let mut writes = Vec::with_capacity(by_order.len());
    for ((partner_id, order_id), mut events) in by_order {
        events.sort_by_key(|(event, order)| (event.occurred_at, order.status.rank()));
        let current = current.get(&(partner_id, order_id.to_owned()));
        let moving = follow(current, &events, &mut anomalies);
        writes.extend(write_of(partner_id, moving, every));
    }
    if !anomalies.is_empty() {
        let flagged: Vec<_> =
            anomalies.iter().map(|(event, why)| (event.partner_id, event.event_id, why.as_str())).collect();
        event::write::flag(tx, &flagged).await?;
    }
    if order::write::upsert(tx, &writes).await? != writes.len() as u64 {
        return Err(CommitError::Raced);
    }
    Ok(())
}

fn follow<'a>(
    current: Option<&order::write::Current>,
    events: &[(&'a NewEvent, &'a Snapshot)],
    anomalies: &mut Vec<(&'a NewEvent, String)>,
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
        anomalies.extend(advance.anomaly.map(|why| (*event, why)));
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
