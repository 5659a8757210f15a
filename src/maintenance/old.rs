//! Deleting what is older than retention, a partner at a time.
//!
//! Guarantees: what somebody has locked of one partner keeps nothing of another from being deleted.

use chrono::DateTime;
use sqlx::PgConnection;

use super::{BATCH, BATCHES, Report};
use crate::model::id::{EventId, PartnerId};
use crate::store;
use crate::store::retention::{self, Cutoff};

/// Deletes what is from before `cutoff`.
pub(super) async fn delete_old(
    conn: &mut PgConnection,
    cutoff: Cutoff,
    report: &mut Report,
) -> store::Result<()> {
    for partner in retention::partners(conn).await? {
        match delete_old_of(conn, partner, cutoff, report).await {
            Ok(()) => {}
            // An order of this one is locked: the others are tidied all the same.
            Err(error) if error.is_lock_timeout() => report.put_off += 1,
            Err(error) => return Err(error),
        }
    }
    for _ in 0..BATCHES {
        let deleted = retention::drop_quarantined(conn, cutoff.over, BATCH).await?
            + retention::drop_ended(conn, cutoff.over, BATCH).await?;
        report.rows += deleted;
        if deleted == 0 {
            break;
        }
    }
    Ok(())
}

async fn delete_old_of(
    conn: &mut PgConnection,
    partner: PartnerId,
    cutoff: Cutoff,
    report: &mut Report,
) -> store::Result<()> {
    let mut place = Some((DateTime::UNIX_EPOCH, String::new()));
    for _ in 0..BATCHES {
        let Some(after) = place else { break };
        let step = retention::drop_orders(conn, (partner, &after), (cutoff, BATCH)).await?;
        report.orders += step.deleted;
        place = step.next;
    }
    let mut place = Some(EventId::boundary(DateTime::UNIX_EPOCH));
    for _ in 0..BATCHES {
        let Some(after) = place else { break };
        let step = retention::drop_events(conn, (partner, after), (cutoff.over, BATCH)).await?;
        report.events += step.deleted;
        place = step.next;
    }
    Ok(())
}
