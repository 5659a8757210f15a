//! What is kept of an order, to compare with Transak's own record.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::id::PartnerId;
use crate::store::Result;

/// The most events of one order that are compared: far beyond any real order.
const MOST: i64 = 1000;

/// A kept event of an order.
#[derive(Debug, Clone)]
pub struct Kept {
    pub status: String,
    pub occurred_at: DateTime<Utc>,
    /// Transak's REST API told it too.
    pub reconciled: bool,
}

/// The kept events of each of these orders, oldest first; orders without any are left out.
pub async fn of_orders(
    conn: &mut PgConnection,
    partner: PartnerId,
    order_ids: &[&str],
) -> Result<HashMap<String, Vec<Kept>>> {
    let rows = sqlx::query!(
        r#"select wanted.order_id as "order_id!", e.status as "status!", e.occurred_at as "occurred_at!",
                  exists (select from sighting s where s.partner_id = $1 and s.event_id = e.event_id
                            and s.source = 'reconcile') as "reconciled!"
           from unnest($2::text[]) as wanted (order_id)
           cross join lateral (
               select event_id, status, occurred_at from event
               where partner_id = $1 and order_id = wanted.order_id and status is not null
               order by event_id
               limit $3
           ) as e
           order by wanted.order_id, e.event_id"#,
        partner as _,
        order_ids as &[&str],
        MOST,
    );
    let mut kept: HashMap<String, Vec<Kept>> = HashMap::new();
    for row in rows.fetch_all(conn).await? {
        let event = Kept { status: row.status, occurred_at: row.occurred_at, reconciled: row.reconciled };
        kept.entry(row.order_id).or_default().push(event);
    }
    Ok(kept)
}
