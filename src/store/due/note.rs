//! Noting that something is due.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::id::{EndpointId, PartnerId};
use crate::model::queue::Place;
use crate::store::Result;

/// Deliveries of one [`adopt`].
const ADOPTED: i64 = 500;

/// Something of an endpoint is due.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    pub place: Place,
    /// From now, in the eyes of the transaction.
    pub within: Duration,
}

/// Notes that these endpoints have something due then, in the transaction that makes it so: before or after it does.
pub async fn note(conn: &mut PgConnection, due: &[Due]) -> Result<()> {
    if due.is_empty() {
        return Ok(());
    }
    let noted = sqlx::query_file!(
        "src/store/due/note.sql",
        &due.iter().map(|one| one.place.0.uuid()).collect::<Vec<Uuid>>(),
        &due.iter().map(|one| one.place.1.uuid()).collect::<Vec<Uuid>>(),
        &due.iter().map(|one| one.within.as_secs_f64()).collect::<Vec<f64>>(),
    );
    noted.execute(conn).await?;
    Ok(())
}

/// The same, now.
pub async fn note_now(conn: &mut PgConnection, places: impl IntoIterator<Item = Place>) -> Result<()> {
    let due = places.into_iter().map(|place| Due { place, within: Duration::ZERO });
    note(conn, &due.collect::<Vec<_>>()).await
}

/// Notes what a process of an earlier version has written without noting it. Answers whether there was anything.
pub async fn adopt(tx: &mut PgConnection) -> Result<bool> {
    let adopted = sqlx::query!(
        r#"update delivery set due_noted = true
           from (select partner_id, delivery_id from delivery where state = 'pending' and not due_noted
                 order by partner_id, delivery_id limit $1 for update skip locked) as found
           where delivery.partner_id = found.partner_id and delivery.delivery_id = found.delivery_id
           returning delivery.partner_id as "partner_id: PartnerId", delivery.endpoint_id as "endpoint_id: EndpointId""#,
        ADOPTED,
    );
    let adopted = adopted.fetch_all(&mut *tx).await?;
    let any = !adopted.is_empty();
    note_now(tx, adopted.into_iter().map(|row| (row.partner_id, row.endpoint_id))).await?;
    Ok(any)
}
