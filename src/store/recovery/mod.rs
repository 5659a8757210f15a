//! Table `recovery`: durable jobs that owe an endpoint again what it missed.
//!
//! Guarantees: a batch and the progress it makes are committed together, so a process that dies in the middle of a
//! recovery neither leaves anything out nor owes it twice; another goes on. At most one process works on a recovery at
//! a time. A batch is owed only when most of the one before has been sent, so that what is heard now need not wait
//! behind a long past.
//! Does not guarantee: that `done` reaches `total` exactly. Deliveries come and go while it runs.

mod batch;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

pub use batch::{Step, step};

use super::Result;
use super::list::Page;
use crate::model::id::{EndpointId, PartnerId, RecoveryId};
use crate::model::recovery::{RecoveryScope, RecoveryState, event_ids};

/// Events among which the one that was received last by any clock is looked for. Their ids are of nearly the same time.
const NEWEST: i64 = 1000;

/// A recovery.
#[derive(Debug, Clone)]
pub struct Recovery {
    pub partner_id: PartnerId,
    pub recovery_id: RecoveryId,
    pub endpoint_id: EndpointId,
    /// Events received from then on.
    pub since: DateTime<Utc>,
    /// Events received before.
    pub until: DateTime<Utc>,
    pub scope: RecoveryScope,
    pub state: RecoveryState,
    /// How many deliveries it was about when it began.
    pub total: i64,
    /// There may be more: only so many events were looked at.
    pub total_is_at_least: bool,
    /// How many are owed by now.
    pub done: i64,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// What is to be recovered.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub partner_id: PartnerId,
    pub endpoint_id: EndpointId,
    pub since: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub scope: RecoveryScope,
}

/// A moment after everything that is kept of a partner, by whatever clock it was received, and not before now.
pub async fn after_all_kept(conn: &mut PgConnection, partner: PartnerId) -> Result<DateTime<Utc>> {
    let newest = sqlx::query_scalar!(
        r#"select greatest(clock_timestamp(), max(received_at) + interval '1 ms') as "at!"
           from (select received_at from event where partner_id = $1 order by event_id desc limit $2) as newest"#,
        partner as _,
        NEWEST,
    );
    Ok(newest.fetch_one(conn).await?)
}

/// The most events that are looked at to count what a recovery is about: as many as take a part of a second.
pub const MOST_LOOKED_AT: i64 = 20_000;

/// How many deliveries a recovery would owe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub total: i64,
    /// There may be more.
    pub is_at_least: bool,
}

/// Counts them, among the first events of the span.
pub async fn count(conn: &mut PgConnection, span: &Span) -> Result<Count> {
    let (first, last) = event_ids(span.since, span.until);
    let count = sqlx::query_file_as!(
        Count,
        "src/store/recovery/count.sql",
        span.partner_id.uuid(),
        span.endpoint_id.uuid(),
        first,
        last,
        span.since,
        span.until,
        span.scope as _,
        MOST_LOOKED_AT,
    );
    Ok(count.fetch_one(conn).await?)
}

/// Begins a recovery.
pub async fn insert(conn: &mut PgConnection, id: RecoveryId, span: &Span, count: Count) -> Result<()> {
    let (first, _) = event_ids(span.since, span.until);
    let inserted = sqlx::query!(
        "insert into recovery (partner_id, recovery_id, endpoint_id, since, until, scope, total, total_is_at_least, after_event_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        span.partner_id.uuid(),
        id.uuid(),
        span.endpoint_id.uuid(),
        span.since,
        span.until,
        span.scope as _,
        count.total,
        count.is_at_least,
        first,
    );
    inserted.execute(conn).await?;
    Ok(())
}

/// One recovery.
pub async fn find(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    id: RecoveryId,
) -> Result<Option<Recovery>> {
    let row = sqlx::query_as!(
        Recovery,
        r#"select partner_id as "partner_id: _", recovery_id as "recovery_id: _", endpoint_id as "endpoint_id: _",
                  since, until, scope as "scope: _", state as "state: _", total, total_is_at_least, done, created_at, finished_at
           from recovery where partner_id = any($1::uuid[]) and recovery_id = $2"#,
        partners as _,
        id as _,
    );
    Ok(row.fetch_optional(conn).await?)
}

/// The recoveries of some partners, newest first.
pub async fn list(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    page: &Page<RecoveryId>,
) -> Result<Vec<Recovery>> {
    let rows = sqlx::query_as!(
        Recovery,
        r#"select r.partner_id as "partner_id: _", r.recovery_id as "recovery_id: _", r.endpoint_id as "endpoint_id: _",
                  r.since, r.until, r.scope as "scope: _", r.state as "state: _", r.total, r.total_is_at_least, r.done,
                  r.created_at, r.finished_at
           from unnest($1::uuid[]) as wanted (partner_id)
           cross join lateral (
               select * from recovery
               where partner_id = wanted.partner_id and ($2::uuid is null or recovery_id < $2)
               order by recovery_id desc limit $3) as r
           order by r.recovery_id desc limit $3"#,
        partners as _,
        page.after as _,
        page.limit,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Ends a recovery that is under way: what it has owed so far stays owed. `false`: it is not under way. Whoever works
/// on it has committed its batch before this is decided.
pub async fn cancel(conn: &mut PgConnection, partners: &[PartnerId], id: RecoveryId) -> Result<bool> {
    let cancelled = sqlx::query!(
        "update recovery set state = 'cancelled', finished_at = now()
         where partner_id = any($1::uuid[]) and recovery_id = $2 and state = 'running'",
        partners as _,
        id as _,
    );
    Ok(cancelled.execute(conn).await?.rows_affected() > 0)
}
