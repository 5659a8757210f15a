//! Migrating beside others who use the tables.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, PgPool, SqlSafeStr as _};
use transak_relay::store::migration;
use transak_relay::store::pool::MIGRATOR;

/// One more migration, which wants the strongest lock on a table that everybody reads.
fn release() -> Migrator {
    let sql = AssertSqlSafe("alter table event add column of_a_later_release integer").into_sql_str();
    let one = Migration::new(9_001, Cow::Borrowed("later"), MigrationType::Simple, sql, false);
    let mut migrator = Migrator::with_migrations(vec![one]);
    migrator.set_ignore_missing(true);
    migrator
}

async fn somebody_waits(pool: &PgPool) -> bool {
    let waits = "select exists (select from pg_locks where not granted and relation = 'event'::regclass)";
    sqlx::query_scalar(waits).fetch_one(pool).await.unwrap()
}

/// Reads the table until so many attempts to lock it have been given up; the longest that a read took.
async fn neighbour(pool: &PgPool, given_up: usize) -> Duration {
    let (mut seen, mut waits, mut longest) = (0, false, Duration::ZERO);
    while seen < given_up {
        let began = Instant::now();
        sqlx::query("select from event limit 1").fetch_optional(pool).await.unwrap();
        longest = longest.max(began.elapsed());
        let before = std::mem::replace(&mut waits, somebody_waits(pool).await);
        // The read itself stood in the queue while somebody waited, so it has been given up by now.
        seen += usize::from((before && !waits) || began.elapsed() > Duration::from_millis(500));
    }
    longest
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_migration_gives_up_a_lock_after_a_second_lets_others_pass_and_comes_again(pool: PgPool) {
    let mut dump = pool.begin().await.unwrap();
    sqlx::query("lock table event in access share mode").execute(&mut *dump).await.unwrap();
    let release = release();
    let migrating = migration::run(&pool, &release);
    tokio::pin!(migrating);
    let longest = tokio::select! {
        done = &mut migrating => panic!("it did not wait: {done:?}"),
        longest = tokio::time::timeout(Duration::from_mins(1), neighbour(&pool, 2)) => longest.unwrap(),
    };
    assert!(longest < Duration::from_secs(2), "a neighbour waited for {longest:?}");
    dump.rollback().await.unwrap();
    migrating.await.unwrap();
    sqlx::query("select of_a_later_release from event").fetch_optional(&pool).await.unwrap();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_migration_that_waits_for_its_turn_holds_nothing_and_takes_it(pool: PgPool) {
    let (release, other) = (release(), release());
    let both = tokio::join!(migration::run(&pool, &release), migration::run(&pool, &other));
    both.0.unwrap();
    both.1.unwrap();
    let applied = "select count(*) from _sqlx_migrations where version = 9001";
    assert_eq!(sqlx::query_scalar::<_, i64>(applied).fetch_one(&pool).await.unwrap(), 1);
}
