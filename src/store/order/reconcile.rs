//! When each order is compared with Transak's own record.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::id::PartnerId;
use crate::store::Result;

/// Where an order stands.
#[derive(Debug, Clone)]
pub struct Standing {
    pub order_id: String,
    pub status: String,
    /// When it came to its status, or was last heard of, whichever is later.
    pub status_at: DateTime<Utc>,
    /// Since when Transak has said, each time it was asked, that it does not know it.
    pub not_found_since: Option<DateTime<Utc>>,
}

/// When an order is looked at next.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    pub order_id: &'a str,
    /// `None`: never.
    pub next_at: Option<DateTime<Utc>>,
    pub not_found_since: Option<DateTime<Utc>>,
}

/// The orders of a partner that are to be looked at by `now`, the longest due first.
pub async fn due(
    conn: &mut PgConnection,
    partner: PartnerId,
    now: DateTime<Utc>,
    most: i64,
) -> Result<Vec<String>> {
    let ids = sqlx::query_scalar!(
        r#"select order_id from "order" where partner_id = $1 and reconcile_at <= $2 order by reconcile_at limit $3"#,
        partner as _,
        now,
        most,
    );
    Ok(ids.fetch_all(conn).await?)
}

/// Where orders stand now; those that are not known are left out.
pub async fn standings(
    conn: &mut PgConnection,
    partner: PartnerId,
    order_ids: &[&str],
) -> Result<Vec<Standing>> {
    let rows = sqlx::query_as!(
        Standing,
        r#"select order_id, status, greatest(status_at, snapshot_received_at) as "status_at!", not_found_since
           from "order"
           where partner_id = $1 and order_id = any($2)"#,
        partner as _,
        order_ids as &[&str],
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Sets when each of these orders is looked at next.
pub async fn schedule(conn: &mut PgConnection, partner: PartnerId, looks: &[Look<'_>]) -> Result<()> {
    let ids: Vec<&str> = looks.iter().map(|look| look.order_id).collect();
    let times: Vec<Option<DateTime<Utc>>> = looks.iter().map(|look| look.next_at).collect();
    let unknown: Vec<Option<DateTime<Utc>>> = looks.iter().map(|look| look.not_found_since).collect();
    // Locked in the order in which the intake locks them.
    sqlx::query!(
        r#"update "order" as kept set reconcile_at = given.next, not_found_since = given.unknown
           from (select order_id, next, unknown
                 from unnest($2::text[], $3::timestamptz[], $4::timestamptz[]) as look (order_id, next, unknown)
                 join "order" using (order_id)
                 where partner_id = $1
                 order by order_id
                 for update of "order") as given
           where kept.partner_id = $1 and kept.order_id = given.order_id"#,
        partner as _,
        &ids as &[&str],
        &times as &[Option<DateTime<Utc>>],
        &unknown as &[Option<DateTime<Utc>>],
    )
    .execute(conn)
    .await?;
    Ok(())
}
