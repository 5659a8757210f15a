//! Which kept events the tellings of a batch may be.

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::model::dedupe::{Kept, Key, LAG, SLACK, key};
use crate::model::event::{Identity, NewEvent};
use crate::model::id::EventId;
use crate::store::Result;

/// Of each telling the kept events that it may be, for [`dedupe`](crate::model::dedupe::dedupe) to decide. The caller
/// holds the locks of the orders since before: nobody else keeps events of them meanwhile.
pub async fn candidates(conn: &mut PgConnection, told: &[&NewEvent]) -> Result<HashMap<Key, Vec<Kept>>> {
    let rows = sqlx::query_file!(
        "src/store/event/candidates.sql",
        &column(told, |event| event.partner_id.uuid()),
        &column(told, |event| event.identity.0.as_slice()) as &[&[u8]],
        &column(told, |event| event.order.as_ref().map(|order| order.order_id.as_str())) as &[Option<&str>],
        &column(told, |event| event.order.as_ref().map(|order| order.status.as_str())) as &[Option<&str>],
        &column(told, |event| event.occurred_at),
        &column(told, |event| event.from_history),
        SLACK.as_seconds_f64(),
        LAG.as_seconds_f64(),
    );
    let mut candidates: HashMap<Key, Vec<Kept>> = HashMap::new();
    for row in rows.fetch_all(conn).await? {
        let event = usize::try_from(row.at).ok().and_then(|at| told.get(at.checked_sub(1)?));
        let (Some(event), Ok(identity)) = (event, row.identity.as_slice().try_into()) else { continue };
        let kept = Kept {
            event_id: row.event_id,
            identity: Identity(identity),
            occurred_at: row.occurred_at,
            received_at: row.received_at,
            verified: row.verified,
            from_history: row.from_history,
            is_visit: row.is_visit,
        };
        candidates.entry(key(event)).or_default().push(kept);
    }
    Ok(candidates)
}

fn column<'a, T>(events: &[&'a NewEvent], of: impl Fn(&'a NewEvent) -> T) -> Vec<T> {
    events.iter().map(|event| of(event)).collect()
}
