//! Owing deliveries.

use sqlx::PgConnection;

use crate::model::delivery::{DeliveryState, LEASE, NewDelivery};
use crate::store::Result;

/// Writes new deliveries. Those marked as leased are born with a first attempt and belong to this process for
/// [`LEASE`]; the others are due at once, or held.
pub async fn insert(conn: &mut PgConnection, deliveries: &[NewDelivery]) -> Result<()> {
    sqlx::query!(
        r#"insert into delivery (partner_id, delivery_id, event_id, endpoint_id, order_id, state, attempts,
                                 next_attempt_at, leased_at)
           select given.partner_id, given.delivery_id, given.event_id, given.endpoint_id, given.order_id, given.state,
                  given.leased::int,
                  case when given.leased then now() + make_interval(secs => $8)
                       when given.state = 'pending' then now() end,
                  case when given.leased then now() end
           from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::delivery_state[], $7::boolean[])
                as given (partner_id, delivery_id, event_id, endpoint_id, order_id, state, leased)"#,
        &column(deliveries, |delivery| delivery.partner_id.uuid()),
        &column(deliveries, |delivery| delivery.delivery_id.uuid()),
        &column(deliveries, |delivery| delivery.event_id.uuid()),
        &column(deliveries, |delivery| delivery.endpoint_id.uuid()),
        &column(deliveries, |delivery| delivery.order_id.as_deref()) as &[Option<&str>],
        &column(deliveries, |delivery| delivery.state) as &[DeliveryState],
        &column(deliveries, |delivery| delivery.leased),
        LEASE.as_secs_f64(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn column<'a, T>(deliveries: &'a [NewDelivery], of: impl Fn(&'a NewDelivery) -> T) -> Vec<T> {
    deliveries.iter().map(of).collect()
}
