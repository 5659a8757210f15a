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

/// Where orders stand now; those that are not known are left out.
pub async fn standings(
    conn: &mut PgConnection,
    partner: PartnerId,
    order_ids: &[&str],
) -> Result<Vec<Standing>> {
    let rows = sqlx::query_as!(
        Standing,
        r#"select order_id, status, greatest(status_at, snapshot_received_at) as "status_at!" from "order"
           where partner_id = $1 and order_id = any($2)"#,
        partner as _,
        order_ids as &[&str],
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Sets when each of these orders is looked at next; `None`: never.
pub async fn schedule(
    conn: &mut PgConnection,
    partner: PartnerId,
    looks: &[(&str, Option<DateTime<Utc>>)],
) -> Result<()> {
    let (ids, times): (Vec<&str>, Vec<Option<DateTime<Utc>>>) = looks.iter().copied().unzip();
    // Locked in the order in which the intake locks them.
    sqlx::query!(
        r#"update "order" as kept set reconcile_at = given.next
           from (select order_id, next from unnest($2::text[], $3::timestamptz[]) as look (order_id, next)
                 join "order" using (order_id)
                 where partner_id = $1
                 order by order_id
                 for update of "order") as given
           where kept.partner_id = $1 and kept.order_id = given.order_id"#,
        partner as _,
        &ids as &[&str],
        &times as &[Option<DateTime<Utc>>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Has a partner's orders looked at after a gap: those under way at once, and those that may still be refunded, which are
/// many more, spread over half an hour.
pub async fn hasten_all(conn: &mut PgConnection, partner: PartnerId, now: DateTime<Utc>) -> Result<u64> {
    let done = sqlx::query!(
        r#"update "order" as kept set reconcile_at = sooner.at
           from (select order_id,
                        case when status in ('FAILED', 'EXPIRED', 'CANCELLED')
                             then least(reconcile_at, $2::timestamptz + random() * interval '30 min') else $2::timestamptz end as at
                 from "order"
                 where partner_id = $1 and reconcile_at > $2
                 order by order_id
                 for update) as sooner
           where kept.partner_id = $1 and kept.order_id = sooner.order_id"#,
        partner as _,
        now,
    );
    Ok(done.execute(conn).await?.rows_affected())
}
