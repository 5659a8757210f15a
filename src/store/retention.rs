//! Deleting what is older than it needs to be, a bounded number of rows at a time.
//!
//! Every statement is a transaction of its own, walks an index from its old end, and deletes what hangs together in one
//! go. Nothing that is still owed to somebody is deleted, and no order that is not over, unless nothing was heard of it for
//! years. docs/retention.md says of every table what deletes from it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Error, Result};
use crate::model::id::{EventId, PartnerId};
use crate::model::status::Status;

/// Where a walk stands: the oldest orders come first.
pub type OrderPlace = (DateTime<Utc>, String);

/// What one step of a walk did.
#[derive(Debug)]
pub struct Step<P> {
    /// Where the next step begins; `None` at the end.
    pub next: Option<P>,
    /// How many orders or events were deleted.
    pub deleted: u64,
}

/// All partners, also deleted ones: what was heard of those goes by age too.
pub async fn partners(conn: &mut PgConnection) -> Result<Vec<PartnerId>> {
    let ids = sqlx::query_scalar!(r#"select partner_id as "id: PartnerId" from partner order by partner_id"#);
    Ok(ids.fetch_all(conn).await?)
}

/// Since when nothing was heard of what may be deleted.
#[derive(Debug, Clone, Copy)]
pub struct Cutoff {
    /// Of what is over.
    pub over: DateTime<Utc>,
    /// Of orders that are not over.
    pub abandoned: DateTime<Utc>,
    /// Of the records of erasures.
    pub erasures: DateTime<Utc>,
}

/// Looks at the next `limit` of a partner's orders that were made before the cutoff, and deletes those that are over or
/// abandoned, of which nothing was heard since, and of which nothing is owed; with their events and deliveries.
pub async fn drop_orders(
    conn: &mut PgConnection,
    (partner_id, after): (PartnerId, &OrderPlace),
    (cutoff, limit): (Cutoff, i64),
) -> Result<Step<OrderPlace>> {
    let page = sqlx::query!(
        r#"select created_at, order_id from "order"
           where partner_id = $1 and (created_at, order_id) > ($2, $3) and created_at < $4
           order by created_at, order_id limit $5"#,
        partner_id as _,
        after.0,
        after.1,
        cutoff.over,
        limit,
    );
    let page: Vec<_> =
        page.fetch_all(&mut *conn).await?.into_iter().map(|row| (row.created_at, row.order_id)).collect();
    let ids: Vec<String> = page.iter().map(|(_, id)| id.clone()).collect();
    let full = i64::try_from(page.len()) == Ok(limit);
    let deleted = sqlx::query_file_scalar!(
        "src/store/retention_orders.sql",
        partner_id as _,
        &ids,
        &Status::TERMINAL.map(str::to_owned) as &[String],
        cutoff.over,
        cutoff.abandoned,
    );
    let deleted = deleted.fetch_one(conn).await?;
    let next = page.into_iter().next_back().filter(|_| full);
    Ok(Step { next, deleted: deleted.unsigned_abs() })
}

/// Looks at the next `limit` of a partner's events that were heard before `cutoff`, and deletes those that belong to no
/// order and of which nothing is owed; with their deliveries.
pub async fn drop_events(
    conn: &mut PgConnection,
    (partner_id, after): (PartnerId, EventId),
    (cutoff, limit): (DateTime<Utc>, i64),
) -> Result<Step<EventId>> {
    let step = sqlx::query_file!(
        "src/store/retention_events.sql",
        partner_id as _,
        after as _,
        EventId::boundary(cutoff) as _,
        cutoff,
        limit,
    );
    let step = step.fetch_one(conn).await?;
    let next = step.last.map(EventId::from).filter(|_| step.seen == limit);
    Ok(Step { next, deleted: step.deleted.unsigned_abs() })
}

/// Deletes up to `limit` quarantined messages from before `cutoff`.
pub async fn drop_quarantined(conn: &mut PgConnection, cutoff: DateTime<Utc>, limit: i64) -> Result<u64> {
    let deleted = sqlx::query!(
        "delete from quarantine where quarantine_id in (
             select quarantine_id from quarantine where received_at < $1 limit $2)",
        cutoff,
        limit,
    );
    Ok(deleted.execute(conn).await?.rows_affected())
}

/// Deletes up to `limit` gaps, watches and recoveries that ended before `cutoff`.
pub async fn drop_ended(conn: &mut PgConnection, cutoff: DateTime<Utc>, limit: i64) -> Result<u64> {
    let gaps = sqlx::query!(
        "delete from gap where (partner_id, gap_id) in (
             select partner_id, gap_id from gap where ended_at < $1 limit $2)",
        cutoff,
        limit,
    );
    let gaps = gaps.execute(&mut *conn).await?.rows_affected();
    // A repair ends with its gaps, also with those that were never repaired.
    let repairs = sqlx::query!(
        "delete from gap_repair r where not exists (
             select from gap g
             where g.partner_id = r.partner_id and g.repair_id = r.repair_id and g.repaired_at is null)",
    );
    repairs.execute(&mut *conn).await?;
    let watches = sqlx::query!(
        "delete from watch where (partner_id, watch_id) in (
             select partner_id, watch_id from watch where ended_at < $1 limit $2)",
        cutoff,
        limit,
    );
    let watches = watches.execute(&mut *conn).await?.rows_affected();
    let recoveries = sqlx::query!(
        "delete from recovery where (partner_id, recovery_id) in (
             select partner_id, recovery_id from recovery where finished_at < $1 limit $2)",
        cutoff,
        limit,
    );
    Ok(gaps + watches + recoveries.execute(conn).await?.rows_affected())
}

/// Deletes the signing secrets that sign nothing any more at the moment `now`.
pub async fn drop_expired_secrets(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<u64> {
    let deleted = sqlx::query!("delete from endpoint_secret where expires_at <= $1", now);
    Ok(deleted.execute(conn).await?.rows_affected())
}

/// Ends up to `limit` watches that were made before `cutoff`: their orders never came, or never ended.
pub async fn end_watches(conn: &mut PgConnection, cutoff: DateTime<Utc>, limit: i64) -> Result<u64> {
    let ended = sqlx::query!(
        "update watch set ended_at = now() where (partner_id, watch_id) in (
             select partner_id, watch_id from watch where ended_at is null and created_at < $1 limit $2)",
        cutoff,
        limit,
    );
    Ok(ended.execute(conn).await?.rows_affected())
}

/// Deletes up to `limit` records of erasures from before `cutoff`.
pub async fn drop_erasures(conn: &mut PgConnection, cutoff: DateTime<Utc>, limit: i64) -> Result<u64> {
    let deleted = sqlx::query!(
        "delete from erasure where (partner_id, erasure_id) in (
             select partner_id, erasure_id from erasure where erased_at < $1 limit $2)",
        cutoff,
        limit,
    );
    Ok(deleted.execute(conn).await?.rows_affected())
}

/// Deletes the access tokens that ended before `cutoff` and are not among their partner's newest five, which still verify.
pub async fn drop_access_tokens(conn: &mut PgConnection, cutoff: DateTime<Utc>) -> Result<u64> {
    let deleted = sqlx::query!(
        "delete from access_token old
         where old.expires_at < $1
           and old.access_token_id not in (
               select access_token_id from access_token newer where newer.partner_id = old.partner_id
               order by access_token_id desc limit 5)",
        cutoff,
    );
    Ok(deleted.execute(conn).await?.rows_affected())
}

/// Deletes up to `limit` endpoints that were deleted before `cutoff` and to which no delivery belongs any more, with their
/// secrets and leases.
pub async fn drop_endpoints(conn: &mut PgConnection, cutoff: DateTime<Utc>, limit: i64) -> Result<u64> {
    let deleted = sqlx::query_scalar!(
        r#"with gone as (
               delete from endpoint where (partner_id, endpoint_id) in (
                   select partner_id, endpoint_id from endpoint old
                   where deleted_at < $1
                     and not exists (select from delivery
                                     where delivery.partner_id = old.partner_id
                                       and delivery.endpoint_id = old.endpoint_id)
                   limit $2)
               returning partner_id, endpoint_id
           ), leases as (
               delete from endpoint_lease using gone
               where endpoint_lease.partner_id = gone.partner_id and endpoint_lease.endpoint_id = gone.endpoint_id
           )
           select count(*) as "deleted!" from gone"#,
        cutoff,
        limit,
    );
    Ok(deleted.fetch_one(conn).await?.unsigned_abs())
}

/// The partners that were deleted before `cutoff`.
pub async fn deleted_partners(conn: &mut PgConnection, cutoff: DateTime<Utc>) -> Result<Vec<PartnerId>> {
    let ids = sqlx::query_scalar!(
        r#"select partner_id as "id: PartnerId" from partner where deleted_at < $1 order by partner_id"#,
        cutoff,
    );
    Ok(ids.fetch_all(conn).await?)
}

/// Deletes a partner of which nothing is kept any more. `false`: something still is.
pub async fn drop_partner(conn: &mut PgConnection, partner: PartnerId) -> Result<bool> {
    let deleted = sqlx::query_file!("src/store/retention_partner.sql", partner as _).execute(conn).await;
    match deleted.map_err(Error::from) {
        Ok(done) => Ok(done.rows_affected() > 0),
        // A table that is not named there still has something of it.
        Err(error) if error.is_referred_to() => Ok(false),
        Err(error) => Err(error),
    }
}
