//! Table `gap_repair_order`: orders that a repair has still to ask for by their ids.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use crate::model::id::{GapId, PartnerId};
use crate::store::Result;

/// An order on the list.
#[derive(Debug, Clone)]
pub struct Listed {
    pub order_id: String,
    /// Since when Transak has said each time that it does not know it.
    pub unknown_since: Option<DateTime<Utc>>,
}

/// Puts a partner's orders on the list that may have changed in the gap: those under way, and those that may be refunded
/// and were made before `first_day`, which is as far as the lists of days reach. Answers how many.
pub async fn put_known(
    conn: &mut PgConnection,
    (partner, repair): (PartnerId, GapId),
    first_day: NaiveDate,
) -> Result<u64> {
    let put = sqlx::query!(
        r#"insert into gap_repair_order (partner_id, repair_id, order_id)
           select partner_id, $2, order_id from "order"
           where partner_id = $1 and reconcile_at is not null
             and (status not in ('FAILED', 'EXPIRED', 'CANCELLED') or created_at < $3::date)
           on conflict do nothing"#,
        partner as _,
        repair as _,
        first_day,
    );
    Ok(put.execute(conn).await?.rows_affected())
}

/// Puts these on the list, or leaves them there: they could not be read. `unknown_at`: Transak said then that it does not
/// know them.
pub async fn put(
    conn: &mut PgConnection,
    (partner, repair): (PartnerId, GapId),
    order_ids: &[String],
    unknown_at: Option<DateTime<Utc>>,
) -> Result<()> {
    sqlx::query!(
        "insert into gap_repair_order as listed (partner_id, repair_id, order_id, tries, unknown_since)
         select $1, $2, unnest($3::text[]), 1, $4
         on conflict on constraint gap_repair_order_pkey do update
         set tries = listed.tries + 1, unknown_since = least(listed.unknown_since, excluded.unknown_since)",
        partner as _,
        repair as _,
        order_ids,
        unknown_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes these off the list: they were read.
pub async fn take_off(
    conn: &mut PgConnection,
    (partner, repair): (PartnerId, GapId),
    order_ids: &[String],
) -> Result<()> {
    sqlx::query!(
        "delete from gap_repair_order where partner_id = $1 and repair_id = $2 and order_id = any ($3)",
        partner as _,
        repair as _,
        order_ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Orders on the list, those first that failed least often; not those that were erased meanwhile.
pub async fn left(
    conn: &mut PgConnection,
    (partner, repair): (PartnerId, GapId),
    most: i64,
) -> Result<Vec<Listed>> {
    let left = sqlx::query_as!(
        Listed,
        "select order_id, unknown_since from gap_repair_order
         where partner_id = $1 and repair_id = $2
           and not exists (select from erasure e where e.partner_id = $1 and e.order_id = gap_repair_order.order_id)
         order by tries, order_id limit $3",
        partner as _,
        repair as _,
        most,
    );
    Ok(left.fetch_all(conn).await?)
}
