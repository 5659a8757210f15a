//! How an endpoint has been answering.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::breaker::Change;
use crate::model::id::{EndpointId, PartnerId};
use crate::model::queue::Place;
use crate::store::endpoint::in_line;
use crate::store::partner::tell_others;
use crate::store::{Result, due};

/// An endpoint that has only failed for so long is disabled.
pub const PATIENCE: Duration = Duration::from_hours(5 * 24);

/// Locks endpoints, for whoever writes about them and about what they are owed: always in this order.
pub async fn lock(conn: &mut PgConnection, endpoints: &[Place]) -> Result<()> {
    if endpoints.is_empty() {
        return Ok(());
    }
    let (partners, ids) = columns(endpoints);
    sqlx::query!(
        "select from endpoint where (partner_id, endpoint_id) in (select * from unnest($1::uuid[], $2::uuid[]))
         order by partner_id, endpoint_id for no key update",
        &partners,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// Notes that these endpoints failed now, if they had not been failing already. Answers those that have only failed for
/// longer than [`PATIENCE`].
pub async fn mark_failing(conn: &mut PgConnection, endpoints: &[Place]) -> Result<Vec<Place>> {
    let (partners, ids) = columns(endpoints);
    sqlx::query!(
        "update endpoint set failing_since = now()
         where (partner_id, endpoint_id) in (select * from unnest($1::uuid[], $2::uuid[])) and failing_since is null",
        &partners,
        &ids,
    )
    .execute(&mut *conn)
    .await?;
    let hopeless = sqlx::query!(
        r#"select partner_id as "partner_id: PartnerId", endpoint_id as "endpoint_id: EndpointId" from endpoint
           where (partner_id, endpoint_id) in (select * from unnest($1::uuid[], $2::uuid[]))
             and state = 'enabled' and deleted_at is null and failing_since <= now() - make_interval(secs => $3)"#,
        &partners,
        &ids,
        PATIENCE.as_secs_f64(),
    );
    let hopeless = hopeless.fetch_all(conn).await?;
    Ok(hopeless.into_iter().map(|row| (row.partner_id, row.endpoint_id)).collect())
}

/// Notes that these endpoints answered.
pub async fn mark_answering(conn: &mut PgConnection, endpoints: &[Place]) -> Result<()> {
    let (partners, ids) = columns(endpoints);
    sqlx::query!(
        "update endpoint set failing_since = null
         where (partner_id, endpoint_id) in (select * from unnest($1::uuid[], $2::uuid[])) and failing_since is not null",
        &partners,
        &ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that an endpoint's breaker opened or closed. In a transaction.
pub async fn mark_breaker(conn: &mut PgConnection, (partner, endpoint): Place, change: Change) -> Result<()> {
    let (trips, pause) = match change {
        Change::Opened { trips, pause } => {
            (i16::try_from(trips).unwrap_or(i16::MAX), Some(pause.as_secs_f64()))
        }
        Change::Closed { .. } => (0, None),
    };
    sqlx::query!(
        "update endpoint set breaker_trips = $3, paused_until = now() + make_interval(secs => $4)
         where partner_id = $1 and endpoint_id = $2",
        partner.uuid(),
        endpoint.uuid(),
        trips,
        pause,
    )
    .execute(&mut *conn)
    .await?;
    match change {
        Change::Opened { .. } => Ok(()),
        Change::Closed { .. } => due::note_now(conn, [(partner, endpoint)]).await,
    }
}

/// Disables an endpoint and holds what it is still owed, the first [`in_line::STEP`] at once. Answers whether it was
/// enabled.
pub async fn disable(conn: &mut PgConnection, (partner, endpoint): Place, reason: &str) -> Result<bool> {
    let done = sqlx::query!(
        "update endpoint set state = 'disabled', disabled_reason = $3, disabled_at = now(), revision = revision + 1, updated_at = now(),
                             breaker_trips = 0, paused_until = null
         where partner_id = $1 and endpoint_id = $2 and state = 'enabled' and deleted_at is null",
        partner.uuid(),
        endpoint.uuid(),
        reason,
    );
    if done.execute(&mut *conn).await?.rows_affected() == 0 {
        return Ok(false);
    }
    in_line::note_change(conn, [(partner, endpoint)]).await?;
    in_line::hold(conn, (partner, endpoint)).await?;
    tell_others(conn).await?;
    Ok(true)
}

fn columns(endpoints: &[Place]) -> (Vec<Uuid>, Vec<Uuid>) {
    endpoints.iter().map(|(partner, endpoint)| (partner.uuid(), endpoint.uuid())).unzip()
}
