//! Connections whose other end is gone without a word: no answer, no error, no end.
//!
//! Guarantees: a pool hands out no connection that was idle for long without having asked it, for two seconds at most; and
//! once one did not answer, all that were opened before are given up unasked, so that a path that went silent costs two
//! seconds, not two for each connection. One that comes back in the middle of a statement that nobody waits for any more
//! is asked in the same way.
//! Does not guarantee: anything while a connection is in use. Whoever uses it has a deadline of his own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

/// What was idle for less need not be asked.
pub(super) const FRESH: Duration = Duration::from_secs(1);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// When a connection was last found to be silent. Clones are of one pool.
#[derive(Debug, Clone, Default)]
pub(super) struct Silence(Arc<Mutex<Option<Instant>>>);

impl Silence {
    /// Two of one pool.
    pub(super) fn pair() -> (Self, Self) {
        let one = Self::default();
        (one.clone(), one)
    }

    /// Whether a connection of this age is still of use.
    pub(super) async fn answers(&self, conn: &mut PgConnection, age: Duration) -> bool {
        if self.since(age) {
            return false;
        }
        match tokio::time::timeout(PATIENCE, conn.ping()).await {
            Ok(answer) => answer.is_ok(),
            Err(_) => {
                tracing::warn!("a connection to Postgres is silent; it and all older ones are given up");
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                false
            }
        }
    }

    /// Another was found to be silent since one of this age was opened.
    fn since(&self, age: Duration) -> bool {
        let found = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.is_some_and(|found| found.elapsed() < age)
    }
}
