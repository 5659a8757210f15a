//! Orders that somebody else is writing, or holds without writing.

use std::collections::HashSet;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::id::PartnerId;
use crate::store::Result;

/// Which of these orders could not be locked right now. Waits for no lock, and keeps none.
pub async fn locked(
    conn: &mut PgConnection,
    orders: &[(PartnerId, &str)],
) -> Result<HashSet<(PartnerId, String)>> {
    let rows = sqlx::query!(
        r#"with given as materialized (
               select * from unnest($1::uuid[], $2::text[]) as given (partner_id, order_id)
           ), free as materialized (
               select partner_id, order_id from "order" join given using (partner_id, order_id)
               for update of "order" skip locked
           )
           select partner_id as "partner_id!: PartnerId", order_id as "order_id!"
           from given join "order" using (partner_id, order_id)
           where (partner_id, order_id) not in (select partner_id, order_id from free)"#,
        &orders.iter().map(|(partner, _)| partner.uuid()).collect::<Vec<Uuid>>(),
        &orders.iter().map(|(_, order)| *order).collect::<Vec<_>>() as &[&str],
    );
    let rows = rows.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.partner_id, row.order_id)).collect())
}
