//! Gaps: spans in which the stream was not heard.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Result;
use super::order::read::Order;

/// A span in which the stream was not heard.
#[derive(Debug, Clone)]
pub struct Gap {
    pub from: DateTime<Utc>,
    /// `None`: it is still not heard.
    pub to: Option<DateTime<Utc>>,
    /// When what was missed had been fetched from Transak.
    pub repaired_at: Option<DateTime<Utc>>,
}

/// The gaps in which something of this order could have been missed, oldest first.
#[expect(clippy::unused_async, reason = "gaps have no table yet; its query goes here")]
pub async fn touching_order(_conn: &mut PgConnection, _order: &Order) -> Result<Vec<Gap>> {
    Ok(Vec::new())
}
