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
        if let Ok(answer) = tokio::time::timeout(PATIENCE, conn.ping()).await {
            return answer.is_ok();
        }
        tracing::warn!("a connection to Postgres is silent; it and all older ones are given up");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        false
    }

    /// Another was found to be silent since one of this age was opened.
    fn since(&self, age: Duration) -> bool {
        let found = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.is_some_and(|found| found.elapsed() < age)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use sqlx::postgres::PgPool;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A connection whose other end is swallowed from now on.
    async fn silent(pool: &PgPool) -> (PgConnection, [TcpStream; 2]) {
        let options = (*pool.connect_options()).clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = (options.get_host().to_owned(), options.get_port());
        let options = options.host("127.0.0.1").port(port);
        let mut opening = pin!(PgConnection::connect_with(&options));
        let (mut guest, _) = tokio::select! {
            guest = listener.accept() => guest.unwrap(),
            _ = &mut opening => unreachable!("nobody has answered yet"),
        };
        let mut host = TcpStream::connect((server.0.as_str(), server.1)).await.unwrap();
        let opened = tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut guest, &mut host) => unreachable!("both sides are open"),
            opened = &mut opening => opened.unwrap(),
        };
        (opened, [guest, host])
    }

    #[sqlx::test]
    async fn after_one_silent_connection_all_older_ones_are_given_up_unasked_and_newer_ones_are_not(
        pool: PgPool,
    ) {
        let silence = Silence::default();
        let (mut mute, _path) = silent(&pool).await;
        let mut other = pool.acquire().await.unwrap();
        assert!(silence.answers(&mut other, Duration::from_hours(1)).await);
        tokio::time::pause();
        assert!(!silence.answers(&mut mute, Duration::ZERO).await);
        tokio::time::resume();
        assert!(!silence.answers(&mut other, Duration::from_hours(1)).await, "it is older");
        assert!(silence.answers(&mut other, Duration::ZERO).await);
    }
}
