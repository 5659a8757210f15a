//! The database as an installation has it: what is asked of the server itself, without changing anything.

use sqlx::{PgConnection, PgPool};

use super::Result;
use super::pool::MIGRATOR;

/// A server and one database of it.
#[derive(Debug, Clone)]
pub struct Server {
    /// As people say it: `16.4`.
    pub version: String,
    /// Of this database.
    pub encoding: String,
    /// What is committed is on disk.
    pub fsync: bool,
    /// `off`: a commit does not wait for its disk.
    pub synchronous_commit: String,
    /// Servers that follow this one.
    pub standbys: i64,
    /// Which of them a commit waits for; empty: none.
    pub synchronous_standbys: String,
}

/// Asks the server.
pub async fn server(conn: &mut PgConnection) -> Result<Server> {
    let row = sqlx::query_as!(
        Server,
        r#"select split_part(current_setting('server_version'), ' ', 1) as "version!",
                  current_setting('server_encoding') as "encoding!",
                  current_setting('fsync') = 'on' as "fsync!",
                  current_setting('synchronous_commit') as "synchronous_commit!",
                  (select count(*) from pg_stat_replication) as "standbys!",
                  current_setting('synchronous_standby_names') as "synchronous_standbys!""#
    );
    Ok(row.fetch_one(conn).await?)
}

/// How the schema compares with the one that this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// It is that one.
    Current,
    /// So many migrations are missing.
    Behind(usize),
    /// A newer program has migrated it, to this version.
    Newer(i64),
}

/// Compares.
pub async fn schema(pool: &PgPool) -> Schema {
    // An error: it was never migrated.
    let applied: Vec<i64> = sqlx::query_scalar("select version from _sqlx_migrations where success")
        .fetch_all(pool)
        .await
        .unwrap_or_default();
    let known: Vec<i64> = MIGRATOR.iter().map(|migration| migration.version).collect();
    let newest = known.iter().max().copied().unwrap_or_default();
    if let Some(newer) = applied.iter().max().filter(|version| **version > newest) {
        return Schema::Newer(*newer);
    }
    match known.iter().filter(|version| !applied.contains(version)).count() {
        0 => Schema::Current,
        missing => Schema::Behind(missing),
    }
}
