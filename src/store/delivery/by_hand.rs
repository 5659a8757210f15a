//! What people do to deliveries: send one again, whatever became of it before.
//!
//! Guarantees: the schedule starts anew. What is leased at that moment, because a request for it is under way or about to
//! be, is sent once more after that. In a lane it takes the last place, unless it still has one.

use sqlx::PgConnection;

use super::lane::{self, LaneKey};
use super::read::Delivery;
use crate::model::id::{DeliveryId, EndpointId, EventId, PartnerId};
use crate::store::event::read::Event;
use crate::store::{Result, due};

/// Owes a delivery again, due now, or as soon as the request for it that is under way is over; held if its endpoint is
/// disabled. `false`: there is no such delivery, or its endpoint was deleted.
pub async fn retry(conn: &mut PgConnection, partner_id: PartnerId, delivery_id: DeliveryId) -> Result<bool> {
    let order = sqlx::query_scalar!(
        "select order_id from delivery where partner_id = $1 and delivery_id = $2",
        partner_id as _,
        delivery_id as _
    );
    let order = order.fetch_optional(&mut *conn).await?.flatten();
    lane::lock(conn, order.as_deref().map(|order| (partner_id, order)).into_iter()).await?;
    // Whether a request is under way must not change between the two statements.
    let locked = sqlx::query!(
        "select from delivery where partner_id = $1 and delivery_id = $2 for update",
        partner_id as _,
        delivery_id as _
    );
    locked.fetch_optional(&mut *conn).await?;
    let changed = sqlx::query_file!("src/store/delivery/retry.sql", partner_id as _, delivery_id as _);
    let Some(row) = changed.fetch_optional(&mut *conn).await? else {
        return Ok(ask_again(conn, partner_id, &[delivery_id]).await? > 0);
    };
    due::note_now(conn, [(partner_id, row.endpoint_id)]).await?;
    if let Some(order_id) = row.order_id.filter(|_| row.in_lane) {
        lane::advance(conn, &[LaneKey { partner_id, endpoint_id: row.endpoint_id, order_id }]).await?;
    }
    Ok(true)
}

/// Owes an event to one endpoint, whatever it asked for; without one, to every endpoint that asks for such events or
/// was owed this one before. Answers what is now owed; a delivery whose request is under way is sent once more after it.
pub async fn redeliver(
    conn: &mut PgConnection,
    event: &Event,
    endpoint_id: Option<EndpointId>,
) -> Result<Vec<Delivery>> {
    let endpoints = recipients(conn, event, endpoint_id).await?;
    let owed = endpoints.iter().map(|&endpoint_id| Owed {
        event_id: event.event_id,
        order_id: event.order_id.clone(),
        endpoint_id,
        delivery_id: DeliveryId::new(),
    });
    owe(conn, event.partner_id, &owed.collect::<Vec<_>>()).await?;
    let mut owed = super::read::of_events(conn, event.partner_id, &[event.event_id]).await?;
    owed.retain(|delivery| endpoints.contains(&delivery.endpoint_id));
    let ids: Vec<DeliveryId> = owed.iter().map(|delivery| delivery.delivery_id).collect();
    ask_again(conn, event.partner_id, &ids).await?;
    Ok(owed)
}

/// Has those of these deliveries whose request is under way sent once more after it. Answers how many there are. The
/// caller holds their locks.
async fn ask_again(conn: &mut PgConnection, partner_id: PartnerId, deliveries: &[DeliveryId]) -> Result<u64> {
    let asked = sqlx::query!(
        "update delivery set again = true
         from endpoint e
         where delivery.partner_id = $1 and delivery.delivery_id = any ($2)
           and e.partner_id = delivery.partner_id and e.endpoint_id = delivery.endpoint_id and e.deleted_at is null
           and delivery.leased_at is not null and delivery.next_attempt_at > now()",
        partner_id as _,
        &deliveries.iter().map(|id| id.uuid()).collect::<Vec<_>>(),
    );
    Ok(asked.execute(conn).await?.rows_affected())
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
                      (((events is null and $3 not like 'relay.%') or $3 = any(events)) and (statuses is null or $4::text = any(statuses)
                           or ($4::text is null and $3 not like 'ORDER\_%')))
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

/// An event to be owed to an endpoint.
#[derive(Debug, Clone)]
pub struct Owed {
    pub event_id: EventId,
    /// The event's order.
    pub order_id: Option<String>,
    pub endpoint_id: EndpointId,
    /// The id of the delivery, if there is none yet.
    pub delivery_id: DeliveryId,
}

/// Owes events to endpoints of one partner, whatever became of them before, each on a schedule that starts anew. Answers
/// the deliveries that are owed; those whose request is under way are left as they are and not answered.
pub async fn owe(conn: &mut PgConnection, partner_id: PartnerId, owed: &[Owed]) -> Result<Vec<DeliveryId>> {
    if any_ordered(conn, partner_id, owed).await? {
        let orders = owed.iter().filter_map(|one| one.order_id.as_deref());
        lane::lock(conn, orders.map(|order| (partner_id, order))).await?;
    }
    let rows = sqlx::query_file!(
        "src/store/delivery/redeliver.sql",
        partner_id as _,
        &owed.iter().map(|one| one.event_id.uuid()).collect::<Vec<_>>(),
        &owed.iter().map(|one| one.order_id.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &owed.iter().map(|one| one.endpoint_id.uuid()).collect::<Vec<_>>(),
        &owed.iter().map(|one| one.delivery_id.uuid()).collect::<Vec<_>>(),
    );
    let rows = rows.fetch_all(&mut *conn).await?;
    due::note_now(conn, rows.iter().map(|row| (partner_id, row.endpoint_id))).await?;
    let ids = rows.iter().map(|row| row.delivery_id).collect();
    let lanes = rows.into_iter().filter(|row| row.in_lane).filter_map(|row| {
        Some(LaneKey { partner_id, endpoint_id: row.endpoint_id, order_id: row.order_id? })
    });
    lane::advance(conn, &lanes.collect::<Vec<_>>()).await?;
    Ok(ids)
}

async fn any_ordered(conn: &mut PgConnection, partner_id: PartnerId, owed: &[Owed]) -> Result<bool> {
    let any = sqlx::query_scalar!(
        r#"select exists (select from endpoint
                          where partner_id = $1 and endpoint_id = any ($2) and ordered) as "any!""#,
        partner_id as _,
        &owed.iter().map(|one| one.endpoint_id.uuid()).collect::<Vec<_>>(),
    );
    Ok(any.fetch_one(conn).await?)
}
