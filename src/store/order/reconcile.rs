//! When each order is compared with Transak's own record.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::id::PartnerId;
use crate::store::Result;

/// Where an order stands.
#[derive(Debug, Clone)]
pub struct Standing {
    pub status: String,
    pub status_at: DateTime<Utc>,
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

/// Where an order stands now.
pub async fn standing(
    conn: &mut PgConnection,
    partner: PartnerId,
    order_id: &str,
) -> Result<Option<Standing>> {
    let row = sqlx::query_as!(
        Standing,
        r#"select status, greatest(status_at, snapshot_received_at) as "status_at!" from "order"
           where partner_id = $1 and order_id = $2"#,
        partner as _,
        order_id,
    );
    Ok(row.fetch_optional(conn).await?)
}

/// Sets when an order is looked at next; `None`: never.
pub async fn schedule(
    conn: &mut PgConnection,
    partner: PartnerId,
    order_id: &str,
    next: Option<DateTime<Utc>>,
) -> Result<()> {
    sqlx::query!(
        r#"update "order" set reconcile_at = $3 where partner_id = $1 and order_id = $2"#,
        partner as _,
        order_id,
        next,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes every order of a partner that is looked at at all due at once.
pub async fn hasten_all(conn: &mut PgConnection, partner: PartnerId, now: DateTime<Utc>) -> Result<u64> {
    let done = sqlx::query!(
        r#"update "order" set reconcile_at = $2 where partner_id = $1 and reconcile_at > $2"#,
        partner as _,
        now,
    );
    Ok(done.execute(conn).await?.rows_affected())
}
