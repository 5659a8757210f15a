//! What the queries of lists share: the snapshot they read from and the page they return.
//!
//! A list serves one partner or several. Each partner's rows are read along an index in the order of the list and cut
//! off at the page's size before they are merged, so a page costs the same however long the history is.

use sqlx::{PgPool, Postgres, Transaction};

use super::Result;

/// Which part of a list.
#[derive(Debug, Clone)]
pub struct Page<P> {
    /// The place of the last row the caller has; `None` for the first page.
    pub after: Option<P>,
    /// The most rows to return.
    pub limit: i64,
}

/// A read-only snapshot: what several queries read through it belongs together.
///
/// Plans are made for the filters at hand: a generic plan could not see that an absent filter filters nothing and
/// would walk past the index of a present one. A statement ends after ten seconds as "not available".
pub async fn snapshot(pool: &PgPool) -> Result<Transaction<'static, Postgres>> {
    let begin = pool.begin_with(
        "begin isolation level repeatable read read only; \
         set local plan_cache_mode = force_custom_plan; \
         set local statement_timeout = '10s'",
    );
    Ok(begin.await?)
}
