//! Sessions that stay with whoever uses them all the time.
//!
//! A connection that goes back to the pool is asked whether it still works, which costs as much as a small statement; and
//! a statement whose values are arrays is planned anew at each execution, which takes longer than most of them run. Here
//! the same few statements are executed again and again in one session, planned once. That the one plan stays right, on
//! an empty database as well as on a large one, is held by the tests of the hot path.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::{Executor as _, PgConnection, PgPool};

use super::Result;

/// Whoever works here waits for [`PATIENCE`] and longer; a statement that nobody waits for any more must not go on.
const PLANNED_ONCE: &str = "set plan_cache_mode = force_generic_plan; set statement_timeout = '4500ms'";

/// What a statement may take, and a little more.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A place for one session.
#[derive(Debug)]
pub struct Session {
    pool: PgPool,
    idle: Mutex<Option<PgConnection>>,
}

/// A session in use. It ends when this is dropped, as it does with a call that is given up half-way; it is kept for the
/// next call by [`InUse::keep`].
#[derive(Debug)]
pub struct InUse<'a> {
    conn: PgConnection,
    home: &'a Session,
}

impl Session {
    /// Opened when it is first used. It is one more than the pool's own.
    pub fn new(pool: PgPool) -> Self {
        Self { pool, idle: Mutex::default() }
    }

    /// The session that was kept, or a new one.
    pub async fn take(&self) -> Result<InUse<'_>> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let conn = if let Some(conn) = kept {
            conn
        } else {
            let mut conn = self.pool.acquire().await?.detach();
            conn.execute(PLANNED_ONCE).await?;
            conn
        };
        Ok(InUse { conn, home: self })
    }
}

impl InUse<'_> {
    /// Keeps the session for the next call. A transaction that was not committed is rolled back by then.
    pub fn keep(self) {
        *self.home.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.conn);
    }
}

impl Deref for InUse<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.conn
    }
}

impl DerefMut for InUse<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.conn
    }
}
