//! What people do to deliveries: send one again, whatever became of it before.
//!
//! Guarantees: the schedule starts anew, and a request that is under way at that moment is not doubled: its delivery
//! stays as it is. Every call that owes something new wakes the dispatchers when its transaction commits.

use sqlx::PgConnection;

use super::read::Delivery;
use crate::model::id::{DeliveryId, EndpointId, PartnerId};
use crate::store::Result;
use crate::store::event::read::Event;

/// Owes a delivery again, due now; held if its endpoint is disabled. `false`: there is no such delivery, its endpoint
/// was deleted, or a request for it is under way.
pub async fn retry(conn: &mut PgConnection, partner_id: PartnerId, delivery_id: DeliveryId) -> Result<bool> {
    let changed = sqlx::query!(
        "update delivery d
         set state = case e.state when 'enabled' then 'pending' else 'held' end::delivery_state,
             next_attempt_at = case e.state when 'enabled' then now() end,
             schedule_start = d.attempts, leased_at = null, finished_at = null
         from endpoint e
         where d.partner_id = $1 and d.delivery_id = $2
           and e.partner_id = d.partner_id and e.endpoint_id = d.endpoint_id and e.deleted_at is null
           and (d.leased_at is null or d.next_attempt_at <= now())",
        partner_id as _,
        delivery_id as _,
    );
    Ok(changed.execute(conn).await?.rows_affected() > 0)
}

/// Owes an event to one endpoint, whatever it asked for; without one, to every endpoint that asks for such events or
/// was owed this one before. Answers what is now owed; a delivery whose request is under way is left as it is and
/// answered too.
pub async fn redeliver(
    conn: &mut PgConnection,
    event: &Event,
    endpoint_id: Option<EndpointId>,
) -> Result<Vec<Delivery>> {
    let endpoints = recipients(conn, event, endpoint_id).await?;
    let deliveries: Vec<DeliveryId> = endpoints.iter().map(|_| DeliveryId::new()).collect();
    owe(conn, event, &endpoints, &deliveries).await?;
    let owed = super::read::of_events(conn, event.partner_id, &[event.event_id]).await?;
    Ok(owed.into_iter().filter(|delivery| endpoints.contains(&delivery.endpoint_id)).collect())
}

async fn recipients(
    conn: &mut PgConnection,
    event: &Event,
    endpoint_id: Option<EndpointId>,
) -> Result<Vec<EndpointId>> {
    let endpoints = sqlx::query_scalar!(
        r#"select endpoint_id as "endpoint_id: EndpointId" from endpoint e
           where partner_id = $1 and deleted_at is null
             and (endpoint_id = $2
                  or ($2::uuid is null and (
                      ((events is null or $3 = any(events)) and (statuses is null or $4::text = any(statuses)))
                      or exists (select from delivery d
                                 where d.partner_id = e.partner_id and d.event_id = $5
                                   and d.endpoint_id = e.endpoint_id))))"#,
        event.partner_id as _,
        endpoint_id as _,
        event.event,
        event.status,
        event.event_id as _,
    );
    Ok(endpoints.fetch_all(conn).await?)
}

async fn owe(
    conn: &mut PgConnection,
    event: &Event,
    endpoints: &[EndpointId],
    deliveries: &[DeliveryId],
) -> Result<()> {
    let owed = sqlx::query!(
        "insert into delivery as d
             (partner_id, delivery_id, event_id, endpoint_id, order_id, state, next_attempt_at)
         select e.partner_id, n.delivery_id, $2, e.endpoint_id, $3,
                case e.state when 'enabled' then 'pending' else 'held' end::delivery_state,
                case e.state when 'enabled' then now() end
         from unnest($4::uuid[], $5::uuid[]) as n (endpoint_id, delivery_id)
         join endpoint e on e.partner_id = $1 and e.endpoint_id = n.endpoint_id
         on conflict on constraint delivery_one_per_event_and_endpoint do update
         set state = excluded.state, next_attempt_at = excluded.next_attempt_at, schedule_start = d.attempts,
             leased_at = null, finished_at = null
         where d.leased_at is null or d.next_attempt_at <= now()",
        event.partner_id as _,
        event.event_id as _,
        event.order_id,
        endpoints as _,
        deliveries as _,
    );
    owed.execute(conn).await?;
    Ok(())
}

/// Tells every dispatcher, when the transaction commits, that something is due.
pub async fn wake_dispatchers(conn: &mut PgConnection) -> Result<()> {
    sqlx::query!("select pg_notify('relay_delivery', '')").execute(conn).await?;
    Ok(())
}
