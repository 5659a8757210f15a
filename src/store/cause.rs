//! What Postgres said, for the log: the part that can quote nothing.

use std::error::Error as _;

use super::Error;
use crate::model::condition::condition;

/// Its SQLSTATE, the name of that, and the constraint that was violated; where Postgres said nothing, what kept it from
/// answering.
pub fn cause(error: &Error) -> String {
    match error.source().and_then(|source| source.downcast_ref::<sqlx::Error>()) {
        Some(sqlx::Error::Database(refusal)) => {
            let code = refusal.code().unwrap_or_default();
            let words = ["SQLSTATE", &code, condition(&code).unwrap_or_default()];
            let words = words.into_iter().chain(refusal.constraint()).filter(|word| !word.is_empty());
            words.collect::<Vec<_>>().join(" ")
        }
        // One of the system's own.
        Some(sqlx::Error::Io(error)) => error.kind().to_string(),
        Some(other) => other.to_string(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use sqlx::PgPool;

    use super::*;

    #[sqlx::test(migrations = false)]
    async fn a_cause_names_what_postgres_says_and_quotes_nothing(pool: PgPool) {
        let raised = |code: &str| format!("do $$ begin raise 'of Ann' using errcode = '{code}'; end $$");
        for (statement, expected) in [
            (raised("53100"), "SQLSTATE 53100 disk_full"),
            (raised("ZZ123"), "SQLSTATE ZZ123"),
            ("select 'Ann'::integer".to_owned(), "SQLSTATE 22P02 data_exception"),
        ] {
            let failed = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&pool).await;
            assert_eq!(cause(&failed.unwrap_err().into()), expected);
        }
        let refused = Error::from(sqlx::Error::Io(io::ErrorKind::ConnectionRefused.into()));
        assert_eq!(cause(&refused), "connection refused");
    }
}
