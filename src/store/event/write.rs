//! Keeping events.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::event::{Identity, NewEvent};
use crate::model::id::{EventId, PartnerId};
use crate::store::Result;

/// An event that is kept already.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// The id it is kept under.
    pub event_id: EventId,
    /// When it was first heard.
    pub received_at: DateTime<Utc>,
    /// It was heard from a source that can be verified.
    pub verified: bool,
}

/// The kept events with these identities.
pub async fn kept_by_identity(
    conn: &mut PgConnection,
    events: &[&NewEvent],
) -> Result<HashMap<(PartnerId, Identity), Kept>> {
    let rows = sqlx::query!(
        r#"select event.partner_id as "partner_id: PartnerId", event_id as "event_id: EventId", event.identity,
                  received_at, verified
           from event join unnest($1::uuid[], $2::bytea[]) as wanted (partner_id, identity)
             on event.partner_id = wanted.partner_id and event.identity = wanted.identity"#,
        &column(events, |event| event.partner_id.uuid()),
        &column(events, |event| event.identity.0.as_slice()) as &[&[u8]],
    );
    let rows = rows.fetch_all(conn).await?;
    let kept = rows.into_iter().filter_map(|row| {
        let kept = Kept { event_id: row.event_id, received_at: row.received_at, verified: row.verified };
        Some(((row.partner_id, identity(&row.identity)?), kept))
    });
    Ok(kept.collect())
}

/// Makes rumours certain: these events were now heard from a source that can be verified, and what that said is what
/// is shown from now on.
pub async fn verify(conn: &mut PgConnection, events: &[&NewEvent]) -> Result<()> {
    sqlx::query!(
        "with given as (
             select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::bytea[])
                 as given (partner_id, event_id, received_at, body)
         ), said as (
             update payload set body = given.body from given
             where payload.partner_id = given.partner_id and payload.event_id = given.event_id
               and payload.received_at = given.received_at
         )
         update event set verified = true from given
         where event.partner_id = given.partner_id and event.event_id = given.event_id",
        &column(events, |event| event.partner_id.uuid()),
        &column(events, |event| event.event_id.uuid()),
        &column(events, |event| event.received_at),
        &column(events, |event| event.payload.as_ref()) as &[&[u8]],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes down why somebody should look at these events.
pub async fn flag(conn: &mut PgConnection, anomalies: &[(PartnerId, EventId, String)]) -> Result<()> {
    sqlx::query!(
        "update event set anomaly = flagged.anomaly
         from unnest($1::uuid[], $2::uuid[], $3::text[]) as flagged (partner_id, event_id, anomaly)
         where event.partner_id = flagged.partner_id and event.event_id = flagged.event_id",
        &anomalies.iter().map(|(partner, _, _)| partner.uuid()).collect::<Vec<Uuid>>(),
        &anomalies.iter().map(|(_, event, _)| event.uuid()).collect::<Vec<Uuid>>(),
        &anomalies.iter().map(|(_, _, anomaly)| anomaly.as_str()).collect::<Vec<_>>() as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn identity(bytes: &[u8]) -> Option<Identity> {
    bytes.try_into().ok().map(Identity)
}

fn column<'a, T>(events: &[&'a NewEvent], of: impl Fn(&'a NewEvent) -> T) -> Vec<T> {
    events.iter().map(|event| of(event)).collect()
}
