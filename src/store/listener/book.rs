//! Tables `stream_connection` and `stream_subscription`, as the process that hears writes them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::coverage::logbook::{Connection, Entries, Subscription};
use crate::store::Result;

/// Writes what a process hears; what was written before is written again without harm. Answers the connections that the
/// table had not known.
pub async fn write(
    conn: &mut PgConnection,
    (listener, now): (Uuid, DateTime<Utc>),
    entries: &Entries,
) -> Result<Vec<Uuid>> {
    let inserted = renew(conn, (listener, now), &entries.connections).await?;
    if !entries.subscriptions.is_empty() {
        write_subscriptions(conn, &entries.subscriptions).await?;
    }
    Ok(inserted)
}

async fn renew(
    conn: &mut PgConnection,
    (listener, now): (Uuid, DateTime<Utc>),
    connections: &[Connection],
) -> Result<Vec<Uuid>> {
    let column = |pick: fn(&Connection) -> DateTime<Utc>| connections.iter().map(pick).collect::<Vec<_>>();
    let rows = sqlx::query!(
        r#"insert into stream_connection (stream_connection_id, listener_id, slot, opened_at, proven_at, renewed_at,
                                         ended_at, reason)
           select id, $1, slot, opened_at, proven_at, $2, ended_at, reason
           from unnest($3::uuid[], $4::int[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[], $8::text[])
               as noted (id, slot, opened_at, proven_at, ended_at, reason)
           on conflict on constraint stream_connection_pkey do update
           set proven_at = greatest(stream_connection.proven_at, excluded.proven_at), renewed_at = excluded.renewed_at,
               ended_at = excluded.ended_at, reason = excluded.reason
           returning stream_connection_id, xmax = 0 as "inserted!""#,
        listener,
        now,
        &connections.iter().map(|one| one.id).collect::<Vec<_>>(),
        &connections.iter().map(|one| one.slot).collect::<Vec<_>>(),
        &column(|one| one.opened_at),
        &column(|one| one.proven_at),
        &connections.iter().map(|one| one.ended_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &connections.iter().map(|one| one.reason.clone()).collect::<Vec<_>>() as &[Option<String>],
    );
    let rows = rows.fetch_all(conn).await?;
    Ok(rows.into_iter().filter(|row| row.inserted).map(|row| row.stream_connection_id).collect())
}

async fn write_subscriptions(conn: &mut PgConnection, subscriptions: &[Subscription]) -> Result<()> {
    let written = sqlx::query!(
        "insert into stream_subscription (stream_connection_id, partner_id, channel, confirmed_at, ended_at, reason)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[])
         on conflict on constraint stream_subscription_pkey do update
         set ended_at = excluded.ended_at, reason = excluded.reason",
        &subscriptions.iter().map(|one| one.connection).collect::<Vec<_>>(),
        &subscriptions.iter().map(|one| one.partner.uuid()).collect::<Vec<_>>(),
        &subscriptions.iter().map(|one| one.channel.to_string()).collect::<Vec<_>>(),
        &subscriptions.iter().map(|one| one.confirmed_at).collect::<Vec<_>>(),
        &subscriptions.iter().map(|one| one.ended_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &subscriptions.iter().map(|one| one.reason.clone()).collect::<Vec<_>>() as &[Option<String>],
    );
    written.execute(conn).await?;
    Ok(())
}
