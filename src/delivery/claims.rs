//! From the table into the queues: what is due and has room here is leased.

use std::collections::HashMap;
use std::sync::{Mutex as StdMutex, PoisonError};
use std::time::Instant;

use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::Mutex;

use crate::model::fault::Fault;
use crate::model::id::PartnerId;
use crate::model::queue::{HandOver, Place, Room};
use crate::store::delivery::claim::claim;
use crate::store::dispatcher::DispatcherId;
use crate::store::due::{look, settle};
use crate::store::session::{PATIENCE, Session};
use crate::store::{Result, within};

/// What is claimed for.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Whoever is due.
    Anybody,
    /// These, which are this process's.
    Of(Vec<Room>),
}

/// Claims for one dispatcher.
pub(super) struct Claims {
    session: Session,
    id: DispatcherId,
    queues: HandOver,
    /// Where looking for others goes on, if there are more than can be looked at.
    after: StdMutex<Option<PartnerId>>,
    failing: StdMutex<Fault>,
    /// Claims change which endpoints are this process's, and so do heartbeats: one at a time.
    pub(super) leasing: Mutex<()>,
}

impl Claims {
    pub(super) fn new(pool: PgPool, id: DispatcherId, queues: HandOver) -> Self {
        Self {
            session: Session::new(pool),
            id,
            queues,
            after: StdMutex::default(),
            failing: StdMutex::default(),
            leasing: Mutex::default(),
        }
    }

    /// Claims what is wanted, and answers how many that were. If the database is not available that is none, for now.
    pub(super) async fn fill(&self, wanted: Wanted) -> usize {
        let _guard = self.leasing.lock().await;
        // The heartbeat waits for this.
        let filled = within(PATIENCE, self.fill_once(wanted)).await;
        match self.failing.lock().unwrap_or_else(PoisonError::into_inner).news(&filled) {
            Some(Ok(())) => tracing::info!("due deliveries can be claimed again"),
            Some(Err(error)) => tracing::warn!(
                error = error as &dyn std::error::Error,
                "due deliveries cannot be claimed right now"
            ),
            None => {}
        }
        filled.unwrap_or_default()
    }

    /// The same. No heartbeat may run meanwhile.
    pub(super) async fn fill_once(&self, wanted: Wanted) -> Result<usize> {
        let mut conn = self.session.take().await?;
        let count = self.fill_with(&mut conn, wanted).await;
        conn.keep_after(&count);
        count
    }

    async fn fill_with(&self, conn: &mut PgConnection, wanted: Wanted) -> Result<usize> {
        let (rooms, idle) = match wanted {
            Wanted::Of(rooms) => (rooms, Vec::new()),
            Wanted::Anybody => self.look(conn).await?,
        };
        let count = self.claim(conn, &rooms).await?;
        if !idle.is_empty() {
            let mut tx = conn.begin().await?;
            settle(&mut tx, &idle).await?;
            tx.commit().await?;
        }
        Ok(count)
    }

    /// What to claim for, and who need not be looked at any more.
    async fn look(&self, conn: &mut PgConnection) -> Result<(Vec<Room>, Vec<Place>)> {
        let after = *self.after.lock().unwrap_or_else(PoisonError::into_inner);
        let looked = look(conn, self.id, after).await?;
        *self.after.lock().unwrap_or_else(PoisonError::into_inner) = looked.after;
        let rooms = self.queues.with(|queues| queues.wanted_of(&looked.due, Instant::now()));
        Ok((rooms, looked.idle))
    }

    async fn claim(&self, conn: &mut PgConnection, rooms: &[Room]) -> Result<usize> {
        if rooms.is_empty() {
            return Ok(0);
        }
        let claimed = claim(conn, self.id, rooms).await?;
        let now = Instant::now();
        Ok(self.queues.with(|queues| {
            let count = claimed.len();
            let mut counts = HashMap::new();
            for one in claimed {
                *counts.entry(one.job.endpoint_id).or_insert(0_usize) += 1;
                queues.push(one.job, one.lost, now);
            }
            queues.claimed(rooms, &counts);
            count
        }))
    }
}
