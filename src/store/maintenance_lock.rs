//! Who maintains the database: one process at a time.
//!
//! An advisory lock of a session of its own. Postgres gives it back when the session ends, however the process died.

use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};

use super::pool::PLANNING;
use super::{Result, session};

/// Whatever somebody else has locked is tidied another time.
const BOUNDED: &str = "set lock_timeout = '2s'; set statement_timeout = '60s'";

/// The right to maintain, for as long as the session lives.
#[derive(Debug)]
pub struct Turn {
    session: PgConnection,
}

impl Turn {
    /// Takes the lock; `None` if another process has it.
    pub async fn take(pool: &PgPool) -> Result<Option<Self>> {
        let mut session = session::open(pool).await?;
        session.execute(PLANNING).await?;
        session.execute(BOUNDED).await?;
        let taken =
            sqlx::query_scalar!(r#"select pg_try_advisory_lock(lock_key('maintenance')) as "taken!""#);
        let taken = taken.fetch_one(&mut session).await?;
        Ok(taken.then_some(Self { session }))
    }

    /// The session that holds the lock: what is done in it is done by one process only.
    pub fn session(&mut self) -> &mut PgConnection {
        &mut self.session
    }

    /// Ends the session.
    pub async fn end(mut self) -> Result<()> {
        // Closing alone would give the lock back a moment later.
        sqlx::query!("select pg_advisory_unlock(lock_key('maintenance'))")
            .fetch_one(&mut self.session)
            .await?;
        Ok(self.session.close().await?)
    }
}
