//! Recording arrivals.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::event::{NewEvent, Source};
use crate::model::id::EventId;
use crate::store::Result;

/// Records that each event was heard, under the id it is kept with. What the REST API tells again and again is one
/// sighting.
pub async fn insert(conn: &mut PgConnection, heard: &[(EventId, &NewEvent)]) -> Result<()> {
    sqlx::query!(
        "insert into sighting (partner_id, event_id, source, at, verified)
         select given.* from unnest($1::uuid[], $2::uuid[], $3::event_source[], $4::timestamptz[], $5::boolean[])
             as given (partner_id, event_id, source, at, verified)
         where given.source <> 'reconcile'
            or not exists (select from sighting as earlier
                           where earlier.partner_id = given.partner_id and earlier.event_id = given.event_id
                             and earlier.source = 'reconcile')",
        &heard.iter().map(|(_, event)| event.partner_id.uuid()).collect::<Vec<Uuid>>(),
        &heard.iter().map(|(event_id, _)| event_id.uuid()).collect::<Vec<Uuid>>(),
        &heard.iter().map(|(_, event)| event.source).collect::<Vec<Source>>() as &[Source],
        &heard.iter().map(|(_, event)| event.received_at).collect::<Vec<_>>(),
        &heard.iter().map(|(_, event)| event.verified).collect::<Vec<bool>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}
