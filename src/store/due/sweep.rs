//! Looking after everything that is owed, a little at a time: what nobody noted is found, however it came about.
//!
//! Guarantees: a slice costs the same whatever is owed, and slice by slice everything is looked at. So what a process of an
//! earlier version did, or a person by hand, is put right: at once where few endpoints are owed anything, in a minute or
//! some where tens of thousands are.

use sqlx::PgConnection;
use uuid::Uuid;

use super::note::note_now;
use crate::model::id::{EndpointId, PartnerId};
use crate::model::queue::Place;
use crate::store::Result;
use crate::store::endpoint::in_line;

/// Endpoints of one slice: a millisecond or some of work.
const SLICE: i32 = 200;

/// How far a round has come.
#[derive(Debug, Clone, Default)]
pub struct Sweep {
    pending: Option<Place>,
    held: Option<Place>,
}

/// The next slice. `true`: the round is over, the next one begins anew.
pub async fn sweep(tx: &mut PgConnection, sweep: &mut Sweep) -> Result<bool> {
    let (pending, held) = (after(sweep.pending), after(sweep.held));
    let rows = sqlx::query_file!("src/store/due/sweep.sql", pending.0, pending.1, held.0, held.1, SLICE);
    let rows = rows.fetch_all(&mut *tx).await?;
    let places = |of: fn(bool) -> bool| {
        let places: Vec<Place> =
            rows.iter().filter(|row| of(row.held)).map(|row| (row.partner_id, row.endpoint_id)).collect();
        (places.len() >= usize::try_from(SLICE).unwrap_or(0)).then(|| places.last().copied()).flatten()
    };
    let reached = Sweep { pending: places(|held| !held), held: places(|held| held) };
    let late = rows.iter().filter(|row| row.late).map(|row| (row.partner_id, row.endpoint_id));
    note_now(tx, late).await?;
    let astray = rows.iter().filter(|row| row.astray).map(|row| (row.partner_id, row.endpoint_id));
    in_line::note_change(tx, astray).await?;
    // One of the walks may be at its end and wait there for the other.
    let is_over = reached.pending.is_none() && reached.held.is_none();
    *sweep = match (is_over, reached) {
        (true, _) => Sweep::default(),
        (false, reached) => {
            Sweep { pending: reached.pending.or(Some(end())), held: reached.held.or(Some(end())) }
        }
    };
    Ok(is_over)
}

/// Behind every endpoint.
fn end() -> Place {
    (PartnerId::from(Uuid::max()), EndpointId::from(Uuid::max()))
}

fn after(place: Option<Place>) -> (Uuid, Uuid) {
    place.map_or((Uuid::nil(), Uuid::nil()), |(partner, endpoint)| (partner.uuid(), endpoint.uuid()))
}
