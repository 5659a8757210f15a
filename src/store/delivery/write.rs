//! Owing what the relay itself tells. What Transak tells is owed as it is kept, in `store::event::keep`.

use sqlx::PgConnection;

use crate::model::delivery::{DeliveryState, NewDelivery};
use crate::store::{Result, due};

/// Writes new deliveries of events without an order: due at once, or held.
pub async fn insert(conn: &mut PgConnection, deliveries: &[NewDelivery]) -> Result<()> {
    sqlx::query_file!(
        "src/store/delivery/insert.sql",
        &column(deliveries, |delivery| delivery.partner_id.uuid()),
        &column(deliveries, |delivery| delivery.delivery_id.uuid()),
        &column(deliveries, |delivery| delivery.event_id.uuid()),
        &column(deliveries, |delivery| delivery.endpoint_id.uuid()),
        &column(deliveries, |delivery| delivery.state) as &[DeliveryState],
    )
    .execute(&mut *conn)
    .await?;
    let due = deliveries.iter().filter(|delivery| delivery.state == DeliveryState::Pending);
    due::note_now(conn, due.map(|delivery| (delivery.partner_id, delivery.endpoint_id))).await
}

fn column<'a, T>(deliveries: &'a [NewDelivery], of: impl Fn(&'a NewDelivery) -> T) -> Vec<T> {
    deliveries.iter().map(of).collect()
}
