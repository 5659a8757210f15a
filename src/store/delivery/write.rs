//! Owing deliveries.

use std::collections::HashSet;

use sqlx::PgConnection;

use crate::model::delivery::{DeliveryState, LEASE, NewDelivery};
use crate::store::Result;

/// Writes new deliveries. Those marked as leased are born with a first attempt and belong to this process for
/// [`LEASE`]; the others are due at once, wait in the lane of their order, or are held.
///
/// For deliveries in a lane the caller holds the lock of their orders, and gives them in the order of the lane.
pub async fn insert(conn: &mut PgConnection, deliveries: &[NewDelivery]) -> Result<()> {
    let mut lanes = HashSet::new();
    let follows: Vec<bool> = deliveries
        .iter()
        .map(|delivery| {
            delivery.in_lane && !lanes.insert((delivery.endpoint_id, delivery.order_id.as_deref()))
        })
        .collect();
    sqlx::query_file!(
        "src/store/delivery/insert.sql",
        &column(deliveries, |delivery| delivery.partner_id.uuid()),
        &column(deliveries, |delivery| delivery.delivery_id.uuid()),
        &column(deliveries, |delivery| delivery.event_id.uuid()),
        &column(deliveries, |delivery| delivery.endpoint_id.uuid()),
        &column(deliveries, |delivery| delivery.order_id.as_deref()) as &[Option<&str>],
        &column(deliveries, |delivery| delivery.state) as &[DeliveryState],
        &column(deliveries, |delivery| delivery.leased),
        &column(deliveries, |delivery| delivery.in_lane),
        LEASE.as_secs_f64(),
        &follows,
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn column<'a, T>(deliveries: &'a [NewDelivery], of: impl Fn(&'a NewDelivery) -> T) -> Vec<T> {
    deliveries.iter().map(of).collect()
}
