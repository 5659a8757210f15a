//! Bringing the schema up to date while processes work on it.
//!
//! Guarantees: a migration waits for no lock longer than a second. It then gives up and holds nothing, so that whoever
//! queued behind it goes on, and is tried again after a pause. Several processes may do this at once: they take turns.
//! Does not guarantee: that a migration is quick once it has its locks. Which locks a release takes is in
//! docs/upgrade.md.

use std::time::Duration;

use anyhow::Context as _;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};
use tokio::time::Instant;

use super::error::is_lock_timeout;

/// How long a statement of a migration may wait for a lock. Every statement that wants a lock of the same table queues
/// behind it for so long.
const LOCK_TIMEOUT: &str = "set lock_timeout = '1s'";

/// The pause after the first attempt, and the longest: each is twice the one before.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long it is tried. Whoever holds a lock for longer must be looked at.
const PATIENCE: Duration = Duration::from_mins(10);

/// Applies every migration that is not applied yet.
///
/// # Errors
/// A migration fails, or a lock was not to be had for ten minutes.
pub async fn run(pool: &PgPool, migrator: &Migrator) -> anyhow::Result<()> {
    let (began, mut pause) = (Instant::now(), PAUSE);
    loop {
        let error = match attempt(pool, migrator).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if !is_in_the_way(&error) {
            return Err(error).context("cannot migrate the database");
        }
        anyhow::ensure!(
            began.elapsed() < PATIENCE,
            "cannot migrate the database: another session has held a lock on one of its tables for 10 minutes; end that \
             session (pg_stat_activity shows it: an open transaction, or a dump), then start again"
        );
        if pause == PAUSE {
            tracing::warn!(
                "another session holds a lock that a migration needs: it is tried again and again"
            );
        }
        tokio::time::sleep(pause.mul_f64(fastrand::f64() / 2.0 + 0.75)).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// In a session of its own, which ends with the attempt and with it every lock, also that by which processes take turns.
async fn attempt(pool: &PgPool, migrator: &Migrator) -> Result<(), MigrateError> {
    let mut session = PgConnection::connect_with(&pool.connect_options()).await?;
    session.execute(LOCK_TIMEOUT).await?;
    let applied = migrator.run(&mut session).await;
    session.close().await.ok();
    applied
}

fn is_in_the_way(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    let deadlock = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    is_lock_timeout(error) || deadlock.is_some_and(|code| code == "40P01")
}
