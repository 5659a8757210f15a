//! Sessions that stay with whoever uses them all the time.
//!
//! A connection that goes back to the pool is asked whether it still works, which costs as much as a small statement; and
//! a statement whose values are arrays is planned anew at each execution, which takes longer than most of them run. Here
//! the same few statements are executed again and again in one session, planned once. That the one plan stays right, on
//! an empty database as well as on a large one, is held by the tests of the hot path.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};

use super::{Error, Result, within};

/// Whoever works here waits for [`PATIENCE`] and longer; a statement that nobody waits for any more must not go on. Nor may
/// a lock that somebody does not let go keep everything else waiting, nor a transaction of ours that is frozen in the
/// middle keep others waiting.
const PLANNED_ONCE: &str = "set plan_cache_mode = force_generic_plan; set statement_timeout = '4500ms'; \
    set lock_timeout = '1s'; set idle_in_transaction_session_timeout = '5s'";

/// For those who try again and again what was locked.
const HURRIED: &str = "set lock_timeout = '100ms'";

/// How long opening a session may take.
const OPENING: Duration = Duration::from_secs(5);

/// The server ends a session whose client is gone without a word within half a minute, and gives its locks back.
pub(super) const KEPT_ALIVE: &str = "set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3; set tcp_user_timeout = 20000";

/// Whoever keeps a session for the lock that it holds says something in it every few seconds. If nothing comes for so long
/// its path is silent or its process frozen, and the server gives the lock to others.
const HOLDS_A_LOCK: &str = "set idle_session_timeout = '10s'";

/// By then the server has ended a session that holds a lock and from which nothing comes.
pub const SURELY_ENDED: Duration = Duration::from_secs(15);

/// What a statement may take, and a little more.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A place for one session.
#[derive(Debug)]
pub struct Session {
    pool: PgPool,
    idle: Mutex<Option<PgConnection>>,
    is_hurried: bool,
}

/// A session in use. It ends when this is dropped, as it does with a call that is given up half-way; it is kept for the
/// next call by [`InUse::keep`].
#[derive(Debug)]
pub struct InUse<'a> {
    conn: PgConnection,
    home: &'a Session,
}

/// Opens a session outside of the pool, for whoever keeps it for the lock that it is to hold: it counts as one more. It
/// ends when nothing is said in it for ten seconds.
pub async fn open(pool: &PgPool) -> Result<PgConnection> {
    let opened = async {
        let mut conn = PgConnection::connect_with(&pool.connect_options()).await?;
        conn.execute(KEPT_ALIVE).await?;
        conn.execute(HOLDS_A_LOCK).await?;
        Ok(conn)
    };
    within(OPENING, opened).await
}

impl Session {
    /// Opened when it is first used. It is one more than the pool's own.
    pub fn new(pool: PgPool) -> Self {
        Self { pool, idle: Mutex::default(), is_hurried: false }
    }

    /// The same, for work that waits for no lock.
    pub fn hurried(pool: PgPool) -> Self {
        Self { is_hurried: true, ..Self::new(pool) }
    }

    /// The session that was kept, or a new one.
    pub async fn take(&self) -> Result<InUse<'_>> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let conn = if let Some(conn) = kept {
            conn
        } else {
            let mut conn = self.pool.acquire().await?.detach();
            conn.execute(PLANNED_ONCE).await?;
            if self.is_hurried {
                conn.execute(HURRIED).await?;
            }
            conn
        };
        Ok(InUse { conn, home: self })
    }
}

impl InUse<'_> {
    /// Keeps the session, unless what was done in it has left it of no use.
    pub fn keep_after<T>(self, done: &Result<T>) {
        if done.as_ref().err().is_none_or(Error::leaves_session_usable) {
            self.keep();
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::pool::pool_options;

    /// How long this session may wait for each of these, in milliseconds or as it stands.
    async fn bounds(conn: &mut PgConnection) -> Vec<(String, String)> {
        let names = [
            "lock_timeout",
            "statement_timeout",
            "idle_in_transaction_session_timeout",
            "tcp_keepalives_idle",
            "tcp_user_timeout",
            "idle_session_timeout",
        ];
        let set = sqlx::query_as("select name, setting from pg_settings where name = any ($1) order by name");
        set.bind(&names[..]).fetch_all(conn).await.unwrap()
    }

    /// A session without a lock may say nothing for as long as it likes.
    fn is_bound((name, setting): &(String, String)) -> bool {
        name == "idle_session_timeout" || setting != "0"
    }

    #[sqlx::test]
    async fn no_session_that_writes_waits_without_a_bound_nor_keeps_others_waiting(pool: PgPool) {
        let options = (*pool.connect_options()).clone();
        let ours = pool_options().max_connections(2).connect_with(options).await.unwrap();
        let held: Vec<_> = bounds(&mut open(&ours).await.unwrap()).await;
        for name in ["idle_session_timeout", "tcp_user_timeout"] {
            let bound = held.iter().find(|(one, _)| one == name).unwrap();
            assert_ne!(bound.1, "0", "a lock of somebody who is silent must be given to others: {name}");
        }
        let mut kept = Session::new(ours.clone());
        for session in [&mut kept, &mut Session::hurried(ours.clone())] {
            let bounds = bounds(&mut session.take().await.unwrap()).await;
            assert!(bounds.iter().all(is_bound), "{bounds:?}");
        }
        let pooled = bounds(&mut ours.acquire().await.unwrap()).await;
        assert!(pooled.iter().all(is_bound), "{pooled:?}");
    }
}
