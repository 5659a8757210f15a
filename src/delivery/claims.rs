//! From the table into the queues: what is due and has room here is leased.

use std::collections::HashMap;
use std::time::Instant;

use sqlx::PgPool;
use tokio::sync::Mutex;

use crate::model::queue::{HandOver, Wanted};
use crate::store::delivery::claim::claim;
use crate::store::dispatcher::DispatcherId;
use crate::store::session::{PATIENCE, Session};
use crate::store::{Result, within};

/// Claims for one dispatcher.
pub(super) struct Claims {
    session: Session,
    id: DispatcherId,
    queues: HandOver,
    /// Claims change which endpoints are this process's, and so do heartbeats: one at a time.
    pub(super) leasing: Mutex<()>,
}

impl Claims {
    pub(super) fn new(pool: PgPool, id: DispatcherId, queues: HandOver) -> Self {
        Self { session: Session::new(pool), id, queues, leasing: Mutex::default() }
    }

    /// Claims what is wanted, and answers how many that were. If the database is not available that is none, for now.
    pub(super) async fn fill(&self, wanted: &Wanted) -> usize {
        let _guard = self.leasing.lock().await;
        // The heartbeat waits for this.
        within(PATIENCE, self.fill_once(wanted)).await.unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "due deliveries cannot be claimed right now"
            );
            0
        })
    }

    /// The same. No heartbeat may run meanwhile.
    pub(super) async fn fill_once(&self, wanted: &Wanted) -> Result<usize> {
        let mut conn = self.session.take().await?;
        let claimed = claim(&mut conn, self.id, wanted).await;
        conn.keep_after(&claimed);
        let claimed = claimed?;
        let now = Instant::now();
        Ok(self.queues.with(|queues| {
            let count = claimed.len();
            let mut counts = HashMap::new();
            for one in claimed {
                *counts.entry(one.job.endpoint_id).or_insert(0_usize) += 1;
                queues.push(one.job, one.lost, now);
            }
            queues.claimed(wanted, &counts);
            count
        }))
    }
}
