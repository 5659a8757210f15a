//! Reading sightings.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::event::Source;
use crate::model::id::{EventId, PartnerId};
use crate::store::Result;

/// The most sightings an event is shown with: one source can bring the same event again and again.
const MOST_OF_AN_EVENT: i64 = 100;

/// One arrival of an event.
#[derive(Debug, Clone)]
pub struct Sighting {
    pub event_id: EventId,
    pub source: Source,
    pub at: DateTime<Utc>,
    pub verified: bool,
}

/// The sightings of several events, oldest first; of each event the first 100. What a spool brought more than a day
/// after somebody else had heard the event is not found: only the partitions since then are looked into.
pub async fn of_events(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    events: &[EventId],
) -> Result<Vec<Sighting>> {
    let rows = sqlx::query_as!(
        Sighting,
        r#"select s.event_id as "event_id: _", s.source as "source: _", s.at, s.verified
           from event e
           cross join lateral (
               select * from sighting s
               where s.partner_id = e.partner_id and s.event_id = e.event_id
                 and s.at >= e.received_at - interval '1 day'
               order by s.at
               limit $3
           ) as s
           where e.partner_id = any($1::uuid[]) and e.event_id = any($2::uuid[])
           order by s.at"#,
        partners as _,
        events as _,
        MOST_OF_AN_EVENT,
    );
    Ok(rows.fetch_all(conn).await?)
}
