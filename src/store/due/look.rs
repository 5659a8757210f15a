//! Looking who is due.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::id::{EndpointId, PartnerId};
use crate::model::queue::Place;
use crate::store::Result;
use crate::store::dispatcher::DispatcherId;

/// How many endpoints are looked at; more than a claim is for.
const MOST: i64 = 256;
/// How many of one partner, if there are more than that.
const OF_PARTNER: i64 = 16;

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    /// Endpoints that have something due, may be sent to, and are this dispatcher's or nobody's; the longest due first.
    pub due: Vec<Place>,
    /// Endpoints that have nothing due by now, or may not be sent to: to be [settled](settle).
    pub idle: Vec<Place>,
    /// Where to go on next time.
    pub after: Option<PartnerId>,
}

/// Looks who is due: as many as there are, or some of each partner, beginning `after` one.
///
/// Who was looked at and is due stands behind the others from then on, so that each has its turn. What costs something is
/// what is due; that others wait for their time costs nothing.
pub async fn look(
    conn: &mut PgConnection,
    dispatcher: DispatcherId,
    after: Option<PartnerId>,
) -> Result<Looked> {
    let after = after.map_or(Uuid::nil(), PartnerId::uuid);
    let rows = sqlx::query_file!("src/store/due/look.sql", dispatcher.0, MOST, OF_PARTNER, after);
    let rows = rows.fetch_all(conn).await?;
    let after = rows.iter().filter(|row| row.more).map(|row| row.partner_id).max();
    let mut looked = Looked { after, ..Looked::default() };
    for row in rows {
        match (row.due, row.takeable) {
            (true, true) => looked.due.push((row.partner_id, row.endpoint_id)),
            (true, false) => {}
            (false, _) => looked.idle.push((row.partner_id, row.endpoint_id)),
        }
    }
    Ok(looked)
}

/// Has endpoints that have nothing due looked at no more until they have. In a transaction of its own, which is short: who
/// makes a delivery of theirs due meanwhile waits for it.
pub async fn settle(tx: &mut PgConnection, idle: &[Place]) -> Result<()> {
    let (partners, endpoints): (Vec<Uuid>, Vec<Uuid>) =
        idle.iter().map(|(partner, endpoint)| (partner.uuid(), endpoint.uuid())).unzip();
    // What somebody relies on who has not committed stays.
    let locked = sqlx::query!(
        "select endpoint_due.partner_id, endpoint_due.endpoint_due_id
         from unnest($1::uuid[], $2::uuid[]) as given (partner_id, endpoint_id)
         join endpoint_due using (partner_id, endpoint_id)
         where endpoint_due.due_at <= now()
         for update of endpoint_due skip locked",
        &partners,
        &endpoints,
    );
    let locked = locked.fetch_all(&mut *tx).await?;
    let (partners, rows): (Vec<Uuid>, Vec<Uuid>) =
        locked.into_iter().map(|row| (row.partner_id, row.endpoint_due_id)).unzip();
    // Another statement, which sees what was committed until the locks were taken.
    sqlx::query_file!("src/store/due/settle.sql", &partners, &rows).execute(tx).await?;
    Ok(())
}
