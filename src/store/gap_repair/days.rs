//! Table `gap_repair_days`: which days of Transak's lists of orders a repair has read, or how far.

use sqlx::PgConnection;
use sqlx::types::Json;

use crate::model::id::{GapId, PartnerId};
use crate::model::order::Product;
use crate::model::pages::Place;
use crate::model::reconcile::Dates;
use crate::store::Result;

/// One list: the orders of some days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List {
    pub product: Product,
    pub days: Dates,
}

/// How far a list was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// To this place: everything before was read, and all of it could be.
    Place(Place),
    /// To the end.
    Whole,
}

/// The lists that a repair has begun or done.
pub async fn reached(
    conn: &mut PgConnection,
    partner: PartnerId,
    repair: GapId,
) -> Result<Vec<(List, Reached)>> {
    let rows = sqlx::query!(
        r#"select product as "product: Product", first_day, last_day, whole, place as "place: Json<Place>"
           from gap_repair_days where partner_id = $1 and repair_id = $2"#,
        partner as _,
        repair as _,
    );
    let lists = rows.fetch_all(conn).await?.into_iter().filter_map(|row| {
        let list = List { product: row.product, days: (row.first_day, row.last_day) };
        let reached = if row.whole { Reached::Whole } else { Reached::Place(row.place?.0) };
        Some((list, reached))
    });
    Ok(lists.collect())
}

/// Writes down how far a list was read.
pub async fn reach(
    conn: &mut PgConnection,
    (partner, repair): (PartnerId, GapId),
    list: List,
    reached: &Reached,
) -> Result<()> {
    let place = match reached {
        Reached::Place(place) => Some(Json(place)),
        Reached::Whole => None,
    };
    sqlx::query!(
        "insert into gap_repair_days (partner_id, repair_id, product, first_day, last_day, whole, place)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict on constraint gap_repair_days_pkey
         do update set whole = excluded.whole, place = excluded.place",
        partner as _,
        repair as _,
        list.product as _,
        list.days.0,
        list.days.1,
        *reached == Reached::Whole,
        place as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
