//! What can go wrong between here and Postgres, told apart by what the caller can do about it.

use std::io;
use std::time::Duration;

/// The result of a query.
pub type Result<T> = std::result::Result<T, Error>;

/// A query failed. `Display` says what to do; the database's own words are the source, for the log only: they may
/// quote values.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres cannot be reached, is shutting down, or is too busy: the same call may succeed later.
    #[error("the database is not available right now; try again later")]
    Unavailable(#[source] sqlx::Error),
    /// Another transaction was in the way: the same call may succeed at once.
    #[error("another change came first; try again")]
    Contended(#[source] sqlx::Error),
    /// The statement itself was refused: the same call will fail again.
    #[error("the database refused the statement")]
    Refused(#[source] sqlx::Error),
    /// A sealed value did not open.
    #[error(transparent)]
    Seal(#[from] crate::model::seal::SealError),
}

impl Error {
    /// Waiting may help.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// The server had ended the session before it did what was asked, or while it did: it may be another one's turn.
    pub fn is_session_ended(&self) -> bool {
        let source = std::error::Error::source(self).and_then(|source| source.downcast_ref::<sqlx::Error>());
        match source {
            Some(sqlx::Error::Io(error)) => ENDED.contains(&error.kind()),
            // By an administrator or a crash, as idle for too long.
            Some(sqlx::Error::Database(refusal)) => {
                refusal.code().is_some_and(|code| matches!(&*code, "57P01" | "57P02" | "57P05" | "25P03"))
            }
            _ => false,
        }
    }

    /// Somebody else holds a lock for longer than a statement was to wait for it.
    pub fn is_lock_timeout(&self) -> bool {
        let source = std::error::Error::source(self).and_then(|source| source.downcast_ref::<sqlx::Error>());
        source.is_some_and(is_lock_timeout)
    }

    /// The server has no connection left for us.
    pub fn is_out_of_connections(&self) -> bool {
        matches!(self, Self::Unavailable(sqlx::Error::Database(error)) if error.code().as_deref() == Some("53300"))
    }

    /// The name of the constraint that was violated, if one was.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Refused(sqlx::Error::Database(error)) => error.constraint(),
            _ => None,
        }
    }
}

/// How a connection ends that was in order.
const ENDED: [io::ErrorKind; 5] = [
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::ConnectionAborted,
    io::ErrorKind::BrokenPipe,
    io::ErrorKind::UnexpectedEof,
    io::ErrorKind::NotConnected,
];

/// Lock not available; or cancelled, as a statement is that has a deadline.
pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| matches!(&*code, "55P03" | "57014"))
}

/// Does some work with the database, or gives it up after a while: a server that is gone without a word leaves its
/// callers waiting.
///
/// # Errors
/// Those of the work; `Unavailable` if it took longer.
pub async fn within<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Error::Unavailable(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(limit, work).await.map_err(late)?
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(refusal) => {
                let code = refusal.code().unwrap_or_default().into_owned();
                match code.get(..2) {
                    // Connection exceptions, insufficient resources, operator intervention, system errors.
                    Some("08" | "53" | "57" | "58") => Self::Unavailable(error),
                    // Serialization failures and deadlocks; lock not available.
                    Some("40") => Self::Contended(error),
                    // A lock that was not to be had, a server that only reads, a database that accepts no connections.
                    _ if matches!(code.as_str(), "55P03" | "25006" | "55000") => Self::Unavailable(error),
                    _ => Self::Refused(error),
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            _ => Self::Refused(error),
        }
    }
}
