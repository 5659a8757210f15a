//! Table `erasure`, and the erasing itself: everything that is known of one order, wherever it stands.
//!
//! What was heard of it before and still waits on disk for the database is forgotten when its turn comes.
//! Does not reach: copies that receivers were sent, and backups. What Transak sends of the order afterwards is a new order.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Result;
use crate::model::id::{ErasureId, PartnerId};
use crate::model::token::TokenHash;

/// Erases an order and writes down that it was. `false`: there is no such order.
pub async fn erase(
    conn: &mut PgConnection,
    (partner_id, order_id): (PartnerId, &str),
    by: TokenHash,
) -> Result<bool> {
    let erased = sqlx::query_file_scalar!(
        "src/store/erasure.sql",
        partner_id as _,
        order_id,
        ErasureId::new().uuid(),
        by.0.as_slice(),
        &traces(order_id) as &[Vec<u8>],
    );
    Ok(erased.fetch_one(conn).await? > 0)
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

/// What an order's id looks like inside of a message: as it is, and in base64 at each of the three places where a group
/// may begin.
fn traces(order_id: &str) -> Vec<Vec<u8>> {
    let bytes = order_id.as_bytes();
    let encoded = (0..3).filter_map(|skipped| {
        let rest = bytes.get(skipped..)?;
        let whole = &rest[..rest.len() / 3 * 3];
        // Shorter ones are in messages that have nothing to do with the order.
        (whole.len() >= 9).then(|| URL_SAFE_NO_PAD.encode(whole).into_bytes())
    });
    std::iter::once(bytes.to_vec()).chain(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_found_in_a_signed_message_wherever_its_id_begins() {
        let id = "aa39d8e1-0000-4000-8000-00000000ce7f";
        for padding in ["", "x", "xx", "xxx"] {
            let message = URL_SAFE_NO_PAD.encode(format!(r#"{{"a":"{padding}","id":"{id}","status":"X"}}"#));
            let found = traces(id).iter().any(|trace| {
                message.as_bytes().windows(trace.len()).any(|window| window == trace.as_slice())
            });
            assert!(found, "{message}");
        }
    }
}
