//! Changing what is kept of events.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::dedupe::Restated;
use crate::model::id::{EventId, PartnerId};
use crate::store::Result;

/// Writes down what is known of kept events from now on. The words that they have from now on are what is shown, and
/// what is sent to whoever has not been told yet.
pub async fn restate(conn: &mut PgConnection, restated: &[Restated<'_>]) -> Result<()> {
    sqlx::query_file!(
        "src/store/event/restate.sql",
        &column(restated, |one| one.partner_id.uuid()),
        &column(restated, |one| one.event.event_id.uuid()),
        &column(restated, |one| one.event.received_at),
        &column(restated, |one| one.event.identity.0.to_vec()),
        &column(restated, |one| one.event.occurred_at),
        &column(restated, |one| one.event.verified),
        &column(restated, |one| one.event.from_history),
        &column(restated, |one| one.said_by.map(|told| told.event.as_str())) as &[Option<&str>],
        &column(restated, |one| one.said_by.map(|told| told.payload.as_ref())) as &[Option<&[u8]>],
        &column(restated, |one| one.event.is_visit),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Why somebody should look at an event; `None`: nobody needs to.
pub type Anomaly = (PartnerId, EventId, Option<String>);

/// Writes down why somebody should look at these events.
pub async fn flag(conn: &mut PgConnection, anomalies: &[Anomaly]) -> Result<()> {
    sqlx::query!(
        "update event set anomaly = flagged.anomaly
         from unnest($1::uuid[], $2::uuid[], $3::text[]) as flagged (partner_id, event_id, anomaly)
         where event.partner_id = flagged.partner_id and event.event_id = flagged.event_id",
        &anomalies.iter().map(|(partner, _, _)| partner.uuid()).collect::<Vec<Uuid>>(),
        &anomalies.iter().map(|(_, event, _)| event.uuid()).collect::<Vec<Uuid>>(),
        &anomalies.iter().map(|(_, _, anomaly)| anomaly.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn column<'a, 'b: 'a, T>(restated: &'a [Restated<'b>], of: impl Fn(&'a Restated<'b>) -> T) -> Vec<T> {
    restated.iter().map(of).collect()
}
