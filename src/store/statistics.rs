//! What Postgres knows of the tables on the hot path when it plans.

use sqlx::{AssertSqlSafe, PgPool};

use super::Result;

/// Gathers statistics of those tables that are four times as large as when that was last done, and answers how many they
/// were.
///
/// Autovacuum does the same, but looks only once a minute. Until then a connection keeps the plans it made for tables
/// that were empty, where every index looks as good as the right one.
pub async fn renew(pool: &PgPool) -> Result<usize> {
    let grown = sqlx::query_scalar!(
        r#"select c.oid::regclass::text as "table_name!"
           from pg_class c left join pg_inherits on inhrelid = c.oid
           where coalesce(inhparent, c.oid) = any (array['event', '"order"', 'delivery', 'sighting', 'attempt', 'payload']::regclass[])
             and c.relkind = 'r'
             and pg_relation_size(c.oid) > 8192 * 4 * greatest(c.relpages, 4)::bigint"#,
    );
    let grown = grown.fetch_all(pool).await?;
    for table in &grown {
        // Whoever else is at it, autovacuum or another process, makes this one unnecessary.
        sqlx::raw_sql(AssertSqlSafe(format!("analyze (skip_locked) {table}"))).execute(pool).await?;
    }
    Ok(grown.len())
}
