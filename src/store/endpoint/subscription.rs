//! Who asked for what: read by the intake to know to whom an event is owed.

use sqlx::PgExecutor;
use uuid::Uuid;

use crate::model::delivery::{Subscription, Terms};
use crate::model::id::{EndpointId, PartnerId};
use crate::model::rate::Rate;
use crate::store::Result;

/// The endpoints of these partners, disabled ones included, sorted by partner and id.
pub async fn of_partners(
    executor: impl PgExecutor<'_>,
    partners: impl IntoIterator<Item = PartnerId>,
) -> Result<Vec<Subscription>> {
    let rows = sqlx::query!(
        r#"select partner_id as "partner_id: PartnerId", endpoint_id as "endpoint_id: EndpointId", revision,
                  max_in_flight, rate_thousandths, rate_burst, ordered, breaker_trips, events, statuses, state = 'enabled' as "enabled!",
                  xmin::text::bigint as "version!"
           from endpoint where partner_id = any($1) and deleted_at is null
           order by partner_id, endpoint_id"#,
        &partners.into_iter().map(PartnerId::uuid).collect::<Vec<Uuid>>(),
    );
    let rows = rows.fetch_all(executor).await?;
    let subscriptions = rows.into_iter().map(|row| Subscription {
        partner_id: row.partner_id,
        endpoint_id: row.endpoint_id,
        terms: Terms {
            revision: row.revision,
            max_in_flight: u16::try_from(row.max_in_flight).unwrap_or(1),
            rate: row
                .rate_thousandths
                .zip(row.rate_burst)
                .and_then(|(rate, burst)| Rate::from_stored(rate, burst)),
            ordered: row.ordered,
            trips: u16::try_from(row.breaker_trips).unwrap_or(0),
        },
        enabled: row.enabled,
        events: row.events,
        statuses: row.statuses,
        version: row.version,
    });
    Ok(subscriptions.collect())
}
