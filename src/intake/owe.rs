//! To whom an event is owed, and who sends it first.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::model::delivery::{DeliveryState, Job, NewDelivery, Subscription, Told};
use crate::model::event::NewEvent;
use crate::model::id::{DeliveryId, EndpointId};
use crate::model::queue::HandOver;

/// What is owed for the new events of a batch.
#[derive(Debug, Default)]
pub(super) struct Owed {
    pub(super) deliveries: Vec<NewDelivery>,
    /// Those of them that are born leased to this process.
    pub(super) jobs: Vec<Job>,
    /// Endpoints with deliveries that are due and leased to nobody.
    pub(super) due: Vec<EndpointId>,
}

/// Owes new events to the endpoints that ask for them.
///
/// What this process has room for is born leased to it; the rest is due, waits in the lane of its order, or is held.
pub(super) fn owe(new: &[&NewEvent], subscriptions: &[Subscription], hand_over: Option<&HandOver>) -> Owed {
    let mut owed = Owed::default();
    let direct =
        subscriptions.iter().filter(|endpoint| endpoint.is_direct()).map(|endpoint| endpoint.endpoint_id);
    let mut rooms = hand_over.map_or_else(HashMap::new, |hand_over| hand_over.rooms(direct));
    let mut oldest_first = new.to_vec();
    oldest_first.sort_by_key(|event| event.event_id);
    let mut due = HashSet::new();
    for event in oldest_first {
        let mut told = None;
        let status = event.order.as_ref().map(|order| order.status.as_str());
        let wanting = subscriptions.iter().filter(|endpoint| {
            endpoint.partner_id == event.partner_id && endpoint.wants(&event.event, status)
        });
        for endpoint in wanting {
            let leased = take_room(&mut rooms, endpoint.endpoint_id);
            let delivery = new_delivery(event, endpoint, leased);
            if leased {
                let told = told.get_or_insert_with(|| Arc::new(told_of(event)));
                owed.jobs.push(job(&delivery, endpoint, told));
            } else if endpoint.enabled {
                due.insert(endpoint.endpoint_id);
            }
            owed.deliveries.push(delivery);
        }
    }
    owed.due = due.into_iter().collect();
    owed
}

fn take_room(rooms: &mut HashMap<EndpointId, usize>, endpoint: EndpointId) -> bool {
    let Some(room) = rooms.get_mut(&endpoint).filter(|room| **room > 0) else { return false };
    *room -= 1;
    true
}

fn new_delivery(event: &NewEvent, endpoint: &Subscription, leased: bool) -> NewDelivery {
    NewDelivery {
        partner_id: event.partner_id,
        delivery_id: DeliveryId::new(),
        event_id: event.event_id,
        endpoint_id: endpoint.endpoint_id,
        order_id: event.order.as_ref().map(|order| order.order_id.as_str().to_owned()),
        state: if endpoint.enabled { DeliveryState::Pending } else { DeliveryState::Held },
        leased,
        in_lane: endpoint.terms.ordered && event.order.is_some(),
    }
}

fn told_of(event: &NewEvent) -> Told {
    Told {
        event_id: event.event_id,
        order_id: event.order.as_ref().map(|order| order.order_id.as_str().to_owned()),
        event: event.event.clone(),
        occurred_at: event.occurred_at,
        received_at: event.received_at,
        hops: event.hops,
        payload: event.payload.clone(),
        trace: event.trace,
        standard: OnceLock::new(),
    }
}

fn job(delivery: &NewDelivery, endpoint: &Subscription, told: &Arc<Told>) -> Job {
    Job {
        partner_id: delivery.partner_id,
        delivery_id: delivery.delivery_id,
        endpoint_id: delivery.endpoint_id,
        terms: endpoint.terms,
        in_lane: false,
        attempts: 1,
        claims: 1,
        schedule_start: 0,
        leased_at: Instant::now(),
        told: Arc::clone(told),
    }
}
