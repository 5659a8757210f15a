//! Table `watch`: public channels that partners asked to be subscribed to.
//!
//! Every change tells the other processes, when its transaction commits, to look again.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::list::Page;
use super::{Result, wake};
use crate::model::channel::key_parts;
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

/// Whether a partner may watch a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Yes,
    /// It is, or begins with, the API key of a partner who has, or had, it; or it is the watcher's own.
    ApiKey,
    /// The partner watches as many other channels as it may.
    Full,
}

/// Says whether a partner may watch a channel, `most` being the most channels that it may watch at once.
///
/// Locks the partner's row, so that of two requests the second counts the watch of the first.
pub async fn admit(
    conn: &mut PgConnection,
    (partner, channel): (PartnerId, &str),
    most: u32,
) -> Result<Admission> {
    let locked = sqlx::query!("select from partner where partner_id = $1 for no key update", partner as _);
    locked.execute(&mut *conn).await?;
    let parts: Vec<&str> = key_parts(channel).collect();
    let found = sqlx::query!(
        r#"select exists (select from partner where api_key = $2)
               or (exists (select from partner where api_key = any ($3) and partner_id <> $1)
                   and not exists (select from partner where api_key = any ($3) and partner_id = $1)) as "is_key!",
                  (select count(*) from (
                       select from watch where partner_id = $1 and ended_at is null and channel <> $2
                       limit $4) as other) as "others!""#,
        partner as _,
        channel,
        &parts as &[&str],
        i64::from(most),
    );
    let found = found.fetch_one(conn).await?;
    Ok(match found {
        _ if found.is_key => Admission::ApiKey,
        _ if found.others >= i64::from(most) => Admission::Full,
        _ => Admission::Yes,
    })
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

/// Ends the watches of other partners that name the channels of an API key, now that it is this partner's.
pub async fn end_on_key(conn: &mut PgConnection, (partner, api_key): (PartnerId, &str)) -> Result<()> {
    sqlx::query!(
        "update watch set ended_at = now()
         where ended_at is null
           and (channel = $2 or (partner_id <> $1 and starts_with(channel, $2 || '_')))",
        partner as _,
        api_key,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends the watches of a partner.
pub async fn end_all(conn: &mut PgConnection, partner: PartnerId) -> Result<()> {
    sqlx::query!(
        "update watch set ended_at = now() where partner_id = $1 and ended_at is null",
        partner as _
    )
    .execute(conn)
    .await?;
    Ok(())
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
