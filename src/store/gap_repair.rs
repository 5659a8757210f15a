//! Table `gap`, its repairing half: which closed gaps are to be read from Transak's REST API, how far they were read, and
//! what came of it.
//!
//! Gaps that are due together are read together, as one repair, known by its first gap. How far it has come is in the
//! table, so that a process that dies leaves its work to the next. The partner's lease sees to it that one process at a
//! time repairs.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Result;
use crate::model::id::{GapId, PartnerId};

/// The most gaps of one repair.
const MOST: i64 = 100;

/// How far a repair has come: everything before was read, and all of it could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Windows of days that are done.
    pub window: i32,
    /// Orders to leave out of the next one.
    pub skip: i32,
}

/// Gaps to be repaired together.
#[derive(Debug, Clone)]
pub struct Repair {
    pub repair_id: GapId,
    /// From when to when each was.
    pub spans: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    /// How often it was tried, this time included.
    pub tries: i32,
    pub position: Position,
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
           set repairs = repairs + 1, repair_id = coalesce(repair_id, (select gap_id from fresh order by gap_id limit 1))
           where partner_id = $1 and repaired_at is null
             and (repair_id = (select repair_id from begun) or gap_id in (select gap_id from fresh))
           returning repair_id as "repair_id!: GapId", started_at, ended_at as "ended_at!", repairs, repair_window,
                     repair_skip"#,
        partner as _,
        now,
        ended_by,
        MOST,
    );
    let rows = rows.fetch_all(conn).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    Ok(Some(Repair {
        repair_id: first.repair_id,
        tries: first.repairs,
        position: Position { window: first.repair_window, skip: first.repair_skip },
        spans: rows.iter().map(|row| (row.started_at, row.ended_at)).collect(),
    }))
}

/// Writes down how far a repair has come.
pub async fn reached(
    conn: &mut PgConnection,
    partner: PartnerId,
    repair: GapId,
    position: Position,
) -> Result<()> {
    sqlx::query!(
        "update gap set repair_window = $3, repair_skip = $4
         where partner_id = $1 and repair_id = $2 and repaired_at is null",
        partner as _,
        repair as _,
        position.window,
        position.skip,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks the gaps of a repair as repaired. Answers how many.
pub async fn repaired(
    conn: &mut PgConnection,
    partner: PartnerId,
    repair: GapId,
    now: DateTime<Utc>,
) -> Result<u64> {
    let done = sqlx::query!(
        "update gap set repaired_at = greatest($3, ended_at), last_error = null
         where partner_id = $1 and repair_id = $2 and repaired_at is null",
        partner as _,
        repair as _,
        now,
    );
    Ok(done.execute(conn).await?.rows_affected())
}

/// Writes down why a repair did not come to its end, in a sentence, and when it goes on. One that has not come anywhere
/// is begun anew, together with the gaps that came since. Answers how many gaps wait.
pub async fn failed(
    conn: &mut PgConnection,
    partner: PartnerId,
    repair: GapId,
    (error, next): (&str, DateTime<Utc>),
) -> Result<u64> {
    let done = sqlx::query!(
        "update gap
         set last_error = $3, next_repair_at = $4,
             repair_id = case when repair_window > 0 or repair_skip > 0 then repair_id end
         where partner_id = $1 and repair_id = $2 and repaired_at is null",
        partner as _,
        repair as _,
        error,
        next,
    );
    Ok(done.execute(conn).await?.rows_affected())
}
