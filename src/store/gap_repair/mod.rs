//! Tables `gap_repair` and `gap`, its repairing half: which closed gaps are to be read from Transak's REST API, and what
//! came of it.
//!
//! Gaps that are due together are read together, as one repair, known by its first gap. What it has read and what is left
//! is in tables ([`days`], [`orders`]), so that a process that dies leaves its work to the next. The partner's lease sees
//! to it that one process at a time repairs.

pub mod days;
pub mod orders;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Result;
use crate::model::id::{GapId, PartnerId};
use crate::model::reconcile::Span;

/// The most gaps of one repair.
const MOST: i64 = 100;

/// Gaps to be repaired together.
#[derive(Debug, Clone)]
pub struct Repair {
    pub repair_id: GapId,
    /// From when to when each was.
    pub spans: Vec<Span>,
    /// Tries in a row, before this one, that brought nothing.
    pub fruitless: u32,
    /// Nobody has begun it.
    pub is_new: bool,
}

/// Why a repair did not come to its end.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    /// In a sentence.
    pub error: &'a str,
    /// When the next try may begin.
    pub next_at: DateTime<Utc>,
    /// Tries in a row, this one included, that brought nothing.
    pub fruitless: u32,
}

/// Takes up a repair that was begun, else begins one of all gaps that ended by `ended_by`.
pub async fn claim(
    conn: &mut PgConnection,
    partner: PartnerId,
    (now, ended_by): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Option<Repair>> {
    let rows = sqlx::query!(
        r#"with begun as (
               select repair_id from gap
               where partner_id = $1 and repaired_at is null and next_repair_at <= $2 and repair_id is not null
                 and ended_at is not null
               order by repair_id
               limit 1
           ), fresh as (
               select gap_id from gap
               where partner_id = $1 and repaired_at is null and next_repair_at <= $2 and repair_id is null
                 and ended_at <= $3 and not exists (select from begun)
               order by gap_id
               limit $4
           )
           update gap
           set repair_id = coalesce(repair_id, (select gap_id from fresh order by gap_id limit 1))
           where partner_id = $1 and repaired_at is null and ended_at is not null
             and (repair_id = (select repair_id from begun) or gap_id in (select gap_id from fresh))
           returning repair_id as "repair_id!: GapId", started_at, ended_at as "ended_at!", repairs"#,
        partner as _,
        now,
        ended_by,
        MOST,
    );
    let rows = rows.fetch_all(&mut *conn).await?;
    let Some(repair_id) = rows.first().map(|row| row.repair_id) else { return Ok(None) };
    let tried = rows.iter().map(|row| row.repairs).max().unwrap_or_default();
    let fruitless = begin(&mut *conn, partner, repair_id, tried).await?;
    Ok(Some(Repair {
        repair_id,
        spans: rows.iter().map(|row| (row.started_at, row.ended_at)).collect(),
        fruitless: u32::try_from(fruitless.unwrap_or(tried)).unwrap_or_default(),
        is_new: fruitless.is_none(),
    }))
}

/// Writes down that a repair has begun. Answers, if it had, how many tries in a row have brought nothing.
async fn begin(
    conn: &mut PgConnection,
    partner: PartnerId,
    repair: GapId,
    tried: i32,
) -> Result<Option<i32>> {
    let begun = sqlx::query_scalar!(
        r#"with made as (
               insert into gap_repair (partner_id, repair_id, fruitless) values ($1, $2, $3)
               on conflict do nothing
           )
           select fruitless from gap_repair where partner_id = $1 and repair_id = $2"#,
        partner as _,
        repair as _,
        tried,
    );
    Ok(begun.fetch_optional(conn).await?)
}

/// Marks the gaps of a repair as repaired. Answers how many.
pub async fn repaired(
    conn: &mut PgConnection,
    partner: PartnerId,
    repair: GapId,
    now: DateTime<Utc>,
) -> Result<u64> {
    let done = sqlx::query_scalar!(
        r#"with over as (
               delete from gap_repair where partner_id = $1 and repair_id = $2
           ), done as (
               update gap set repaired_at = greatest($3, ended_at), last_error = null, repairs = repairs + 1
               where partner_id = $1 and repair_id = $2 and repaired_at is null and ended_at is not null
               returning gap_id
           )
           select count(*) as "count!" from done"#,
        partner as _,
        repair as _,
        now,
    );
    Ok(done.fetch_one(conn).await?.unsigned_abs())
}

/// Writes down why a repair did not come to its end, and when it goes on. One that has not come anywhere is begun anew,
/// together with the gaps that came since. Answers how many gaps wait.
pub async fn failed(
    conn: &mut PgConnection,
    partner: PartnerId,
    repair: GapId,
    failure: Failure<'_>,
) -> Result<u64> {
    let done = sqlx::query_scalar!(
        r#"with came_somewhere as (
               update gap_repair set fruitless = $5
               where partner_id = $1 and repair_id = $2
                 and exists (select from gap_repair_days d where d.partner_id = $1 and d.repair_id = $2)
               returning repair_id
           ), over as (
               delete from gap_repair
               where partner_id = $1 and repair_id = $2 and not exists (select from came_somewhere)
           ), waiting as (
               update gap
               set last_error = $3, next_repair_at = $4, repairs = repairs + 1,
                   repair_id = (select repair_id from came_somewhere)
               where partner_id = $1 and repair_id = $2 and repaired_at is null
               returning gap_id
           )
           select count(*) as "count!" from waiting"#,
        partner as _,
        repair as _,
        failure.error,
        failure.next_at,
        i32::try_from(failure.fruitless).unwrap_or(i32::MAX),
    );
    Ok(done.fetch_one(conn).await?.unsigned_abs())
}
