//! Table `watch`: public channels that partners asked to be subscribed to.
//!
//! Every change tells the other processes, when its transaction commits, to look again.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::list::Page;
use super::{Result, wake};
use crate::model::id::{PartnerId, WatchId};

/// A watch.
#[derive(Debug, Clone)]
pub struct Watch {
    pub watch_id: WatchId,
    pub partner_id: PartnerId,
    pub order_id: Option<String>,
    pub partner_order_id: Option<String>,
    pub channel: String,
    pub created_at: DateTime<Utc>,
    /// When its order was over, or somebody ended it.
    pub ended_at: Option<DateTime<Utc>>,
}

/// What is to be watched.
#[derive(Debug)]
pub enum Subject {
    Order(String),
    PartnerOrder(String),
}

/// Watches a channel; a channel that is watched already stays so. Answers the watch.
pub async fn insert(
    conn: &mut PgConnection,
    partner: PartnerId,
    (subject, channel): (&Subject, &str),
) -> Result<Watch> {
    let (order, partner_order) = match subject {
        Subject::Order(id) => (Some(id.as_str()), None),
        Subject::PartnerOrder(id) => (None, Some(id.as_str())),
    };
    let row = sqlx::query_as!(
        Watch,
        r#"insert into watch (partner_id, watch_id, order_id, partner_order_id, channel) values ($1, $2, $3, $4, $5)
           on conflict (partner_id, channel) where ended_at is null do update set channel = excluded.channel
           returning watch_id as "watch_id: _", partner_id as "partner_id: _", order_id, partner_order_id, channel,
                     created_at, ended_at"#,
        partner as _,
        WatchId::new() as _,
        order,
        partner_order,
        channel,
    );
    let watch = row.fetch_one(&mut *conn).await?;
    wake::partners(conn).await?;
    Ok(watch)
}

/// The watches of some partners, newest first.
pub async fn list(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    page: &Page<WatchId>,
) -> Result<Vec<Watch>> {
    let rows = sqlx::query_as!(
        Watch,
        r#"select watch_id as "watch_id: _", partner_id as "partner_id: _", order_id, partner_order_id, channel,
                  created_at, ended_at
           from watch
           where partner_id = any($1) and ($2::uuid is null or watch_id < $2)
           order by watch_id desc limit $3"#,
        partners as _,
        page.after as _,
        page.limit,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Ends a watch. `false`: there is none, or not of this partner.
pub async fn end(conn: &mut PgConnection, partners: &[PartnerId], watch: WatchId) -> Result<bool> {
    let ended = sqlx::query!(
        "update watch set ended_at = coalesce(ended_at, now())
         where watch_id = $1 and partner_id = any($2)",
        watch as _,
        partners as _,
    );
    let ended = ended.execute(&mut *conn).await?.rows_affected() > 0;
    wake::partners(conn).await?;
    Ok(ended)
}

/// Ends the watches whose orders are over.
pub async fn end_finished(conn: &mut PgConnection) -> Result<()> {
    sqlx::query!(
        r#"update watch set ended_at = now()
           from "order" as known
           where watch.ended_at is null and known.partner_id = watch.partner_id
             and (known.order_id = watch.order_id or known.partner_order_id = watch.partner_order_id)
             and known.status in ('COMPLETED', 'REFUNDED', 'FAILED', 'EXPIRED', 'CANCELLED')"#
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Every channel that is watched.
pub async fn channels(conn: &mut PgConnection) -> Result<Vec<(PartnerId, String)>> {
    let rows = sqlx::query!(
        r#"select partner_id as "partner_id: PartnerId", channel from watch where ended_at is null
           order by partner_id, channel"#
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.partner_id, row.channel)).collect())
}
