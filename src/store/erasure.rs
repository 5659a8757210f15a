//! Table `erasure`, and the erasing itself: everything that is known of one order, wherever it stands.
//!
//! What was heard of it before and still waits on disk for the database is forgotten when its turn comes.
//! Does not reach: copies that receivers were sent, and backups. What Transak sends of the order afterwards is a new order.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Result;
use crate::model::id::{ErasureId, PartnerId};
use crate::model::mention::speaks_of;
use crate::model::token::TokenHash;

/// How many messages of the quarantine are looked through at a time: of the largest, 50 MiB.
const PIECE: i64 = 50;

/// Erases an order and writes down that it was. `false`: there is no such order.
///
/// What is being written at this moment by others, the result of a callback above all, is either written before and
/// erased with the rest, or finds nothing to be written for.
pub async fn erase(
    conn: &mut PgConnection,
    (partner_id, order_id): (PartnerId, &str),
    by: TokenHash,
) -> Result<bool> {
    let told = told_of(conn, (partner_id, order_id)).await?;
    lock(conn, (partner_id, order_id), &told).await?;
    let record = ErasureId::new().uuid();
    let erased = sqlx::query_file_scalar!(
        "src/store/erasure.sql",
        partner_id as _,
        order_id,
        record,
        by.0.as_slice(),
        &told,
    );
    if erased.fetch_one(&mut *conn).await? == 0 {
        return Ok(false);
    }
    let forgotten = forget_messages(conn, Some(partner_id), order_id).await?
        + forget_messages(conn, None, order_id).await?;
    sqlx::query!(
        "update erasure set quarantined = $3 where partner_id = $1 and erasure_id = $2",
        partner_id as _,
        record,
        i32::try_from(forgotten).unwrap_or(i32::MAX),
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// What the relay itself told of an order. A process of the version before did not write down of which.
async fn told_of(conn: &mut PgConnection, (partner_id, order_id): (PartnerId, &str)) -> Result<Vec<Uuid>> {
    let told = sqlx::query_scalar!(
        "select event_id from event
         where partner_id = $1 and event = 'relay.delivery.exhausted'
           and (about_order_id = $2
                or about_order_id is null and exists (
                    select from payload
                    where payload.partner_id = event.partner_id and payload.event_id = event.event_id
                      and payload.received_at = event.received_at
                      and convert_from(payload.body, 'UTF8')::jsonb ->> 'orderId' = $2))",
        partner_id as _,
        order_id,
    );
    Ok(told.fetch_all(conn).await?)
}

/// Locks the order, its events and their deliveries, in this order. Each statement sees what was written until the locks
/// of the one before were had; whoever writes for one of these rows later holds its lock, and finds it gone.
async fn lock(
    conn: &mut PgConnection,
    (partner_id, order_id): (PartnerId, &str),
    told: &[Uuid],
) -> Result<()> {
    let order = sqlx::query!(
        r#"select from "order" where partner_id = $1 and order_id = $2 for update"#,
        partner_id as _,
        order_id
    );
    order.execute(&mut *conn).await?;
    let events = sqlx::query_scalar!(
        "select event_id from event
         where partner_id = $1 and (order_id = $2 or event_id = any ($3))
         order by event_id for update",
        partner_id as _,
        order_id,
        told,
    );
    let events = events.fetch_all(&mut *conn).await?;
    let deliveries = sqlx::query!(
        "select from delivery where partner_id = $1 and event_id = any ($2) order by delivery_id for update",
        partner_id as _,
        &events,
    );
    deliveries.execute(conn).await?;
    Ok(())
}

/// Deletes the messages in quarantine that speak of an order; those of a partner, or of nobody. Answers how many.
async fn forget_messages(
    conn: &mut PgConnection,
    partner_id: Option<PartnerId>,
    order_id: &str,
) -> Result<usize> {
    let (mut forgotten, mut after) = (0, Uuid::nil());
    loop {
        let page = sqlx::query!(
            "select quarantine_id, channel, event, raw from quarantine
             where (partner_id = $1 or ($1::uuid is null and partner_id is null)) and quarantine_id > $2
             order by quarantine_id limit $3",
            partner_id as _,
            after,
            PIECE,
        );
        let page = page.fetch_all(&mut *conn).await?;
        let Some(last) = page.last() else { return Ok(forgotten) };
        after = last.quarantine_id;
        let named = |name: &Option<String>| name.as_deref() == Some(order_id);
        let about = page
            .iter()
            .filter(|one| named(&one.channel) || named(&one.event) || speaks_of(&one.raw, order_id));
        let about: Vec<Uuid> = about.map(|one| one.quarantine_id).collect();
        forgotten += about.len();
        sqlx::query!("delete from quarantine where quarantine_id = any ($1)", &about)
            .execute(&mut *conn)
            .await?;
    }
}

/// The orders of these partners, or of all, that were erased then or later, and when each last was.
pub async fn all_since(
    conn: &mut PgConnection,
    partners: Option<&[PartnerId]>,
    at: DateTime<Utc>,
) -> Result<Vec<(PartnerId, String, DateTime<Utc>)>> {
    let rows = sqlx::query!(
        r#"select partner_id as "partner_id: PartnerId", order_id, max(erased_at) as "erased_at!"
           from erasure where ($1::uuid[] is null or partner_id = any ($1)) and erased_at >= $2
           group by partner_id, order_id"#,
        partners as Option<&[PartnerId]>,
        at,
    );
    let rows = rows.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.partner_id, row.order_id, row.erased_at)).collect())
}

/// Those of the orders, each with when something was heard of it, that were erased since then, and when they were.
pub async fn since(
    conn: &mut PgConnection,
    orders: &[(PartnerId, &str, DateTime<Utc>)],
) -> Result<Vec<(PartnerId, String, DateTime<Utc>)>> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"select partner_id as "partner_id: PartnerId", erasure.order_id, max(erased_at) as "erased_at!"
           from erasure join unnest($1::uuid[], $2::text[], $3::timestamptz[]) as heard (partner_id, order_id, at)
                using (partner_id, order_id)
           where erased_at >= heard.at
           group by partner_id, erasure.order_id"#,
        &orders.iter().map(|(partner, ..)| partner.uuid()).collect::<Vec<_>>(),
        &orders.iter().map(|(_, order, _)| *order).collect::<Vec<_>>() as &[&str],
        &orders.iter().map(|(.., at)| *at).collect::<Vec<_>>(),
    );
    let rows = rows.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.partner_id, row.order_id, row.erased_at)).collect())
}
