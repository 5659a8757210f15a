//! Sessions that the server has ended: by an administrator, by a time-out of its own, by a restart. Nobody knows until
//! such a session is next used.
//!
//! Guarantees: what is done here is tried on another session then. Nothing is repeated that the server may have done.

use sqlx::{PgPool, Postgres, Transaction};

use super::{Error, Result};

/// As many sessions may have been ended at once, and each is found out by trying it.
const MOST: usize = 64;

/// Reads something, on another session if that of the first attempt had been ended.
///
/// # Errors
/// Those of the read.
pub async fn again<T, F: Future<Output = Result<T>>>(mut attempt: impl FnMut() -> F) -> Result<T> {
    for _ in 1..MOST {
        match attempt().await {
            Err(error) if error.is_session_ended() => {}
            done => return done,
        }
    }
    attempt().await
}

/// Begins a transaction. Nothing of it was sent before.
///
/// # Errors
/// The database is not available.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>> {
    again(|| async { Ok(pool.begin().await?) }).await
}

/// Commits. Should the session end just then, nobody knows whether it was done: `Unsettled`.
///
/// # Errors
/// The database is not available, or refuses what was written.
pub async fn commit(tx: Transaction<'static, Postgres>) -> Result<()> {
    tx.commit().await.map_err(|error| Error::from(error).unsettled())
}
