//! Trying an endpoint out, on request.

use sqlx::PgConnection;

use super::by_hand::{self, Owed};
use crate::model::announcement::Announcement;
use crate::model::id::DeliveryId;
use crate::store::event::announce;
use crate::store::{Result, due, wake};

/// Owes the endpoint that a test is about that test, before everything else it is owed. If it is paused it may be probed
/// now, and the test is the probe.
pub async fn owe_test(conn: &mut PgConnection, test: &Announcement) -> Result<DeliveryId> {
    let place = test.about;
    announce::keep(conn, std::slice::from_ref(test)).await?;
    let delivery_id = DeliveryId::new();
    let owed = Owed { event_id: test.event_id, order_id: None, endpoint_id: place.1, delivery_id };
    by_hand::owe(conn, place.0, &[owed]).await?;
    let first = sqlx::query!(
        "update delivery set next_attempt_at = '1970-01-01Z'
         where partner_id = $1 and delivery_id = $2 and state = 'pending'",
        place.0.uuid(),
        delivery_id.uuid(),
    );
    first.execute(&mut *conn).await?;
    let probed = sqlx::query!(
        "update endpoint set paused_until = now()
         where partner_id = $1 and endpoint_id = $2 and paused_until > now()",
        place.0.uuid(),
        place.1.uuid(),
    );
    probed.execute(&mut *conn).await?;
    due::note_now(conn, [place]).await?;
    wake::deliveries(conn).await?;
    Ok(delivery_id)
}
