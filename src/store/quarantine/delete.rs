//! Emptying the quarantine by hand.

use sqlx::PgConnection;

use super::read::Filter;
use crate::model::event::Source;
use crate::model::id::{PartnerId, QuarantineId};
use crate::model::quarantine::Reason;
use crate::store::Result;

/// The most messages that go with one statement, so that nobody waits long for a room that is being emptied.
pub const STEP: u64 = 1_000;

/// Deletes one message of `partners`, and with `of_nobody` also one of no known partner. `false`: there is none.
pub async fn one(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    of_nobody: bool,
    id: QuarantineId,
) -> Result<bool> {
    let done = sqlx::query!(
        "delete from quarantine
         where quarantine_id = $1 and (partner_id = any($2::uuid[]) or ($3 and partner_id is null))",
        id as _,
        partners as _,
        of_nobody,
    );
    Ok(done.execute(conn).await?.rows_affected() > 0)
}

/// Deletes up to [`STEP`] messages of a partner, or of nobody known, that the filter names. Answers how many.
pub async fn some(conn: &mut PgConnection, partner: Option<PartnerId>, filter: &Filter) -> Result<u64> {
    let done = sqlx::query!(
        "delete from quarantine where quarantine_id in (
             select quarantine_id from quarantine
             where (partner_id = $1::uuid or (partner_id is null and $1::uuid is null))
               and ($2::quarantine_reason is null or code = $2)
               and ($3::event_source is null or source = $3)
               and ($4::timestamptz is null or received_at < $4)
             limit $5)",
        partner.map(PartnerId::uuid),
        filter.reason as Option<Reason>,
        filter.source as Option<Source>,
        filter.before,
        i64::try_from(STEP).unwrap_or(i64::MAX),
    );
    Ok(done.execute(conn).await?.rows_affected())
}
