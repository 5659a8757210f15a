//! What stays behind when everything that hung on it is gone: watches of orders that never came, endpoints and partners
//! that were deleted, access tokens that ended, the records of erasures.

use sqlx::PgConnection;

use super::BATCH;
use crate::store::{self, retention, retention::Cutoff};

/// Deletes what is old enough. Answers how many rows; of one kind a batch, the rest is left to the next run.
pub(super) async fn delete(conn: &mut PgConnection, cutoff: Cutoff) -> store::Result<u64> {
    let mut rows = retention::end_watches(conn, cutoff.over, BATCH).await?;
    rows += retention::drop_erasures(conn, cutoff.erasures, BATCH).await?;
    rows += retention::drop_access_tokens(conn, cutoff.over).await?;
    rows += retention::drop_endpoints(conn, cutoff.over, BATCH).await?;
    for partner in retention::deleted_partners(conn, cutoff.over).await? {
        rows += u64::from(retention::drop_partner(conn, partner).await?);
    }
    Ok(rows)
}
