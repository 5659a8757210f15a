//! Moving orders on. What they move to is decided in `model::status`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::id::{EventId, PartnerId};
use crate::model::order::Snapshot;
use crate::model::status::{Standing, Status};
use crate::store::Result;

/// An order as it stands in the table.
#[derive(Debug, Clone)]
pub struct Current {
    /// Counts the writes.
    pub revision: i32,
    /// Its status, since when, and whether that was verified.
    pub standing: Standing,
    /// How new its snapshot is.
    pub snapshot_at: DateTime<Utc>,
}

impl Current {
    /// An order as columns that may be those of no row: the status, since when it is and whether that was verified; the
    /// revision and how new the snapshot is.
    pub fn of_columns(
        (status, at, verified): (Option<&str>, Option<DateTime<Utc>>, Option<bool>),
        (revision, snapshot_at): (Option<i32>, Option<DateTime<Utc>>),
    ) -> Option<Self> {
        let standing = Standing { status: Status::parse(status?)?, at: at?, verified: verified? };
        Some(Self { revision: revision?, standing, snapshot_at: snapshot_at? })
    }
}

/// Orders as they stand, by partner and id.
pub type Orders = HashMap<(PartnerId, String), Current>;

/// An order as it is to be written.
#[derive(Debug)]
pub struct Write<'a> {
    /// Whose order.
    pub partner_id: PartnerId,
    /// The revision that was read; 0 if there was no row.
    pub read_revision: i32,
    /// Its status from now on.
    pub standing: Standing,
    /// The newest snapshot and the event it came with.
    pub snapshot: (&'a Snapshot, EventId),
    /// When it is compared with Transak's own record; `None`: never.
    pub reconcile_at: Option<DateTime<Utc>>,
    /// When the snapshot's event was received and when it happened.
    pub snapshot_times: (DateTime<Utc>, DateTime<Utc>),
}

/// Reads and locks the rows of these orders, in one order of locking for all processes.
pub async fn lock(conn: &mut PgConnection, orders: &[(PartnerId, &str)]) -> Result<Orders> {
    let rows = sqlx::query!(
        r#"select partner_id as "partner_id: PartnerId", order_id, status, status_at, verified, revision, snapshot_at
           from "order" join unnest($1::uuid[], $2::text[]) as wanted (partner_id, order_id) using (partner_id, order_id)
           order by partner_id, order_id for update of "order""#,
        &orders.iter().map(|(partner, _)| partner.uuid()).collect::<Vec<Uuid>>(),
        &orders.iter().map(|(_, order)| *order).collect::<Vec<_>>() as &[&str],
    );
    let rows = rows.fetch_all(conn).await?;
    let current = rows.into_iter().filter_map(|row| {
        let standing =
            Standing { status: Status::parse(&row.status)?, at: row.status_at, verified: row.verified };
        let current = Current { revision: row.revision, standing, snapshot_at: row.snapshot_at };
        Some(((row.partner_id, row.order_id), current))
    });
    Ok(current.collect())
}
