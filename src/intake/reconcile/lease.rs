//! The lease of one partner, and the time that passes under it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Stop;
use crate::model::id::PartnerId;
use crate::store::reconcile;
use crate::store::session::PATIENCE;
use crate::store::{self, within};

/// How long a process that died keeps others from a partner.
const LENGTH: TimeDelta = TimeDelta::seconds(15);

/// How often a lease is extended.
const BEAT: Duration = Duration::from_secs(4);

/// A time that goes on from where it was handed in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    from: DateTime<Utc>,
    at: Instant,
}

impl Clock {
    pub(super) fn from(now: DateTime<Utc>) -> Self {
        Self { from: now, at: Instant::now() }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.from + TimeDelta::from_std(self.at.elapsed()).unwrap_or_default()
    }
}

/// The right to work for one partner. What is not released ends by itself.
pub(super) struct Lease {
    pool: PgPool,
    partner: PartnerId,
    until: Mutex<DateTime<Utc>>,
}

impl Lease {
    /// `None`: somebody else works for the partner.
    pub(super) async fn take(
        pool: &PgPool,
        partner: PartnerId,
        now: DateTime<Utc>,
    ) -> store::Result<Option<Self>> {
        let until = end(now);
        let taken = reconcile::claim(&mut *pool.acquire().await?, partner, (now, until)).await?;
        Ok(taken.then(|| Self { pool: pool.clone(), partner, until: Mutex::new(until) }))
    }

    /// Extends the lease time and again, until `done`. Answers earlier, and why, if it is held no longer.
    pub(super) async fn keep(&self, clock: Clock, done: &CancellationToken) -> Option<Stop> {
        loop {
            tokio::select! {
                biased;
                () = done.cancelled() => return None,
                () = tokio::time::sleep(BEAT) => {}
            }
            let now = clock.now();
            match self.extend(now).await {
                Ok(false) => return Some(Stop::LeaseLost),
                Err(error) if now >= *self.until.lock().await => return Some(error.into()),
                Ok(true) | Err(_) => {}
            }
        }
    }

    async fn extend(&self, now: DateTime<Utc>) -> store::Result<bool> {
        let mut until = self.until.lock().await;
        let next = end(now);
        let extended = within(PATIENCE, async {
            reconcile::extend(&mut *self.pool.acquire().await?, self.partner, (*until, next)).await
        });
        let extended = extended.await?;
        if extended {
            *until = next;
        }
        Ok(extended)
    }

    /// Gives the partner back; nobody works for it before `next`.
    pub(super) async fn release(self, next: DateTime<Utc>, now: DateTime<Utc>) -> store::Result<()> {
        let until = self.until.into_inner();
        let mut conn = self.pool.acquire().await?;
        reconcile::release(&mut conn, self.partner, (until, whole_micros(next)), now).await
    }
}

fn end(now: DateTime<Utc>) -> DateTime<Utc> {
    whole_micros(now + LENGTH)
}

/// Postgres keeps microseconds; the fence compares for equality.
fn whole_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}
