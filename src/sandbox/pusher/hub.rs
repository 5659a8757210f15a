//! Who listens to which channel, and what was counted.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::Message;

use super::Misbehaviour;

/// What the server has seen so far. Wait for one of them with [`watch::Receiver::wait_for`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// TCP connections accepted.
    pub connects: u64,
    /// Connections that were told `connection_established`.
    pub established: u64,
    /// Connections open now.
    pub open: usize,
    /// Subscriptions asked for, also those not confirmed.
    pub subscribe_requests: u64,
    /// Subscriptions made and confirmed.
    pub subscriptions: u64,
    /// Subscriptions in force now, over all connections.
    pub subscribed: usize,
    /// Pings heard, of either kind.
    pub pings: u64,
    /// Frames no Pusher client should send.
    pub bad_frames: u64,
}

/// What a connection is told by others.
#[derive(Debug, Clone)]
pub(super) enum Order {
    /// Send an event (counted, and doubled where the server misbehaves so).
    Event(Message),
    /// Send this as it is.
    Raw(Message),
    /// Close with this code.
    Close(u16),
    /// Drop the TCP connection without a word.
    Drop,
    /// Say nothing any more; the TCP connection stays.
    Mute,
}

type Inbox = mpsc::Sender<Order>;

#[derive(Debug, Default)]
struct State {
    inboxes: HashMap<u64, Inbox>,
    channels: HashMap<String, HashMap<u64, Inbox>>,
    misbehaviour: Misbehaviour,
    /// How many more connections it applies to; `None`: all.
    remaining: Option<u32>,
}

/// Shared by all connections of one server.
#[derive(Debug, Default)]
pub(super) struct Hub {
    state: Mutex<State>,
    counts: watch::Sender<Counts>,
}

impl Hub {
    /// A panic elsewhere leaves the maps usable: every change is one insertion or removal.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> watch::Receiver<Counts> {
        self.counts.subscribe()
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }

    pub(super) fn join(&self, id: u64, inbox: Inbox) {
        self.state().inboxes.insert(id, inbox);
        self.count(|counts| counts.open += 1);
    }

    pub(super) fn leave(&self, id: u64) {
        let mut state = self.state();
        state.inboxes.remove(&id);
        let mut ended = 0;
        state.channels.retain(|_, listeners| {
            ended += usize::from(listeners.remove(&id).is_some());
            !listeners.is_empty()
        });
        drop(state);
        self.count(|counts| {
            counts.open -= 1;
            counts.subscribed -= ended;
        });
    }

    /// `false` if this connection listens to the channel already.
    pub(super) fn subscribe(&self, id: u64, channel: &str) -> bool {
        let mut state = self.state();
        let Some(inbox) = state.inboxes.get(&id).cloned() else { return false };
        let fresh = state.channels.entry(channel.to_owned()).or_default().insert(id, inbox).is_none();
        drop(state);
        if fresh {
            self.count(|counts| {
                counts.subscriptions += 1;
                counts.subscribed += 1;
            });
        }
        fresh
    }

    pub(super) fn unsubscribe(&self, id: u64, channel: &str) {
        let mut state = self.state();
        let Some(listeners) = state.channels.get_mut(channel) else { return };
        let left = listeners.remove(&id).is_some();
        if listeners.is_empty() {
            state.channels.remove(channel);
        }
        drop(state);
        if left {
            self.count(|counts| counts.subscribed -= 1);
        }
    }

    /// How many connections listen to `channel`.
    pub(super) fn listeners(&self, channel: &str) -> usize {
        self.state().channels.get(channel).map_or(0, HashMap::len)
    }

    /// Hands the event to everyone who listens to `channel`; answers how many took it. A connection that is a whole
    /// queue behind loses it: Pusher promises no more.
    pub(super) fn publish(&self, channel: &str, event: &Message) -> usize {
        let inboxes: Vec<Inbox> =
            self.state().channels.get(channel).into_iter().flat_map(HashMap::values).cloned().collect();
        inboxes.iter().filter(|inbox| inbox.try_send(Order::Event(event.clone())).is_ok()).count()
    }

    /// Tells every open connection; answers how many.
    pub(super) fn tell_all(&self, order: &Order) -> usize {
        let inboxes: Vec<Inbox> = self.state().inboxes.values().cloned().collect();
        inboxes.iter().filter(|inbox| inbox.try_send(order.clone()).is_ok()).count()
    }

    /// Tells the connection that has been open longest; `false` if there is none.
    pub(super) fn tell_oldest(&self, order: &Order) -> bool {
        let oldest = self.state().inboxes.iter().min_by_key(|(id, _)| **id).map(|(_, inbox)| inbox.clone());
        oldest.is_some_and(|inbox| inbox.try_send(order.clone()).is_ok())
    }

    pub(super) fn misbehave(&self, how: Misbehaviour, connections: Option<u32>) {
        let mut state = self.state();
        (state.misbehaviour, state.remaining) = (how, connections);
    }

    /// How the connection that has just come is to be treated.
    pub(super) fn treatment(&self) -> Misbehaviour {
        let mut state = self.state();
        match &mut state.remaining {
            None => state.misbehaviour,
            Some(0) => Misbehaviour::None,
            Some(left) => {
                *left -= 1;
                state.misbehaviour
            }
        }
    }
}
