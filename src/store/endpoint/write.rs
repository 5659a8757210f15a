//! Registering and changing endpoints.

use sqlx::PgConnection;

use super::{EndpointSettings, in_line};
use crate::model::endpoint::SignatureVersion;
use crate::model::id::{EndpointId, PartnerId};
use crate::model::queue::Place;
use crate::model::rate::Rate;
use crate::store::delivery::lane;
use crate::store::partner::tell_others;
use crate::store::{Result, due, wake};

/// Registers an endpoint, enabled. Its secret is added by the same transaction.
pub async fn insert(
    conn: &mut PgConnection,
    partner_id: PartnerId,
    endpoint_id: EndpointId,
    settings: &EndpointSettings,
) -> Result<()> {
    let inserted = sqlx::query!(
        "insert into endpoint (partner_id, endpoint_id, url, description, events, statuses, format, headers,
                               timeout_ms, retry_schedule, redact, max_in_flight, rate_thousandths, rate_burst,
                               ordered, signatures, tls)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        partner_id as _,
        endpoint_id as _,
        settings.url,
        settings.description,
        settings.events.as_deref(),
        settings.statuses.as_deref(),
        settings.format as _,
        settings.headers,
        settings.timeout_ms,
        &settings.retry_schedule,
        &settings.redact,
        settings.max_in_flight,
        settings.rate.map(Rate::thousandths),
        settings.rate.map(burst),
        settings.ordered,
        &settings.signatures as &[SignatureVersion],
        settings.tls,
    );
    inserted.execute(&mut *conn).await?;
    tell_others(conn).await
}

/// Keeps an endpoint of `partners` from being changed by anybody else until the transaction ends, and waits for who
/// changes it now. Only what is read after this is what a change is made from.
pub async fn lock(conn: &mut PgConnection, partners: &[PartnerId], endpoint_id: EndpointId) -> Result<()> {
    let locked = sqlx::query!(
        "select from endpoint
         where partner_id = any($1::uuid[]) and endpoint_id = $2 and deleted_at is null
         for no key update",
        partners as _,
        endpoint_id as _,
    );
    locked.fetch_optional(conn).await?;
    Ok(())
}

/// Changes an endpoint that is [locked](lock); what it is owed enters or leaves the lanes of its orders, and its
/// breaker is closed, for the change may have repaired it.
pub async fn change(
    conn: &mut PgConnection,
    (place, was_ordered): (Place, bool),
    settings: &EndpointSettings,
) -> Result<()> {
    let changed = sqlx::query!(
        "update endpoint
         set url = $3, description = $4, events = $5, statuses = $6, format = $7, headers = $8, timeout_ms = $9,
             retry_schedule = $10, redact = $11, max_in_flight = $12, rate_thousandths = $13, rate_burst = $14,
             ordered = $15, signatures = $16, tls = $17, revision = revision + 1, updated_at = now(),
             breaker_trips = 0, paused_until = null
         where partner_id = $1 and endpoint_id = $2 and deleted_at is null",
        place.0 as _,
        place.1 as _,
        settings.url,
        settings.description,
        settings.events.as_deref(),
        settings.statuses.as_deref(),
        settings.format as _,
        settings.headers,
        settings.timeout_ms,
        &settings.retry_schedule,
        &settings.redact,
        settings.max_in_flight,
        settings.rate.map(Rate::thousandths),
        settings.rate.map(burst),
        settings.ordered,
        &settings.signatures as &[SignatureVersion],
        settings.tls,
    );
    changed.execute(&mut *conn).await?;
    due::note_now(conn, [place]).await?;
    // Also where it was so before: what was written beside the lanes finds its place.
    if settings.ordered {
        lane::arrange(conn, place).await?;
    } else if was_ordered {
        in_line::note_change(conn, [place]).await?;
        lane::dissolve(conn, place, in_line::STEP).await?;
    }
    wake::deliveries(conn).await?;
    tell_others(conn).await
}

/// The partner has a new access token, and whoever signs with it must read it anew.
pub async fn note_new_token(conn: &mut PgConnection, partner_id: PartnerId) -> Result<()> {
    let revised = sqlx::query!(
        "update endpoint set revision = revision + 1
         where partner_id = $1 and format = 'transak' and deleted_at is null",
        partner_id as _,
    );
    revised.execute(conn).await?;
    Ok(())
}

fn burst(rate: Rate) -> i32 {
    i32::try_from(rate.burst()).unwrap_or(i32::MAX)
}
