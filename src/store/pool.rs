//! Connecting, and the conditions under which this program agrees to work with a database.

use std::time::Duration;

use anyhow::{Context as _, bail};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, PgPool};

use super::session::KEPT_ALIVE;
use super::silence::{FRESH, Silence};
use super::{Result, again, connecting, migration};

/// The schema, embedded in the binary.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// The oldest release whose SQL is used here (`unique nulls not distinct`).
const OLDEST_SERVER: i32 = 150_000;

/// How long a caller waits for a free connection before it is told that the database is not available.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The error of a statement about a table that is not there.
const NO_SUCH_TABLE: &str = "42P01";

/// How often a process that does not migrate looks whether somebody else has.
const LOOK: Duration = Duration::from_secs(1);

/// How statements are planned on every connection of a pool.
///
/// Every statement that runs often finds its rows by an index. While tables are small, Postgres would rather read them
/// whole, and a connection keeps the plan it made then while they grow, until statistics are next gathered: in the first
/// minute of a busy database that costs more than everything else. Compiling statements, which it would do for what it
/// thinks is expensive, takes longer than any of these runs. See ADR 7.
pub(super) const PLANNING: &str =
    "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; set jit = off";

/// What a statement, a lock and a pause within a transaction may take: what is stuck must not keep others waiting, not
/// even if this process is frozen in the middle.
const BOUNDED: &str = "set statement_timeout = '30s'; set lock_timeout = '2s'; \
    set idle_in_transaction_session_timeout = '15s'";

/// The options of every pool of the relay.
///
/// A server that is gone without a word is noticed by the first who waits for it, and costs nobody else a wait.
pub fn pool_options() -> PgPoolOptions {
    let (before, after) = Silence::pair();
    PgPoolOptions::new()
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(|conn, _| Box::pin(async move { prepare(conn, BOUNDED).await }))
        .before_acquire(move |conn, known| {
            let silence = before.clone();
            Box::pin(async move { Ok(known.idle_for < FRESH || silence.answers(conn, known.age).await) })
        })
        .after_release(move |conn, known| {
            let silence = after.clone();
            Box::pin(async move { Ok(silence.answers(conn, known.age).await) })
        })
}

/// Prepares a new connection, all at once: while many are opened, each word and answer counts.
async fn prepare(conn: &mut PgConnection, bounded: &str) -> sqlx::Result<()> {
    conn.execute(AssertSqlSafe(format!("{PLANNING}; {bounded}; {KEPT_ALIVE}"))).await?;
    Ok(())
}

/// What a statement of the interface may take: whoever asks is told that it was too much, and nobody else notices.
const FOR_REQUESTS: &str = "set statement_timeout = '8s'; set lock_timeout = '4s'; \
    set idle_in_transaction_session_timeout = '15s'";

/// A pool for requests beside one for everything else, to the same database and opened when it is first used: however
/// much is asked, what is heard and sent has connections of its own.
pub fn for_requests(pool: &PgPool, max_connections: u32) -> PgPool {
    let options = pool_options()
        .max_connections(max_connections)
        .after_connect(|conn, _| Box::pin(async move { prepare(conn, FOR_REQUESTS).await }));
    options.connect_lazy_with(pool.connect_options().as_ref().clone())
}

/// Opens a pool and checks the server's version and the database's encoding.
///
/// # Errors
/// One sentence that says what to do: the URL does not parse, nobody answers, the password is wrong, there is no such
/// database, the server is older than PostgreSQL 15, or the encoding is not UTF8.
pub async fn connect(url: &str, max_connections: u32) -> anyhow::Result<PgPool> {
    let options = connecting::options(url)?.application_name("transak-relay");
    let place = connecting::place(&options);
    let connected = pool_options().max_connections(max_connections).connect_with(options.clone()).await;
    let pool = match connected {
        Ok(pool) => pool,
        Err(error) => bail!(connecting::sentence(&error, &options)),
    };
    let server = server(&pool).await.with_context(|| format!("cannot ask Postgres at {place} what it is"))?;
    if server.version < OLDEST_SERVER {
        bail!("Postgres at {place} is version {}, but 15 or newer is needed", server.version / 10_000);
    }
    if server.encoding != "UTF8" {
        bail!(
            "the database {} at {place} is encoded in {}, but messages hold every character and need UTF8: create one with \
             `create database … encoding 'UTF8' template template0` and name it in DATABASE_URL",
            options.get_database().unwrap_or(options.get_username()),
            server.encoding,
        );
    }
    Ok(pool)
}

struct Server {
    version: i32,
    encoding: String,
}

async fn server(pool: &PgPool) -> sqlx::Result<Server> {
    sqlx::query_as!(
        Server,
        r#"select current_setting('server_version_num')::int as "version!",
                  current_setting('server_encoding') as "encoding!""#
    )
    .fetch_one(pool)
    .await
}

/// Brings the schema up to date, as [`migration`] says. Several processes may call it at once: they take turns.
///
/// # Errors
/// A newer program has migrated it already, or a migration fails.
pub async fn migrate(pool: &PgPool) -> anyhow::Result<()> {
    refuse_newer(pool).await?;
    migration::run(pool, &MIGRATOR).await
}

/// Waits until somebody else has brought the schema up to date.
///
/// # Errors
/// A newer program has migrated it already.
pub async fn wait_until_migrated(pool: &PgPool) -> anyhow::Result<()> {
    let mut told = false;
    loop {
        refuse_newer(pool).await?;
        match is_migrated(pool).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) if error.is_unavailable() => {}
            Err(error) => return Err(error).context("cannot see whether the database is migrated"),
        }
        if !told {
            tracing::warn!(
                "the database is not up to date: waiting for `transak-relay migrate` (RELAY_NO_MIGRATE)"
            );
            told = true;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A program does not know what a newer one has made of the schema.
async fn refuse_newer(pool: &PgPool) -> anyhow::Result<()> {
    let newest: sqlx::Result<Option<i64>> =
        sqlx::query_scalar("select max(version) from _sqlx_migrations").fetch_one(pool).await;
    let known = MIGRATOR.iter().map(|known| known.version).max().unwrap_or_default();
    // An error: it was never migrated, or it is gone, which the next statement will tell.
    match newest {
        Ok(Some(newest)) if newest > known => bail!(
            "the database was migrated by a newer transak-relay (it is at {newest}, this program knows {known}): \
             start that version or a newer one"
        ),
        _ => Ok(()),
    }
}

/// Whether the database has every migration this program knows; `false` also when it was never migrated.
///
/// # Errors
/// The database cannot say so: it is away, or refuses to be asked. That is no reason to migrate.
pub async fn is_migrated(pool: &PgPool) -> Result<bool> {
    Ok(look_at_schema(pool).await? == Schema::Whole)
}

/// How the tables of a database are, seen from this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Every migration has been made.
    Whole,
    /// Some have not been made.
    Behind,
    /// None has ever been made here, as far as can be seen. Who worked here before knows better: the tables are away, as
    /// they are while a dump is restored.
    Missing,
}

/// Looks which migrations have been made.
///
/// # Errors
/// As [`is_migrated`].
pub async fn look_at_schema(pool: &PgPool) -> Result<Schema> {
    let applied: Result<Vec<i64>> = again(|| async {
        Ok(sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(pool).await?)
    })
    .await;
    match applied {
        Ok(applied) if MIGRATOR.iter().all(|known| applied.contains(&known.version)) => Ok(Schema::Whole),
        Ok(_) => Ok(Schema::Behind),
        Err(error) if error.sqlstate().as_deref() == Some(NO_SUCH_TABLE) => Ok(Schema::Missing),
        Err(error) => Err(error),
    }
}
