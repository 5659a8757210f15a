//! What can go wrong between here and Postgres, told apart by what the caller can do about it.

use std::io;
use std::time::Duration;

use super::constraint::is_own;
use crate::model::sqlstate::{Fault, Named, fault};

/// The result of a query.
pub type Result<T> = std::result::Result<T, Error>;

/// A query failed. `Display` says what to do; the database's own words are the source, for the log only: they may
/// quote values.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres cannot be reached, is shutting down, or is too busy: the same call may succeed later.
    #[error("the database is not available right now; try again later")]
    Unavailable(#[source] sqlx::Error),
    /// As [`Error::Unavailable`], said in the middle of what may have been done all the same.
    #[error("the database did not say whether it was done; look at it and try again")]
    Unsettled(#[source] sqlx::Error),
    /// Another transaction was in the way: the same call may succeed at once.
    #[error("another change came first; try again")]
    Contended(#[source] sqlx::Error),
    /// Somebody holds the lock of something that it needs, and does not let go: it may succeed later; what needs
    /// something else need not wait.
    #[error("something that it needs is locked right now; try again later")]
    Locked(#[source] sqlx::Error),
    /// What is to be written is refused for what it is: the same call will fail again.
    #[error("the database refused what was to be written")]
    Refused(#[source] sqlx::Error),
    /// Postgres answers, but not as it should: a table or a right is missing, or something nobody thought of. Once
    /// somebody has looked, the same call may succeed.
    #[error("the database is not as it should be: look at its schema and at the rights of its user")]
    Unexpected(#[source] sqlx::Error),
    /// A sealed value did not open.
    #[error(transparent)]
    Seal(#[from] crate::model::seal::SealError),
}

impl Error {
    /// Waiting may help.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unsettled(_))
    }

    /// What is not available may have been done all the same, like a commit whose answer never came.
    #[must_use]
    pub fn unsettled(self) -> Self {
        match self {
            Self::Unavailable(error) => Self::Unsettled(error),
            error => error,
        }
    }

    /// The server had ended the session before it did what was asked, or while it did, and nothing of it stands: it may
    /// be another one's turn.
    pub fn is_session_ended(&self) -> bool {
        !matches!(self, Self::Unsettled(_)) && self.is_by_the_end_of_a_session()
    }

    /// The session ended, and what was done in it may stand or not.
    pub fn is_left_unsettled(&self) -> bool {
        matches!(self, Self::Unsettled(_)) && self.is_by_the_end_of_a_session()
    }

    fn is_by_the_end_of_a_session(&self) -> bool {
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

    /// What the database itself said is wrong, if it was the database: its SQLSTATE.
    pub fn sqlstate(&self) -> Option<String> {
        let source = std::error::Error::source(self).and_then(|source| source.downcast_ref::<sqlx::Error>());
        match source {
            Some(sqlx::Error::Database(refusal)) => refusal.code().map(std::borrow::Cow::into_owned),
            _ => None,
        }
    }

    /// The server has no connection left for us.
    pub fn is_out_of_connections(&self) -> bool {
        matches!(self, Self::Unavailable(sqlx::Error::Database(error)) if error.code().as_deref() == Some("53300"))
    }

    /// The session is as good as before, so that it can be used again. After anything else it may be cut off in the middle
    /// of a statement, or have plans and types in mind that are no more.
    pub fn leaves_session_usable(&self) -> bool {
        !matches!(self, Self::Unavailable(_) | Self::Unsettled(_) | Self::Unexpected(_))
    }

    /// Something else refers to the row.
    pub fn is_referred_to(&self) -> bool {
        self.sqlstate().is_some_and(|code| matches!(&*code, "23001" | "23503"))
    }

    /// The name of the constraint of ours that was violated, if one was.
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
                let named = refusal
                    .constraint()
                    .map_or(Named::Nobodys, |name| if is_own(name) { Named::Ours } else { Named::Foreign });
                match fault(&refusal.code().unwrap_or_default(), named) {
                    Fault::Row => Self::Refused(error),
                    Fault::Lock => Self::Locked(error),
                    Fault::Race => Self::Contended(error),
                    Fault::Away => Self::Unavailable(error),
                    Fault::Environment => Self::Unexpected(error),
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::BeginFailed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            _ => Self::Unexpected(error),
        }
    }
}
