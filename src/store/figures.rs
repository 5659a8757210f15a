//! What is measured in the database itself, every few seconds, by each process.
//!
//! Guarantees: no statement's cost grows with the history. Backlogs are counted up to [`MOST_COUNTED`]; the rest is one
//! step along an index for each endpoint that has something due, small tables, and Postgres' own statistics.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Result;
use crate::model::id::PartnerId;

/// The most rows of a backlog that are counted: beyond it, it is just large.
pub const MOST_COUNTED: i64 = 100_000;

/// What is owed to endpoints.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    /// Deliveries that could be sent now, up to [`MOST_COUNTED`].
    pub due: i64,
    /// How long the oldest of them has been waiting.
    pub oldest_due_seconds: f64,
    /// For how long no dispatcher has looked at one of their endpoints.
    pub oldest_stuck_seconds: f64,
    /// Deliveries kept for disabled endpoints, up to [`MOST_COUNTED`].
    pub held: i64,
}

/// What of the stream was not heard or not understood, and which endpoints do not answer.
#[derive(Debug, Clone, Default)]
pub struct Troubles {
    pub quarantined: i64,
    /// Gaps that last.
    pub gaps_open: i64,
    /// How long they have lasted, together.
    pub gaps_open_seconds: f64,
    /// Gaps that are over and not repaired yet.
    pub gaps_unrepaired: i64,
    /// Endpoints by what they are doing: answering, failing, paused by their breaker, disabled.
    pub endpoints_answering: i64,
    pub endpoints_failing: i64,
    pub endpoints_paused: i64,
    pub endpoints_disabled: i64,
    /// Disabled ones for which something is held.
    pub endpoints_holding: i64,
    /// How long the oldest of it has been held.
    pub oldest_held_seconds: Option<f64>,
}

/// What Postgres says of itself.
#[derive(Debug, Clone, Default)]
pub struct Server {
    /// The size of the whole database.
    pub bytes: i64,
    /// Since when the oldest transaction has been open: while it is, nothing newer can be cleaned up.
    pub oldest_transaction_seconds: f64,
    /// Rows that landed in default partitions, by estimate. They should be few.
    pub default_partition_rows: i64,
}

/// The database's clock.
pub async fn clock(conn: &mut PgConnection) -> Result<DateTime<Utc>> {
    let now = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#);
    Ok(now.fetch_one(conn).await?)
}

/// What is owed, and for how long.
pub async fn queue(conn: &mut PgConnection) -> Result<Queue> {
    let row = sqlx::query_file_as!(Queue, "src/store/figures_queue.sql", MOST_COUNTED);
    Ok(row.fetch_one(conn).await?)
}

/// What is wrong.
pub async fn troubles(conn: &mut PgConnection) -> Result<Troubles> {
    let row = sqlx::query_file_as!(Troubles, "src/store/figures_troubles.sql", MOST_COUNTED);
    Ok(row.fetch_one(conn).await?)
}

/// What Postgres says of itself.
pub async fn server(conn: &mut PgConnection) -> Result<Server> {
    let row = sqlx::query_as!(
        Server,
        r#"select pg_database_size(current_database()) as "bytes!",
                  coalesce((select extract(epoch from now() - min(xact_start))::float8 from pg_stat_activity
                            where datname = current_database() and pid <> pg_backend_pid()
                              and backend_type = 'client backend'), 0) as "oldest_transaction_seconds!",
                  coalesce((select sum(n_live_tup)::bigint from pg_stat_user_tables
                            where relname like '%\_default'), 0) as "default_partition_rows!""#,
    );
    Ok(row.fetch_one(conn).await?)
}

/// Dead row versions by table, partitions together with the table they belong to.
pub async fn dead_rows(conn: &mut PgConnection) -> Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"select coalesce(parent.relname, s.relname)::text as "table_name!", sum(s.n_dead_tup)::bigint as "dead!"
           from pg_stat_user_tables s
           left join pg_inherits on inhrelid = s.relid
           left join pg_class parent on parent.oid = inhparent
           group by 1"#,
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.table_name, row.dead)).collect())
}

/// When the first of the partners' newest access tokens ends, as far as that is known.
pub async fn first_token_end(conn: &mut PgConnection) -> Result<Option<DateTime<Utc>>> {
    let first = sqlx::query_scalar!(
        r#"select min(expires_at)
           from (select distinct on (partner_id) expires_at
                 from access_token join partner using (partner_id)
                 where deleted_at is null
                 order by partner_id, access_token_id desc) as newest"#,
    );
    Ok(first.fetch_one(conn).await?)
}

/// Partners with something to be read from Transak's REST API and no access token to read it with.
pub async fn without_token(conn: &mut PgConnection) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from partner p
           where deleted_at is null
             and not exists (select from (select expires_at from access_token t where t.partner_id = p.partner_id
                                          order by t.access_token_id desc limit 1) as newest
                             where newest.expires_at is null or newest.expires_at > now())
             and (exists (select from gap g
                          where g.partner_id = p.partner_id and g.repaired_at is null and g.next_repair_at <= now())
                  or exists (select from "order" o where o.partner_id = p.partner_id and o.reconcile_at <= now()))"#,
    );
    Ok(count.fetch_one(conn).await?)
}

/// The partners that nobody hears right now, each with how long it has not been heard, in seconds.
pub async fn unheard(conn: &mut PgConnection) -> Result<Vec<(PartnerId, f64)>> {
    let rows = sqlx::query!(
        r#"select partner_id as "partner_id: PartnerId",
                  extract(epoch from now() - gap.started_at)::float8 as "seconds!"
           from gap join partner using (partner_id)
           where ended_at is null and deleted_at is null"#,
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.partner_id, row.seconds)).collect())
}
