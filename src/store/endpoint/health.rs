//! How an endpoint has been answering.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::id::{EndpointId, PartnerId};
use crate::store::Result;

/// Notes that these endpoints failed now, if they had not been failing already.
pub async fn mark_failing(conn: &mut PgConnection, endpoints: &[(PartnerId, EndpointId)]) -> Result<()> {
    let (partners, ids) = columns(endpoints);
    sqlx::query!(
        "update endpoint set failing_since = now()
         where (partner_id, endpoint_id) in (select * from unnest($1::uuid[], $2::uuid[])) and failing_since is null",
        &partners,
        &ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that these endpoints answered.
pub async fn mark_answering(conn: &mut PgConnection, endpoints: &[(PartnerId, EndpointId)]) -> Result<()> {
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

/// Disables an endpoint and holds what it is still owed. Answers whether it was enabled.
pub async fn disable(
    conn: &mut PgConnection,
    (partner, endpoint): (PartnerId, EndpointId),
    reason: &str,
) -> Result<bool> {
    let done = sqlx::query!(
        "update endpoint set state = 'disabled', disabled_reason = $3, revision = revision + 1, updated_at = now()
         where partner_id = $1 and endpoint_id = $2 and state = 'enabled' and deleted_at is null",
        partner.uuid(),
        endpoint.uuid(),
        reason,
    );
    if done.execute(&mut *conn).await?.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "update delivery set state = 'held', next_attempt_at = null
         where partner_id = $1 and endpoint_id = $2 and state = 'pending' and leased_at is null",
        partner.uuid(),
        endpoint.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(true)
}

fn columns(endpoints: &[(PartnerId, EndpointId)]) -> (Vec<Uuid>, Vec<Uuid>) {
    endpoints.iter().map(|(partner, endpoint)| (partner.uuid(), endpoint.uuid())).unzip()
}
