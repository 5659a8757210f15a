//! Registering and changing endpoints.

use sqlx::PgConnection;

use super::EndpointSettings;
use crate::model::id::{EndpointId, PartnerId};
use crate::store::Result;
use crate::store::partner::tell_others;

/// Registers an endpoint, enabled. Its secret is added by the same transaction.
pub async fn insert(
    conn: &mut PgConnection,
    partner_id: PartnerId,
    endpoint_id: EndpointId,
    settings: &EndpointSettings,
) -> Result<()> {
    let inserted = sqlx::query!(
        "insert into endpoint (partner_id, endpoint_id, url, description, events, statuses, format, headers,
                               timeout_ms, retry_schedule, redact)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
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
}

/// Changes an endpoint that is still as it was read. `false`: it was changed or deleted meanwhile.
pub async fn change(conn: &mut PgConnection, from: Revised, settings: &EndpointSettings) -> Result<bool> {
    let changed = sqlx::query!(
        "update endpoint
         set url = $4, description = $5, events = $6, statuses = $7, format = $8, headers = $9, timeout_ms = $10,
             retry_schedule = $11, redact = $12, revision = revision + 1, updated_at = now()
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
    );
    let changed = changed.execute(&mut *conn).await?.rows_affected() > 0;
    tell_others(conn).await?;
    Ok(changed)
}
