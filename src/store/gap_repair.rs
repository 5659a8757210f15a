//! Table `gap`, its repairing half: which closed gaps are to be read from Transak's REST API, and what came of it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Result;
use crate::model::id::{GapId, PartnerId};

/// The most gaps of one repair.
const MOST: i64 = 100;

/// A gap to be repaired.
#[derive(Debug, Clone)]
pub struct ClosedGap {
    pub gap_id: GapId,
    pub started_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
    /// How often it was tried, this time included.
    pub repairs: i32,
}

/// The times of a claim.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    pub now: DateTime<Utc>,
    /// Gaps that ended then or earlier.
    pub ended_by: DateTime<Utc>,
    /// Nobody else tries before.
    pub until: DateTime<Utc>,
}

/// Claims a partner's gaps that are due, oldest first.
pub async fn claim(conn: &mut PgConnection, partner: PartnerId, claim: Claim) -> Result<Vec<ClosedGap>> {
    let rows = sqlx::query_as!(
        ClosedGap,
        r#"with due as (
               select gap_id from gap
               where partner_id = $1 and repaired_at is null and next_repair_at <= $2 and ended_at <= $3
               order by started_at
               limit $5
               for update skip locked
           )
           update gap set next_repair_at = $4, repairs = repairs + 1
           from due where gap.partner_id = $1 and gap.gap_id = due.gap_id
           returning gap.gap_id as "gap_id: _", started_at, ended_at as "ended_at!", repairs"#,
        partner as _,
        claim.now,
        claim.ended_by,
        claim.until,
        MOST,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Marks gaps as repaired.
pub async fn repaired(
    conn: &mut PgConnection,
    partner: PartnerId,
    gaps: &[GapId],
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "update gap set repaired_at = $3, last_error = null
         where partner_id = $1 and gap_id = any($2::uuid[]) and repaired_at is null",
        partner as _,
        gaps as _,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes down why a gap could not be repaired, in a sentence, and when it is tried again.
pub async fn failed(
    conn: &mut PgConnection,
    partner: PartnerId,
    gap: GapId,
    (error, next): (&str, DateTime<Utc>),
) -> Result<()> {
    sqlx::query!(
        "update gap set last_error = $3, next_repair_at = $4
         where partner_id = $1 and gap_id = $2 and repaired_at is null",
        partner as _,
        gap as _,
        error,
        next,
    )
    .execute(conn)
    .await?;
    Ok(())
}
