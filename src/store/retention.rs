//! Deleting what is older than it needs to be, a bounded number of rows at a time.
//!
//! Every statement is a transaction of its own, walks an index from its old end, and deletes what hangs together in one
//! go. Nothing that is still owed to somebody is deleted, and no order that is not over.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Result;
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

/// Looks at the next `limit` of a partner's orders that were made before `cutoff`, and deletes those that are over, of
/// which nothing was heard since, and of which nothing is owed; with their events and deliveries.
pub async fn drop_orders(
    conn: &mut PgConnection,
    (partner_id, after): (PartnerId, &OrderPlace),
    (cutoff, limit): (DateTime<Utc>, i64),
) -> Result<Step<OrderPlace>> {
    let page = sqlx::query!(
        r#"select created_at, order_id from "order"
           where partner_id = $1 and (created_at, order_id) > ($2, $3) and created_at < $4
           order by created_at, order_id limit $5"#,
        partner_id as _,
        after.0,
        after.1,
        cutoff,
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
        cutoff,
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
