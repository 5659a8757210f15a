//! Enabling, disabling and deleting endpoints, and what becomes of what they are owed.
//!
//! Guarantees: what an endpoint is owed follows it, at once or, where that is much, soon (`in_line`). A delivery whose request is under way (leased, and the
//! lease not over) keeps its state, so that the answer still counts; it is nobody's to claim while the endpoint is
//! disabled.

use sqlx::PgConnection;

use super::{Endpoint, health, in_line};
use crate::model::announcement::Announcement;
use crate::model::id::{EndpointId, PartnerId};
use crate::store::event::announce::announce;
use crate::store::partner::tell_others;
use crate::store::{Result, due, wake};

/// Enables an endpoint. What was held is owed from now on, each on a schedule that starts anew: the first
/// [`in_line::STEP`] at once, the others by the dispatchers, as fast as they can without keeping anybody waiting. Nothing
/// changes if it is enabled.
pub async fn enable(conn: &mut PgConnection, endpoint: &Endpoint) -> Result<()> {
    let enabled = sqlx::query!(
        "update endpoint
         set state = 'enabled', disabled_reason = null, disabled_at = null, failing_since = null,
             breaker_trips = 0, paused_until = null,
             revision = revision + 1, updated_at = now()
         where partner_id = $1 and endpoint_id = $2 and state = 'disabled' and deleted_at is null",
        endpoint.partner_id as _,
        endpoint.endpoint_id as _,
    );
    if enabled.execute(&mut *conn).await?.rows_affected() == 0 {
        return Ok(());
    }
    let place = (endpoint.partner_id, endpoint.endpoint_id);
    due::note_now(conn, [place]).await?;
    in_line::note_change(conn, [place]).await?;
    in_line::bring(conn, place).await?;
    wake::deliveries(conn).await?;
    tell_others(conn).await
}

/// Disables an endpoint; what it is owed is held, and whoever asks for it is told. Nothing changes if it is disabled.
pub async fn disable(conn: &mut PgConnection, endpoint: &Endpoint, reason: &str) -> Result<()> {
    let place = (endpoint.partner_id, endpoint.endpoint_id);
    if health::disable(conn, place, reason).await? {
        announce(conn, &[Announcement::disabled(place, reason)]).await?;
    }
    Ok(())
}

/// Deletes an endpoint: it is owed nothing more, and its secrets, headers and certificates are forgotten.
pub async fn delete(conn: &mut PgConnection, endpoint: &Endpoint) -> Result<()> {
    let ids = [endpoint.endpoint_id.uuid()];
    delete_some(conn, endpoint.partner_id, Some(&ids)).await
}

/// Deletes every endpoint of a partner.
pub async fn delete_all(conn: &mut PgConnection, partner_id: PartnerId) -> Result<()> {
    delete_some(conn, partner_id, None).await
}

async fn delete_some(conn: &mut PgConnection, id: PartnerId, endpoints: Option<&[uuid::Uuid]>) -> Result<()> {
    let deleted = sqlx::query_scalar!(
        r#"update endpoint set deleted_at = now(), updated_at = now(), headers = null, tls = null,
                             revision = revision + 1
         where partner_id = $1 and deleted_at is null and ($2::uuid[] is null or endpoint_id = any($2))
         returning endpoint_id as "endpoint_id: EndpointId""#,
        id as _,
        endpoints,
    );
    let deleted = deleted.fetch_all(&mut *conn).await?;
    in_line::note_change(conn, deleted.into_iter().map(|endpoint| (id, endpoint))).await?;
    let forgotten = sqlx::query!(
        "delete from endpoint_secret
         where partner_id = $1 and ($2::uuid[] is null or endpoint_id = any($2))",
        id as _,
        endpoints,
    );
    forgotten.execute(&mut *conn).await?;
    let cancelled = sqlx::query!(
        "update delivery set state = 'cancelled', next_attempt_at = null, leased_at = null, finished_at = now()
         from (select delivery_id from delivery
               where partner_id = $1 and state in ('pending', 'held') and ($2::uuid[] is null or endpoint_id = any($2))
               limit $3 for update skip locked) as owed
         where delivery.partner_id = $1 and delivery.delivery_id = owed.delivery_id",
        id as _,
        endpoints,
        in_line::STEP,
    );
    cancelled.execute(&mut *conn).await?;
    tell_others(conn).await
}
