//! Which partners have something to be read from Transak's REST API, and which process reads it now.
//!
//! The lease is the column `partner.reconcile_after`: nobody begins before. Its value is the fence: whoever holds the
//! lease knows it, extends it by naming it, and notices so when the lease is no longer its own.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Result;
use crate::model::id::PartnerId;
use crate::model::partner::Environment;

/// A partner with something due.
#[derive(Debug, Clone)]
pub struct DuePartner {
    pub partner_id: PartnerId,
    pub environment: Environment,
    pub api_key: String,
    /// The newest access token, sealed, unless it has ended.
    pub token: Option<Vec<u8>>,
}

/// Partners with a gap to be repaired or an order to be looked at, whom nobody works for.
pub async fn due(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    gaps_until: DateTime<Utc>,
) -> Result<Vec<DuePartner>> {
    let rows = sqlx::query_as!(
        DuePartner,
        r#"select p.partner_id as "partner_id: _", p.environment as "environment: _", p.api_key,
                  t.token as "token?"
           from partner p
           left join lateral (
               select token, expires_at from access_token t
               where t.partner_id = p.partner_id
               order by t.access_token_id desc
               limit 1
           ) as t on t.expires_at is null or t.expires_at > $1
           where p.deleted_at is null and (p.reconcile_after is null or p.reconcile_after <= $1)
             and (exists (select from gap g
                          where g.partner_id = p.partner_id and g.repaired_at is null and g.next_repair_at <= $1
                            and g.ended_at <= $2)
               or exists (select from "order" o where o.partner_id = p.partner_id and o.reconcile_at <= $1))
           order by p.reconciled_at nulls first"#,
        now,
        gaps_until,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Takes the lease. `false`: somebody else has it.
pub async fn claim(
    conn: &mut PgConnection,
    id: PartnerId,
    (now, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<bool> {
    let done = sqlx::query!(
        "update partner set reconcile_after = $3
         where partner_id = $1 and deleted_at is null and (reconcile_after is null or reconcile_after <= $2)",
        id as _,
        now,
        until,
    );
    Ok(done.execute(conn).await?.rows_affected() > 0)
}

/// Moves the end of a lease that ends at `held`. `false`: it is held no longer.
pub async fn extend(
    conn: &mut PgConnection,
    id: PartnerId,
    (held, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<bool> {
    let done = sqlx::query!(
        "update partner set reconcile_after = $3 where partner_id = $1 and reconcile_after = $2",
        id as _,
        held,
        until,
    );
    Ok(done.execute(conn).await?.rows_affected() > 0)
}

/// Ends a lease that ends at `held`: the partner may be worked for again from `next` on.
pub async fn release(
    conn: &mut PgConnection,
    id: PartnerId,
    (held, next): (DateTime<Utc>, DateTime<Utc>),
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "update partner set reconcile_after = $3, reconciled_at = $4
         where partner_id = $1 and reconcile_after = $2",
        id as _,
        held,
        next,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
