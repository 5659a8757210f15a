//! What all processes heard together, as the one that looks for gaps reads it, and the gaps that it writes.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::coverage::{Changes, Term};
use crate::model::id::{GapId, PartnerId};
use crate::store::Result;

/// A term and whose it is.
#[derive(Debug, Clone)]
pub struct TermRow {
    pub id: i64,
    pub partner: PartnerId,
    pub channel: String,
    pub term: Term,
}

/// A subscription, with what is known of its connection.
#[derive(Debug, Clone)]
pub struct SubscriptionRow {
    pub partner: PartnerId,
    pub channel: String,
    pub confirmed_at: DateTime<Utc>,
    pub proven_at: DateTime<Utc>,
    /// The sooner of its own end and its connection's.
    pub ended_at: Option<DateTime<Utc>>,
    pub reason: Option<String>,
}

/// A connection that is not over, and its owner.
#[derive(Debug, Clone, Copy)]
pub struct Owner {
    pub listener: Uuid,
    pub renewed_at: DateTime<Utc>,
    /// Its session with Postgres is there.
    pub has_session: bool,
}

/// Everything there is to judge by.
#[derive(Debug, Default)]
pub struct Survey {
    pub terms: Vec<TermRow>,
    /// Each with its connection's owner.
    pub subscriptions: Vec<(SubscriptionRow, Owner)>,
    /// The owners of connections that are not over.
    pub owners: Vec<Owner>,
    /// When the gap that is open began, by partner.
    pub open: HashMap<PartnerId, DateTime<Utc>>,
}

/// Takes the right to write gaps until the transaction ends; `false` if another process has it.
pub async fn take_turn(conn: &mut PgConnection) -> Result<bool> {
    let taken = sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock(lock_key('coverage')) as "taken!""#);
    Ok(taken.fetch_one(conn).await?)
}

/// Reads everything there is to judge by.
pub async fn read(conn: &mut PgConnection) -> Result<Survey> {
    // Subscriptions first: what is confirmed meanwhile belongs to a term that is read after it.
    let (subscriptions, owners) = (subscriptions(conn).await?, owners(conn).await?);
    let terms = terms(conn).await?;
    let rows = sqlx::query!(
        r#"select partner_id as "partner_id: PartnerId", started_at from gap where ended_at is null"#
    );
    let open = rows.fetch_all(conn).await?.into_iter().map(|row| (row.partner_id, row.started_at));
    Ok(Survey { terms, subscriptions, owners, open: open.collect() })
}

async fn terms(conn: &mut PgConnection) -> Result<Vec<TermRow>> {
    let rows = sqlx::query!(
        r#"select stream_term_id, partner_id as "partner_id: PartnerId", channel, began_at, ended_at, follows, decided_until
           from stream_term order by partner_id, began_at, stream_term_id"#
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| TermRow {
        id: row.stream_term_id,
        partner: row.partner_id,
        channel: row.channel,
        term: Term {
            began: row.began_at,
            ended: row.ended_at,
            follows: row.follows,
            decided: row.decided_until,
        },
    });
    Ok(rows.collect())
}

async fn subscriptions(conn: &mut PgConnection) -> Result<Vec<(SubscriptionRow, Owner)>> {
    let rows = sqlx::query!(
        r#"with held as materialized (
               select classid::bigint << 32 | objid::bigint as key from pg_locks
               where locktype = 'advisory' and granted and objsubid = 1
                 and database = (select oid from pg_database where datname = current_database())
           )
           select partner_id as "partner_id: PartnerId", channel, confirmed_at, proven_at,
                  least(s.ended_at, c.ended_at) as ended_at, coalesce(s.reason, c.reason) as reason,
                  listener_id, renewed_at, lock_key('listener/' || listener_id) in (select key from held) as "has_session!"
           from stream_subscription s join stream_connection c using (stream_connection_id)
           order by confirmed_at"#
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| {
        let subscription = SubscriptionRow {
            partner: row.partner_id,
            channel: row.channel,
            confirmed_at: row.confirmed_at,
            proven_at: row.proven_at,
            ended_at: row.ended_at,
            reason: row.reason,
        };
        let owner =
            Owner { listener: row.listener_id, renewed_at: row.renewed_at, has_session: row.has_session };
        (subscription, owner)
    });
    Ok(rows.collect())
}

async fn owners(conn: &mut PgConnection) -> Result<Vec<Owner>> {
    let rows = sqlx::query!(
        r#"select listener_id, renewed_at,
                  exists (select from pg_locks
                          where locktype = 'advisory' and granted and objsubid = 1
                            and classid::bigint << 32 | objid::bigint = lock_key('listener/' || listener_id)
                            and database = (select oid from pg_database where datname = current_database()))
                      as "has_session!"
           from stream_connection where ended_at is null"#
    );
    let rows = rows.fetch_all(conn).await?.into_iter().map(|row| Owner {
        listener: row.listener_id,
        renewed_at: row.renewed_at,
        has_session: row.has_session,
    });
    Ok(rows.collect())
}

/// Changes a partner's gaps. Each that is added comes with the reason for it.
pub async fn change_gaps(
    conn: &mut PgConnection,
    partner: PartnerId,
    (changes, reasons): (&Changes, &[String]),
) -> Result<()> {
    if let Some((from, to)) = changes.close {
        close_gap(conn, partner, (from, to)).await?;
    }
    if let Some(from) = changes.widen {
        let widened = sqlx::query!(
            "update gap set started_at = least(started_at, $2) where partner_id = $1 and ended_at is null",
            partner as _,
            from,
        );
        widened.execute(&mut *conn).await?;
    }
    for (hole, reason) in changes.add.iter().zip(reasons) {
        add_gap(conn, partner, (hole.from, hole.to, reason)).await?;
    }
    Ok(())
}

async fn close_gap(
    conn: &mut PgConnection,
    partner: PartnerId,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
) -> Result<()> {
    let closed = sqlx::query!(
        "update gap
         set started_at = least(started_at, $2), ended_at = greatest(started_at, $3), next_repair_at = now()
         where partner_id = $1 and ended_at is null",
        partner as _,
        from,
        to,
    );
    closed.execute(conn).await?;
    Ok(())
}

/// Writes down a span in which a partner was not heard, or in which what was heard of it could not be kept.
pub async fn add_gap(
    conn: &mut PgConnection,
    partner: PartnerId,
    (from, to, reason): (DateTime<Utc>, Option<DateTime<Utc>>, &str),
) -> Result<()> {
    // A process of the version before may have opened one meanwhile.
    let added = sqlx::query!(
        "insert into gap (partner_id, gap_id, started_at, ended_at, reason) values ($1, $2, $3, $4, $5)
         on conflict (partner_id) where ended_at is null
         do update set started_at = least(gap.started_at, excluded.started_at)",
        partner as _,
        GapId::new() as _,
        from,
        to,
        reason,
    );
    added.execute(conn).await?;
    Ok(())
}

/// Writes down how far terms are judged.
pub async fn decided(conn: &mut PgConnection, (terms, until): (&[i64], &[DateTime<Utc>])) -> Result<()> {
    let written = sqlx::query!(
        "update stream_term set decided_until = greatest(decided_until, until)
         from unnest($1::bigint[], $2::timestamptz[]) as judged (id, until) where stream_term_id = id",
        terms,
        until,
    );
    written.execute(conn).await?;
    Ok(())
}

/// Deletes what nothing is judged by any more. A connection that is not over goes as a whole, so that an owner that was
/// only cut off notices and writes it anew.
pub async fn prune(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!("delete from stream_term where ended_at <= decided_until").execute(&mut *conn).await?;
    sqlx::query!(
        "delete from stream_subscription s using stream_connection c
         where c.stream_connection_id = s.stream_connection_id and least(s.ended_at, c.ended_at) is not null
           and not exists (
               select from stream_term t where t.partner_id = s.partner_id and t.channel = s.channel
                 and t.decided_until < least(s.ended_at, c.ended_at))"
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "delete from stream_connection c
         where (c.ended_at <= c.proven_at or c.renewed_at < $1::timestamptz - interval '1 min')
           and not exists (
               select from stream_subscription s
               join stream_term t on t.partner_id = s.partner_id and t.channel = s.channel
               where s.stream_connection_id = c.stream_connection_id
                 and t.decided_until < coalesce(least(s.ended_at, c.ended_at), c.proven_at))",
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
