//! An end of what is held for endpoints that nobody enables again.
//!
//! Guarantees: a delivery is given up only when it, and its endpoint's being disabled, are both older than the bound: one that
//! is held anew for an endpoint disabled long ago has its time, and so has an old one when its endpoint is disabled. A
//! bounded number at a time, of one endpoint, which nobody can enable meanwhile.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::announcement::GivenUp;
use crate::model::id::{DeliveryId, EndpointId, PartnerId};
use crate::model::queue::Place;
use crate::store::Result;

/// Notes of endpoints since when they are disabled, where who disabled them did not.
pub async fn note_disabled(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<()> {
    let noted = sqlx::query!(
        "update endpoint set disabled_at = $1 where state = 'disabled' and disabled_at is null and deleted_at is null",
        now,
    );
    noted.execute(conn).await?;
    Ok(())
}

/// Finds an endpoint that was disabled before `cutoff` and for which something is held from before it, and locks it.
pub async fn find_forgotten(tx: &mut PgConnection, cutoff: DateTime<Utc>) -> Result<Option<Place>> {
    let found = sqlx::query!(
        r#"select partner_id as "partner_id: PartnerId", endpoint_id as "endpoint_id: EndpointId" from endpoint
           where state = 'disabled' and disabled_at < $1 and deleted_at is null
             and exists (select from delivery d
                         where d.partner_id = endpoint.partner_id and d.endpoint_id = endpoint.endpoint_id
                           and d.state = 'held' and d.delivery_id < $2)
           limit 1 for no key update skip locked"#,
        cutoff,
        DeliveryId::boundary(cutoff) as _,
    );
    Ok(found.fetch_optional(tx).await?.map(|row| (row.partner_id, row.endpoint_id)))
}

/// Gives up the oldest that is held for this endpoint from before `cutoff`, at most `limit`. The caller has its lock.
pub async fn give_up(
    tx: &mut PgConnection,
    (partner, endpoint): Place,
    (cutoff, reason): (DateTime<Utc>, &str),
    limit: i64,
) -> Result<Vec<GivenUp>> {
    let given_up = sqlx::query_file_as!(
        GivenUp,
        "src/store/delivery/give_up.sql",
        partner as _,
        endpoint as _,
        DeliveryId::boundary(cutoff) as _,
        limit,
        reason,
    );
    Ok(given_up.fetch_all(tx).await?)
}
