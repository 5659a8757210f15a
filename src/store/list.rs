//! What the queries of lists share: the snapshot they read from and the page they return.
//!
//! A list serves one partner or several. Each partner's rows are read along an index in the order of the list and cut
//! off at the page's size before they are merged, so a page costs the same however long the history is. Where a filter has
//! no index, a page looks at so many rows and no further (its horizon), and the next page goes on from there.

use sqlx::{PgPool, Postgres, Transaction};

use super::Result;
use crate::model::id::PartnerId;

/// Which part of a list.
#[derive(Debug, Clone)]
pub struct Page<P> {
    /// The place of the last row the caller has; `None` for the first page.
    pub after: Option<P>,
    /// The most rows to return.
    pub limit: i64,
}

/// The most rows that a page looks at to find those that a filter without an index wants.
pub const MOST_LOOKED_AT: i64 = 10_000;

/// How many rows of each partner a page looks at, of so many in all: at least as many as it is to return.
pub fn looked_at(in_all: i64, partners: &[PartnerId], limit: i64) -> i64 {
    let partners = i64::try_from(partners.len()).unwrap_or(i64::MAX).max(1);
    (in_all / partners).max(limit)
}

/// A read-only snapshot: what several queries read through it belongs together.
///
/// Plans are made for the filters at hand: a generic plan could not see that an absent filter filters nothing and
/// would walk past the index of a present one. A statement ends after eight seconds as "not available".
pub async fn snapshot(pool: &PgPool) -> Result<Transaction<'static, Postgres>> {
    let begin = pool.begin_with(
        "begin isolation level repeatable read read only; \
         set local plan_cache_mode = force_custom_plan; \
         set local statement_timeout = '8s'",
    );
    Ok(begin.await?)
}
