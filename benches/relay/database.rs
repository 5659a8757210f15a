//! A database of its own for each run, on a server that waits for the disk.

use std::str::FromStr as _;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use transak_relay::sandbox::postgres::{Options, Postgres};
use url::Url;

/// The server.
pub(crate) struct Server {
    postgres: Postgres,
    admin: PgPool,
    /// The process that all others of the server come from.
    pub(crate) pid: u32,
    made: usize,
}

/// One database.
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) pool: PgPool,
    name: String,
}

impl Server {
    /// `counts_statements`: for looking into, not for measuring.
    pub(crate) async fn start(counts_statements: bool) -> anyhow::Result<Self> {
        let options = Options { max_connections: 200, counts_statements, ..Options::default() };
        let postgres = Postgres::temporary(options).await?;
        let admin = pool(postgres.url().expose_secret()).await?;
        let settings: (String, String, String) = sqlx::query_as(
            "select current_setting('fsync'), current_setting('synchronous_commit'),
                    pg_read_file('postmaster.pid')",
        )
        .fetch_one(&admin)
        .await?;
        anyhow::ensure!(
            (&*settings.0, &*settings.1) == ("on", "on"),
            "this Postgres does not wait for the disk"
        );
        let pid = settings.2.lines().next().and_then(|line| line.parse().ok()).context("no process id")?;
        Ok(Self { postgres, admin, pid, made: 0 })
    }

    /// An empty database.
    pub(crate) async fn fresh(&mut self) -> anyhow::Result<Database> {
        self.made += 1;
        let name = format!("bench_{}", self.made);
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name}"))).execute(&self.admin).await?;
        let mut url = Url::parse(self.postgres.url().expose_secret())?;
        url.set_path(&name);
        Ok(Database { pool: pool(url.as_str()).await?, url: url.into(), name })
    }

    pub(crate) async fn drop(&self, database: Database) -> anyhow::Result<()> {
        database.pool.close().await;
        let drop = format!("drop database {} with (force)", database.name);
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&self.admin).await?;
        // What this run left to write must not be written during the next.
        sqlx::raw_sql("checkpoint").execute(&self.admin).await?;
        Ok(())
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.admin.close().await;
        self.postgres.stop().await
    }
}

async fn pool(url: &str) -> anyhow::Result<PgPool> {
    let options = PgConnectOptions::from_str(url)?.application_name("benchmark");
    Ok(PgPoolOptions::new().max_connections(8).connect_with(options).await?)
}
