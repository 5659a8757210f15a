//! How many endpoints a partner may have.

use sqlx::PgConnection;

use crate::model::id::PartnerId;
use crate::store::Result;

/// Whether there may be one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    Room,
    /// There are as many as there may be.
    Full {
        most: u32,
    },
    NoSuchPartner,
}

/// Looks whether a partner may have one more endpoint; `most`: if nothing else was said of this one. Until the transaction
/// ends the partner stays, and nobody else adds an endpoint to it.
pub async fn lock(conn: &mut PgConnection, partner: PartnerId, most: u32) -> Result<Bound> {
    let own = sqlx::query_scalar!(
        "select max_endpoints from partner where partner_id = $1 and deleted_at is null for no key update",
        partner as _,
    );
    let Some(own) = own.fetch_optional(&mut *conn).await? else { return Ok(Bound::NoSuchPartner) };
    let most = own.and_then(|own| u32::try_from(own).ok()).unwrap_or(most);
    let there = sqlx::query_scalar!(
        r#"select count(*) as "count!" from (
               select from endpoint where partner_id = $1 and deleted_at is null limit $2) as counted"#,
        partner as _,
        i64::from(most),
    );
    let there = there.fetch_one(conn).await?;
    Ok(if there < i64::from(most) { Bound::Room } else { Bound::Full { most } })
}
