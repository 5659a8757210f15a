//! The lanes of endpoints that want one request at a time for each order: of a lane only the head is due.
//!
//! A lane is what is pending of it and what is held of it: while its head is held, all of it waits.
//!
//! Guarantees: deliveries of a lane are sent in the order of their positions, which is the order in which they were
//! owed; one that waits for its retry keeps its lane waiting; one that is finished makes the next one due. Who adds to a
//! lane holds the lock of its order, as the intake does, or puts the delivery there waiting and then calls [`advance`].
//! Does not guarantee: anything about requests that were under way when the endpoint became ordered.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::delivery::Job;
use crate::model::id::{EndpointId, PartnerId};
use crate::store::{Result, due};

/// Whose deliveries of which order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneKey {
    pub partner_id: PartnerId,
    pub endpoint_id: EndpointId,
    pub order_id: String,
}

/// Locks the orders of lanes. Who writes deliveries of a lane does this first, so that all of them take the locks in one
/// order: of the order, then of its deliveries.
pub async fn lock(conn: &mut PgConnection, orders: impl Iterator<Item = (PartnerId, &str)>) -> Result<()> {
    let (partners, orders): (Vec<Uuid>, Vec<String>) =
        orders.map(|(partner, order)| (partner.uuid(), order.to_owned())).unzip();
    if partners.is_empty() {
        return Ok(());
    }
    lock_rows(conn, (&partners, &orders)).await
}

async fn lock_rows(conn: &mut PgConnection, (partners, orders): (&[Uuid], &[String])) -> Result<()> {
    let locked = sqlx::query!(
        r#"select order_id from "order"
           where (partner_id, order_id) in (select * from unnest($1::uuid[], $2::text[]))
           order by partner_id, order_id for no key update"#,
        partners,
        orders,
    );
    locked.fetch_all(conn).await?;
    Ok(())
}

/// Makes the first delivery of each lane due, if nothing of that lane is under way or due.
///
/// The lock of the order comes first, and only one may have it: whoever adds to the lane or finishes something of it at
/// this moment has then either seen what is done here or is seen here.
pub async fn advance(conn: &mut PgConnection, lanes: &[LaneKey]) -> Result<()> {
    if lanes.is_empty() {
        return Ok(());
    }
    let mut lanes = lanes.to_vec();
    lanes.sort();
    lanes.dedup();
    let partners: Vec<Uuid> = lanes.iter().map(|lane| lane.partner_id.uuid()).collect();
    let endpoints: Vec<Uuid> = lanes.iter().map(|lane| lane.endpoint_id.uuid()).collect();
    due::note_now(conn, lanes.iter().map(|lane| (lane.partner_id, lane.endpoint_id))).await?;
    let orders: Vec<String> = lanes.into_iter().map(|lane| lane.order_id).collect();
    lock_rows(conn, (&partners, &orders)).await?;
    let due = sqlx::query!(
        "update delivery set next_attempt_at = greatest(now(), delivery.not_before)
         from unnest($1::uuid[], $2::uuid[], $3::text[]) as lane (partner_id, endpoint_id, order_id)
         cross join lateral (
             select delivery_id from delivery
             where delivery.partner_id = lane.partner_id and delivery.endpoint_id = lane.endpoint_id
               and delivery.order_id = lane.order_id and state in ('pending', 'held') and position is not null
             order by position limit 1) as head
         where delivery.partner_id = lane.partner_id and delivery.delivery_id = head.delivery_id
           and delivery.state = 'pending'
           and not exists (
               select from delivery as other
               where other.partner_id = lane.partner_id and other.endpoint_id = lane.endpoint_id
                 and other.order_id = lane.order_id and other.state in ('pending', 'held')
                 and other.position is not null and other.next_attempt_at < '9999-01-01Z')",
        &partners,
        &endpoints,
        &orders,
    );
    due.execute(conn).await?;
    Ok(())
}

/// Puts leased deliveries that stand outside of their lanes into them, unsent: the attempt does not count. Answers the
/// lanes, which the caller must advance.
pub async fn enter(conn: &mut PgConnection, jobs: &[&Job]) -> Result<Vec<LaneKey>> {
    let moved = sqlx::query!(
        "update delivery
         set attempts = delivery.attempts - 1, leased_at = null, next_attempt_at = '9999-01-01Z',
             position = nextval('delivery_position')
         from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[])
              as given (partner_id, delivery_id, attempts, claims)
         where delivery.partner_id = given.partner_id and delivery.delivery_id = given.delivery_id
           and delivery.claims = given.claims and delivery.attempts = given.attempts and delivery.leased_at is not null",
        &jobs.iter().map(|job| job.partner_id.uuid()).collect::<Vec<Uuid>>(),
        &jobs.iter().map(|job| job.delivery_id.uuid()).collect::<Vec<Uuid>>(),
        &jobs.iter().map(|job| job.attempts).collect::<Vec<i32>>(),
        &jobs.iter().map(|job| job.claims).collect::<Vec<i32>>(),
    );
    moved.execute(&mut *conn).await?;
    let lanes = jobs.iter().filter_map(|job| {
        let order_id = job.told.order_id.clone()?;
        Some(LaneKey { partner_id: job.partner_id, endpoint_id: job.endpoint_id, order_id })
    });
    Ok(lanes.collect())
}

/// Arranges everything an ordered endpoint is owed in lanes: what is under way or waits for its retry stays as it is.
pub async fn arrange(conn: &mut PgConnection, (partner, endpoint): (PartnerId, EndpointId)) -> Result<()> {
    let placed = sqlx::query!(
        "update delivery set position = placed.position
         from (select delivery_id, nextval('delivery_position') as position
               from (select delivery_id from delivery
                     where partner_id = $1 and endpoint_id = $2 and state in ('pending', 'held')
                       and order_id is not null and position is null
                     order by delivery_id) as owed) as placed
         where delivery.partner_id = $1 and delivery.delivery_id = placed.delivery_id
           and state in ('pending', 'held')",
        partner.uuid(),
        endpoint.uuid(),
    );
    placed.execute(&mut *conn).await?;
    let waiting = sqlx::query!(
        "update delivery set next_attempt_at = '9999-01-01Z'
         where partner_id = $1 and endpoint_id = $2 and state = 'pending' and position is not null
           and leased_at is null and next_attempt_at < '9999-01-01Z'
           and exists (select from delivery as earlier
                       where earlier.partner_id = delivery.partner_id and earlier.endpoint_id = delivery.endpoint_id
                         and earlier.order_id = delivery.order_id and earlier.state in ('pending', 'held')
                         and earlier.position < delivery.position)",
        partner.uuid(),
        endpoint.uuid(),
    );
    waiting.execute(&mut *conn).await?;
    advance_all(conn, (partner, endpoint)).await
}

/// Takes what an endpoint is owed out of its lanes, `most` deliveries at a time: all of it may be sent at once.
pub async fn dissolve(
    conn: &mut PgConnection,
    (partner, endpoint): (PartnerId, EndpointId),
    most: i64,
) -> Result<()> {
    due::note_now(conn, [(partner, endpoint)]).await?;
    let freed = sqlx::query!(
        "update delivery
         set position = null,
             next_attempt_at = case when next_attempt_at >= '9999-01-01Z' then greatest(now(), not_before)
                                    else next_attempt_at end
         from (select delivery_id from delivery
               where partner_id = $1 and endpoint_id = $2 and state in ('pending', 'held') and position is not null
               limit $3 for update skip locked) as placed
         where delivery.partner_id = $1 and delivery.delivery_id = placed.delivery_id",
        partner.uuid(),
        endpoint.uuid(),
        most,
    );
    freed.execute(conn).await?;
    Ok(())
}

async fn advance_all(conn: &mut PgConnection, (partner, endpoint): (PartnerId, EndpointId)) -> Result<()> {
    let lanes = sqlx::query_scalar!(
        r#"select distinct order_id as "order_id!" from delivery
           where partner_id = $1 and endpoint_id = $2 and state = 'pending' and position is not null"#,
        partner.uuid(),
        endpoint.uuid(),
    );
    let lanes = lanes.fetch_all(&mut *conn).await?.into_iter();
    let lanes = lanes.map(|order_id| LaneKey { partner_id: partner, endpoint_id: endpoint, order_id });
    advance(conn, &lanes.collect::<Vec<_>>()).await
}
