//! Reading endpoints.

use sqlx::PgConnection;

use super::Endpoint;
use crate::model::id::{EndpointId, PartnerId};
use crate::store::Result;
use crate::store::list::Page;

/// The endpoints of `partners` that are not deleted, newest first.
pub async fn list(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    page: &Page<EndpointId>,
) -> Result<Vec<Endpoint>> {
    let rows = sqlx::query_as!(
        Endpoint,
        r#"select e.partner_id as "partner_id: _", e.endpoint_id as "endpoint_id: _", e.url, e.description, e.events,
                  e.statuses, e.format as "format: _", e.headers, e.timeout_ms, e.retry_schedule, e.redact,
                  e.state as "state: _", e.disabled_reason, e.failing_since, e.max_in_flight, e.rate_thousandths,
                  e.rate_burst, e.ordered, e.signatures as "signatures: _", e.tls, e.paused_until, e.revision,
                  e.created_at, e.updated_at,
                  (select public_key from endpoint_secret s
                   where s.partner_id = e.partner_id and s.endpoint_id = e.endpoint_id
                     and s.kind = 'v1a' and s.expires_at is null) as public_key
           from unnest($1::uuid[]) as p (id)
           cross join lateral (
               select * from endpoint e
               where e.partner_id = p.id and e.deleted_at is null and ($2::uuid is null or e.endpoint_id < $2)
               order by e.endpoint_id desc
               limit $3
           ) as e
           order by e.endpoint_id desc
           limit $3"#,
        partners as _,
        page.after as _,
        page.limit,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// One endpoint that is not deleted.
pub async fn find(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    endpoint_id: EndpointId,
) -> Result<Option<Endpoint>> {
    let row = sqlx::query_as!(
        Endpoint,
        r#"select partner_id as "partner_id: _", endpoint_id as "endpoint_id: _", url, description, events, statuses,
                  format as "format: _", headers, timeout_ms, retry_schedule, redact, state as "state: _",
                  disabled_reason, failing_since, max_in_flight, rate_thousandths, rate_burst, ordered,
                  signatures as "signatures: _", tls, paused_until, revision, created_at, updated_at,
                  (select public_key from endpoint_secret s
                   where s.partner_id = e.partner_id and s.endpoint_id = e.endpoint_id
                     and s.kind = 'v1a' and s.expires_at is null) as public_key
           from endpoint e
           where partner_id = any($1::uuid[]) and endpoint_id = $2 and deleted_at is null"#,
        partners as _,
        endpoint_id as _,
    );
    Ok(row.fetch_optional(conn).await?)
}
