//! How the events of a batch move their orders.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::dedupe::Restated;
use crate::model::event::NewEvent;
use crate::model::id::{EventId, PartnerId};
use crate::model::order::Snapshot;
use crate::model::reconcile::next_reconcile;
use crate::model::standing::{Followed, Observed, OrderState, advanced, of_all};
use crate::store;
use crate::store::event::of_orders::{KeptEvent, of_orders};
use crate::store::event::write::Anomaly;
use crate::store::order::write::{Current, Orders, Write};
use crate::transak::order;

type Key<'a> = (PartnerId, &'a str);
type ByOrder<'a> = BTreeMap<Key<'a>, Vec<(&'a NewEvent, &'a Snapshot)>>;

/// The orders as they are to be written, and what is odd about events.
#[derive(Debug, Default)]
pub(super) struct Moved<'a> {
    pub(super) orders: Vec<Write<'a>>,
    /// Of the new events.
    pub(super) odd: HashMap<EventId, String>,
    /// Of kept events: what is to be shown of them from now on.
    pub(super) flags: Vec<Anomaly>,
}

/// The orders that events are about, sorted and each once.
pub(super) fn orders_of<'a>(events: &[&'a NewEvent]) -> Vec<Key<'a>> {
    events.iter().filter_map(|event| key_of(event)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Moves orders on by events that are newer than all that is known of them. `None`: some are not, and where their orders
/// stand cannot be told without reading all that is kept of them.
pub(super) fn follow<'a>(new: &[&'a NewEvent], orders: &Orders, every: Duration) -> Option<Moved<'a>> {
    let mut moved = Moved::default();
    for (key, events) in by_order(new) {
        moved.advance(key, &events, orders).then_some(())?;
    }
    Some(moved.scheduled(new, every))
}

/// The same of any events. The caller holds the locks of the orders, and has written down what was restated.
pub(super) async fn follow_all<'a>(
    tx: &mut PgConnection,
    (new, restated): (&[&'a NewEvent], &[Restated<'a>]),
    orders: &Orders,
    every: Duration,
) -> store::Result<Moved<'a>> {
    let said: Vec<&NewEvent> = restated.iter().filter_map(|one| one.said_by).collect();
    let mut whole: BTreeSet<Key<'_>> = said.iter().copied().filter_map(key_of).collect();
    let by_order = by_order(new);
    let mut moved = Moved::default();
    for (key, events) in &by_order {
        if whole.contains(key) || !moved.advance(*key, events, orders) {
            whole.insert(*key);
        }
    }
    if !whole.is_empty() {
        let whole: Vec<_> = whole.into_iter().collect();
        let kept = of_orders(tx, &whole).await?;
        moved.tell_anew(&whole, (&by_order, &kept), orders);
    }
    let told: Vec<_> = new.iter().copied().chain(said).collect();
    Ok(moved.scheduled(&told, every))
}

/// What retention has dropped is still what the order was last shown with.
fn filled_in(state: OrderState, current: Option<&Current>) -> OrderState {
    let Some(current) = current else { return state };
    let details = state.details.or(&current.state.details);
    OrderState { details, created_at: state.created_at.min(current.state.created_at), ..state }
}

impl<'a> Moved<'a> {
    /// Moves an order on by these events. `false`: they are not all newer than what is known of it.
    fn advance(&mut self, key: Key<'a>, events: &[(&NewEvent, &Snapshot)], orders: &Orders) -> bool {
        let current = orders.get(&(key.0, key.1.to_owned()));
        let observed: Vec<_> = events.iter().map(|(event, order)| observed(event, order)).collect();
        let followed = match current {
            Some(current) => advanced(&current.state, &observed),
            None => of_all(&observed),
        };
        let Some(followed) = followed else { return false };
        self.note(key, (current, followed), (&observed, &[]));
        true
    }

    /// Has orders stand as all that is kept and new of them says.
    fn tell_anew(&mut self, keys: &[Key<'a>], (new, kept): (&ByOrder<'a>, &[KeptEvent]), orders: &Orders) {
        let mut kept_of: HashMap<Key<'_>, Vec<&KeptEvent>> = HashMap::new();
        for event in kept {
            kept_of.entry((event.partner_id, &event.order_id)).or_default().push(event);
        }
        for key in keys {
            let kept = kept_of.remove(key).unwrap_or_default();
            let new = new.get(key).map_or(&[][..], Vec::as_slice);
            let mut all: Vec<_> = new.iter().map(|(event, order)| observed(event, order)).collect();
            all.extend(kept.iter().map(|event| observed_before(event)));
            let current = orders.get(&(key.0, key.1.to_owned()));
            let Some((state, anomalies)) = of_all(&all) else { continue };
            let forgotten = kept.iter().any(|event| event.body.is_none());
            let state = if forgotten { filled_in(state, current) } else { state };
            self.note(*key, (current, (state, anomalies)), (&all, &kept));
        }
    }

    /// Notes where an order stands. `events`: the new ones, then the kept ones.
    fn note(
        &mut self,
        (partner_id, order_id): Key<'a>,
        (current, (state, anomalies)): (Option<&Current>, Followed),
        (events, kept): (&[Observed], &[&KeptEvent]),
    ) {
        let new = events.len() - kept.len();
        let mut anomalies = anomalies.into_iter();
        let odd = events.iter().zip(anomalies.by_ref().take(new));
        self.odd.extend(odd.filter_map(|(event, anomaly)| Some((event.event_id, anomaly?))));
        let changed = kept.iter().zip(anomalies).filter(|(event, anomaly)| event.anomaly != *anomaly);
        self.flags.extend(changed.map(|(event, anomaly)| (partner_id, event.event_id, anomaly)));
        let read_revision = current.map_or(0, |current| current.revision);
        self.orders.push(Write { partner_id, order_id, read_revision, state, reconcile_at: None });
    }

    /// The new events, each with what is odd about it.
    pub(super) fn arriving<'e>(&'e self, new: &[&'e NewEvent]) -> Vec<(&'e NewEvent, Option<&'e str>)> {
        new.iter().map(|one| (*one, self.odd.get(&one.event_id).map(String::as_str))).collect()
    }

    /// With when each order is compared with Transak's own record, after what was heard of it now; in the order in which
    /// every process locks: those that there are, then those that are made.
    fn scheduled(mut self, told: &[&NewEvent], every: Duration) -> Self {
        let mut heard: HashMap<Key<'_>, DateTime<Utc>> = HashMap::new();
        for (key, event) in told.iter().filter_map(|event| Some((key_of(event)?, event))) {
            let latest = heard.entry(key).or_insert(event.received_at);
            *latest = event.received_at.max(*latest);
        }
        for write in &mut self.orders {
            let Some(&now) = heard.get(&(write.partner_id, write.order_id)) else { continue };
            let standing = &write.state.standing;
            write.reconcile_at = next_reconcile(&standing.status, now.max(standing.at), now, every);
        }
        self.orders.sort_by_key(|write| (write.read_revision == 0, write.partner_id, write.order_id));
        self
    }
}

fn key_of(event: &NewEvent) -> Option<Key<'_>> {
    Some((event.partner_id, event.order.as_ref()?.order_id.as_str()))
}

fn by_order<'a>(events: &[&'a NewEvent]) -> ByOrder<'a> {
    let mut by_order = ByOrder::new();
    for event in events.iter().copied() {
        if let (Some(key), Some(order)) = (key_of(event), &event.order) {
            by_order.entry(key).or_default().push((event, order));
        }
    }
    by_order
}

fn observed(event: &NewEvent, order: &Snapshot) -> Observed {
    Observed {
        event_id: event.event_id,
        identity: event.identity,
        status: order.status.clone(),
        at: event.occurred_at,
        received_at: event.received_at,
        verified: event.verified,
        created_at: order.created_at,
        updated_at: order.updated_at,
        details: order.details.clone(),
    }
}

/// A kept event; what its payload tells, if that can still be read.
fn observed_before(event: &KeptEvent) -> Observed {
    let body = event.body.as_deref().and_then(|body| serde_json::from_slice(body).ok());
    let order = body.and_then(|body| order::read(body).ok());
    let (created_at, updated_at) =
        order.as_ref().map_or((None, None), |order| (order.created_at, order.updated_at));
    Observed {
        event_id: event.event_id,
        identity: event.identity,
        status: event.status.clone(),
        at: event.occurred_at,
        received_at: event.received_at,
        verified: event.verified,
        created_at,
        updated_at,
        details: order.map(|order| order.details).unwrap_or_default(),
    }
}
