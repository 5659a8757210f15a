//! What Postgres spends on which statements: how often for each event or delivery, and how long planning and executing
//! take.

use sqlx::PgPool;

/// How many are printed, the most expensive first.
const MOST: i64 = 16;

/// How much of a statement is printed.
const WIDTH: usize = 60;

/// Forgets what was counted so far.
pub(crate) async fn begin(pool: &PgPool) -> anyhow::Result<()> {
    let begin = "create extension if not exists pg_stat_statements; select pg_stat_statements_reset()";
    sqlx::raw_sql(begin).execute(pool).await?;
    Ok(())
}

/// Prints what was counted since. `count`: how many things were handled.
pub(crate) async fn print(pool: &PgPool, count: usize) -> anyhow::Result<()> {
    let rows: Vec<(String, i64, f64, f64, f64)> = sqlx::query_as(
        "select query, calls, total_plan_time, total_exec_time, wal_bytes::float8
         from pg_stat_statements s join pg_database d on d.oid = s.dbid and d.datname = current_database()
         where query not like '%pg_stat_statements%'
         order by total_plan_time + total_exec_time desc limit $1",
    )
    .bind(MOST)
    .fetch_all(pool)
    .await?;
    println!("  {:>10} {:>9} {:>9} {:>9}", "calls each", "plan ms", "run ms", "WAL each");
    for (query, calls, planned, executed, wal) in rows {
        let words: Vec<&str> = query.split_whitespace().collect();
        let start: String = words.join(" ").chars().take(WIDTH).collect();
        #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark")]
        let (calls, count) = (calls as f64, count as f64);
        println!(
            "  {:>10.4} {:>9.3} {:>9.3} {:>9.0} {start}",
            calls / count,
            planned / calls,
            executed / calls,
            wal / count
        );
    }
    Ok(())
}
