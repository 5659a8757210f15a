//! The first half of keeping a batch: which of its events are new, and how their orders stand.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;

use crate::model::event::NewEvent;
use crate::model::id::{EventId, PartnerId};
use crate::store::Result;
use crate::store::order::write::{Current, Orders};

/// What became of the events of a batch.
#[derive(Debug, Default)]
pub struct Admitted {
    /// Those that were inserted, by the ids they were given.
    pub new: HashSet<EventId>,
    /// Those that are kept under another identity: the id they were given, and the id they are kept under.
    pub kept: HashMap<EventId, EventId>,
    /// The orders of the new ones, locked; one that there is not yet is not among them.
    pub orders: Orders,
}

/// Inserts those of `events` that are not kept yet and locks their orders, in one statement.
///
/// An event is kept already if its identity is, if it is a history row and any event of its order and status is kept, or
/// if it is the message of what was so far known only from a history row, whose place it then takes. `events` must hold
/// each identity once, sorted by identity: two processes that hear the same events then wait for each other instead of
/// deadlocking. Waits for a concurrent transaction that inserts the same identity; an order which that one has made is
/// not seen, and the write that follows finds out.
pub async fn admit(conn: &mut PgConnection, events: &[&NewEvent]) -> Result<Admitted> {
    let rows = sqlx::query_file!(
        "src/store/event/admit.sql",
        &column(events, |event| event.partner_id.uuid()),
        &column(events, |event| event.event_id.uuid()),
        &column(events, |event| event.order.as_ref().map(|order| order.order_id.as_str()))
            as &[Option<&str>],
        &column(events, |event| event.event.as_str()) as &[&str],
        &column(events, |event| event.order.as_ref().map(|order| order.status.as_str())) as &[Option<&str>],
        &column(events, |event| event.identity.0.as_slice()) as &[&[u8]],
        &column(events, |event| event.occurred_at),
        &column(events, |event| event.received_at),
        &column(events, |event| event.from_history),
        &column(events, |event| event.verified),
        &column(events, |event| event.hops.count()),
        &column(events, |event| event.trace.map(|place| place.to_string())) as &[Option<String>],
    );
    let mut admitted = Admitted::default();
    for row in rows.fetch_all(conn).await? {
        match (row.given_id, row.kept_id, row.partner_id.zip(row.order_id)) {
            (Some(given), Some(kept), _) => drop(admitted.kept.insert(given, kept)),
            (Some(given), None, _) => drop(admitted.new.insert(given)),
            (None, _, Some(order)) => {
                let standing = (row.status.as_deref(), row.status_at, row.verified);
                let current = Current::of_columns(standing, (row.revision, row.snapshot_at));
                admitted.orders.extend(current.map(|current| (order, current)));
            }
            (None, _, None) => {}
        }
    }
    Ok(admitted)
}

fn column<'a, T>(events: &[&'a NewEvent], of: impl Fn(&'a NewEvent) -> T) -> Vec<T> {
    events.iter().map(|event| of(event)).collect()
}
