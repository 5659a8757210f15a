//! Registering and changing endpoints.

use sqlx::PgConnection;

use super::{EndpointSettings, in_line};
use crate::model::endpoint::SignatureVersion;
use crate::model::id::{EndpointId, PartnerId};
use crate::model::rate::Rate;
use crate::store::delivery::lane;
use crate::store::partner::tell_others;
use crate::store::{Result, wake};

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

/// Which state of an endpoint a change was made from.
#[derive(Debug, Clone, Copy)]
pub struct Revised {
    pub partner_id: PartnerId,
    pub endpoint_id: EndpointId,
    pub revision: i32,
    /// Whether it was ordered.
    pub ordered: bool,
}

/// Changes an endpoint that is still as it was read; what it is owed enters or leaves the lanes of its orders, and its
/// breaker is closed, for the change may have repaired it. `false`: it was changed or deleted meanwhile.
pub async fn change(conn: &mut PgConnection, from: Revised, settings: &EndpointSettings) -> Result<bool> {
    let changed = sqlx::query!(
        "update endpoint
         set url = $4, description = $5, events = $6, statuses = $7, format = $8, headers = $9, timeout_ms = $10,
             retry_schedule = $11, redact = $12, max_in_flight = $13, rate_thousandths = $14, rate_burst = $15,
             ordered = $16, signatures = $17, tls = $18, revision = revision + 1, updated_at = now(),
             breaker_trips = 0, paused_until = null
         where partner_id = $1 and endpoint_id = $2 and revision = $3 and deleted_at is null",
        from.partner_id as _,
        from.endpoint_id as _,
        from.revision,
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
    let changed = changed.execute(&mut *conn).await?.rows_affected() > 0;
    if changed {
        // Also where it was so before: what was written beside the lanes finds its place.
        let place = (from.partner_id, from.endpoint_id);
        if settings.ordered {
            lane::arrange(conn, place).await?;
        } else if from.ordered {
            lane::dissolve(conn, place, in_line::STEP).await?;
        }
        wake::deliveries(conn).await?;
        tell_others(conn).await?;
    }
    Ok(changed)
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
