//! What this process last saw of orders and endpoints. The statement that keeps an event can then do without reading them
//! first.
//!
//! Guarantees: nothing. Whoever uses it has it checked in the same statement, against the orders' revisions and the
//! endpoints' versions.

use std::collections::{BTreeSet, HashMap};

use super::follow::orders_of;
use crate::model::delivery::Subscription;
use crate::model::event::NewEvent;
use crate::model::id::PartnerId;
use crate::store::order::write::{Current, Orders, Write};

/// The most orders that are remembered; beyond it all are forgotten, which costs a read each.
const CAPACITY: usize = 10_000;

/// How the orders of some events stand, and who is to be told.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) orders: Orders,
    /// Sorted by partner and endpoint.
    pub(super) subscriptions: Vec<Subscription>,
}

/// A memory.
#[derive(Debug, Default)]
pub(super) struct Recent {
    orders: Orders,
    subscriptions: HashMap<PartnerId, Vec<Subscription>>,
    /// Orders that are not remembered were new when this was last found out.
    strangers_are_new: bool,
}

impl Recent {
    /// What is probably true of these events' orders and partners, if anything is.
    pub(super) fn guess(&self, events: &[&NewEvent]) -> Option<Known> {
        let mut known = Known { orders: Orders::new(), subscriptions: Vec::new() };
        for partner in partners(events) {
            known.subscriptions.extend_from_slice(self.subscriptions.get(&partner)?);
        }
        for (partner, order) in orders_of(events) {
            let key = (partner, order.to_owned());
            match self.orders.get(&key) {
                Some(current) => drop(known.orders.insert(key, current.clone())),
                None if self.strangers_are_new => {}
                None => return None,
            }
        }
        Some(known)
    }

    /// A guess was wrong about one thing or another.
    pub(super) fn was_wrong(&mut self, events: &[&NewEvent]) {
        self.strangers_are_new = false;
        self.forget(events);
    }

    /// Somebody probably wants the orders of one of these partners told one after the other.
    pub(super) fn has_lanes(&self, events: &[&NewEvent]) -> bool {
        let mut known = partners(events).into_iter().filter_map(|partner| self.subscriptions.get(&partner));
        known.any(|endpoints| endpoints.iter().any(|endpoint| endpoint.terms.ordered))
    }

    /// These were read: all orders of some events that there are.
    pub(super) fn learn_orders(&mut self, orders: &Orders) {
        self.strangers_are_new = orders.is_empty();
    }

    /// These were read: all endpoints of the events' partners.
    pub(super) fn learn_subscriptions(&mut self, events: &[&NewEvent], subscriptions: &[Subscription]) {
        for partner in partners(events) {
            let of_partner = subscriptions.iter().filter(|one| one.partner_id == partner);
            self.subscriptions.insert(partner, of_partner.cloned().collect());
        }
    }

    /// These orders were written.
    pub(super) fn wrote(&mut self, writes: &[Write<'_>]) {
        if self.orders.len() + writes.len() > CAPACITY {
            self.orders.clear();
        }
        for write in writes {
            let current = Current { revision: write.read_revision + 1, state: write.state.clone() };
            self.orders.insert((write.partner_id, write.order_id.to_owned()), current);
        }
    }

    /// Somebody else may have written the orders of these events.
    pub(super) fn forget(&mut self, events: &[&NewEvent]) {
        for (partner, order) in orders_of(events) {
            self.orders.remove(&(partner, order.to_owned()));
        }
    }
}

pub(super) fn partners(events: &[&NewEvent]) -> BTreeSet<PartnerId> {
    events.iter().map(|event| event.partner_id).collect()
}
