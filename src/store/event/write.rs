//! Keeping events.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::event::{Identity, NewEvent};
use crate::model::id::{EventId, PartnerId};
use crate::store::Result;

/// Inserts those of `events` whose identity is not kept yet and answers their ids.
///
/// `events` must hold each identity once, sorted by identity: two processes that hear the same events then wait for
/// each other instead of deadlocking. Waits for a concurrent transaction that inserts the same identity.
pub async fn insert_new(conn: &mut PgConnection, events: &[&NewEvent]) -> Result<Vec<EventId>> {
    let ids = sqlx::query_scalar!(
        r#"insert into event (partner_id, event_id, order_id, event, status, identity, occurred_at, received_at,
                              from_history, verified, hops, traceparent)
           select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bytea[],
                                $7::timestamptz[], $8::timestamptz[], $9::boolean[], $10::boolean[], $11::smallint[],
                                $12::text[])
           on conflict on constraint event_identity_is_unique do nothing
           returning event_id as "event_id: EventId""#,
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
    Ok(ids.fetch_all(conn).await?)
}

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

/// Finds the kept events that these are, although their identities differ: a history row is any event of its order and
/// status; a message is the event that was so far known only from a history row, and takes its place.
pub async fn adopt(conn: &mut PgConnection, events: &[&NewEvent]) -> Result<Vec<(EventId, EventId)>> {
    let rows = sqlx::query_file!(
        "src/store/event/adopt.sql",
        &column(events, |event| event.partner_id.uuid()),
        &column(events, |event| event.event_id.uuid()),
        &column(events, |event| event.order.as_ref().map(|order| order.order_id.as_str()))
            as &[Option<&str>],
        &column(events, |event| event.order.as_ref().map(|order| order.status.as_str())) as &[Option<&str>],
        &column(events, |event| event.identity.0.as_slice()) as &[&[u8]],
        &column(events, |event| event.from_history),
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.given_id, row.kept_id)).collect())
}

/// Writes down why somebody should look at these events.
pub async fn flag(conn: &mut PgConnection, anomalies: &[(PartnerId, EventId, &str)]) -> Result<()> {
    sqlx::query!(
        "update event set anomaly = flagged.anomaly
         from unnest($1::uuid[], $2::uuid[], $3::text[]) as flagged (partner_id, event_id, anomaly)
         where event.partner_id = flagged.partner_id and event.event_id = flagged.event_id",
        &anomalies.iter().map(|(partner, _, _)| partner.uuid()).collect::<Vec<Uuid>>(),
        &anomalies.iter().map(|(_, event, _)| event.uuid()).collect::<Vec<Uuid>>(),
        &anomalies.iter().map(|(_, _, anomaly)| *anomaly).collect::<Vec<_>>() as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps the payloads of new events, byte for byte.
pub async fn insert_payloads(conn: &mut PgConnection, events: &[&NewEvent]) -> Result<()> {
    sqlx::query!(
        "insert into payload (partner_id, event_id, received_at, body)
         select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::bytea[])",
        &column(events, |event| event.partner_id.uuid()),
        &column(events, |event| event.event_id.uuid()),
        &column(events, |event| event.received_at),
        &column(events, |event| event.payload.as_ref()) as &[&[u8]],
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
