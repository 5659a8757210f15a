//! Table `gap`: spans in which the stream was not heard.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Result;
use super::list::Page;
use super::order::read::Order;
use crate::model::gap::Repair;
use crate::model::id::{GapId, PartnerId};

/// A span in which the stream was not heard.
#[derive(Debug, Clone)]
pub struct Gap {
    pub gap_id: GapId,
    pub partner_id: PartnerId,
    pub from: DateTime<Utc>,
    /// `None`: it is still not heard.
    pub to: Option<DateTime<Utc>>,
    /// Why it was not heard.
    pub reason: String,
    /// When what was missed had been fetched from Transak.
    pub repaired_at: Option<DateTime<Utc>>,
    /// Why the last try to repair it failed.
    pub last_error: Option<String>,
    /// Tries that came to an end.
    pub repairs: i32,
    /// When the next one may begin.
    pub next_repair_at: DateTime<Utc>,
    /// One has begun.
    pub is_begun: bool,
}

impl Gap {
    /// What is known of its repair.
    pub fn repair(&self) -> Repair {
        Repair {
            is_over: self.to.is_some(),
            has_begun: self.is_begun,
            next_at: self.next_repair_at,
            is_done: self.repaired_at.is_some(),
        }
    }
}

/// The gaps in which something of this order could have been missed, oldest first: those between its creation and its
/// last change, and the one that may hide the next.
pub async fn touching_order(conn: &mut PgConnection, order: &Order) -> Result<Vec<Gap>> {
    let over = crate::model::status::Status::parse(&order.status).is_some_and(|status| status.is_terminal());
    let rows = sqlx::query_as!(
        Gap,
        r#"select gap_id as "gap_id: _", partner_id as "partner_id: _", started_at as "from", ended_at as "to", reason,
                  repaired_at, last_error, repairs, next_repair_at, repair_id is not null as "is_begun!"
           from gap
           where partner_id = $1 and (ended_at is null or ended_at >= $2) and (not $4 or started_at <= $3)
           order by started_at limit 200"#,
        order.partner_id as _,
        order.created_at,
        order.updated_at,
        over,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// The gaps of some partners, newest first.
pub async fn list(conn: &mut PgConnection, partners: &[PartnerId], page: &Page<GapId>) -> Result<Vec<Gap>> {
    let rows = sqlx::query_as!(
        Gap,
        r#"select gap_id as "gap_id: _", partner_id as "partner_id: _", started_at as "from", ended_at as "to", reason,
                  repaired_at, last_error, repairs, next_repair_at, repair_id is not null as "is_begun!"
           from gap
           where partner_id = any($1) and ($2::uuid is null or gap_id < $2)
           order by gap_id desc limit $3"#,
        partners as _,
        page.after as _,
        page.limit,
    );
    Ok(rows.fetch_all(conn).await?)
}
