//! What is kept of an order, to compare with Transak's own record.

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

/// The kept events of an order, oldest first.
pub async fn of_order(conn: &mut PgConnection, partner: PartnerId, order_id: &str) -> Result<Vec<Kept>> {
    let rows = sqlx::query_as!(
        Kept,
        r#"select e.status as "status!", e.occurred_at,
                  exists (select from sighting s where s.partner_id = e.partner_id and s.event_id = e.event_id
                            and s.source = 'reconcile') as "reconciled!"
           from event e
           where e.partner_id = $1 and e.order_id = $2 and e.status is not null
           order by e.event_id
           limit $3"#,
        partner as _,
        order_id,
        MOST,
    );
    Ok(rows.fetch_all(conn).await?)
}
