//! Writing down what this process hears: whenever it changes, and every other second until when it is proven.
//!
//! Guarantees: a connection is proven no further than the last thing that arrived on it, and no further than what was heard
//! is committed or on disk. While the database is away, what is noted waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::intake::flow::{Flow, Proof};
use crate::intake::stream::StreamHealth;
use crate::model::clock;
use crate::model::coverage::RENEW;
use crate::model::coverage::logbook::{End, Logbook, by_the_database};
use crate::model::id::PartnerId;
use crate::pusher::Channel;
use crate::store;
use crate::store::figures;
use crate::store::listener::{book, survey};
use crate::store::within;

/// What one writing may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the last writing may take when the process stops, with what it waits for.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How often a process that stops looks whether everything that it heard is safe.
const LOOK: Duration = Duration::from_millis(50);

/// What was heard shortly before or after a loss is repaired with it.
const AROUND_A_LOSS: TimeDelta = TimeDelta::seconds(1);

/// What this process hears, to be noted without ever waiting. Times are given by this machine's clock and kept by the
/// database's, so that processes whose clocks disagree agree on what was heard.
#[derive(Debug, Clone, Default)]
pub(in crate::intake) struct Book {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<Notify>,
    /// Is notified when something new was written.
    written: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Inner {
    logbook: Logbook,
    slot: i32,
    /// How far this machine's clock is ahead of the database's.
    ahead: TimeDelta,
}

impl Book {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, at: DateTime<Utc>, what: impl FnOnce(&mut Logbook, i32, DateTime<Utc>)) {
        let mut inner = self.inner();
        let (slot, at) = (inner.slot, by_the_database(at, inner.ahead));
        what(&mut inner.logbook, slot, at);
        drop(inner);
        self.changed.notify_one();
    }

    /// Connections are made for this slot from now on.
    pub(in crate::intake) fn set_slot(&self, slot: i32) {
        self.inner().slot = slot;
    }

    pub(in crate::intake) fn opened(&self, at: DateTime<Utc>) {
        self.note(at, |logbook, slot, at| logbook.opened((Uuid::now_v7(), slot), at));
    }

    pub(in crate::intake) fn closed(&self, at: DateTime<Utc>, reason: &str) {
        self.note(at, |logbook, _, at| logbook.closed(&End { at, reason: reason.to_owned() }));
    }

    pub(in crate::intake) fn confirmed(
        &self,
        channel: &Channel,
        partners: Vec<PartnerId>,
        at: DateTime<Utc>,
    ) {
        self.note(at, |logbook, _, at| logbook.confirmed(&Arc::from(channel.as_str()), partners, at));
    }

    pub(in crate::intake) fn lost(&self, channel: &Channel, at: DateTime<Utc>, reason: &str) {
        self.note(at, |logbook, _, at| {
            logbook.lost(channel.as_str(), &End { at, reason: reason.to_owned() });
        });
    }

    /// From now on each channel is heard for these partners.
    pub(in crate::intake) fn owned(&self, owners: impl Fn(&str) -> Vec<PartnerId>) {
        self.note(Utc::now(), |logbook, _, at| logbook.owned(owners, at));
    }

    /// Waits until something new was written.
    pub(super) async fn news(&self) {
        self.written.notified().await;
    }
}

/// Writes the book.
pub(super) struct Recorder {
    pub(super) pool: PgPool,
    /// This run of the process.
    pub(super) listener: Uuid,
    pub(super) flow: Arc<Flow>,
    /// When anything last arrived on the connection.
    pub(super) pulse: watch::Receiver<Option<Instant>>,
    pub(super) book: Book,
    pub(super) health: watch::Sender<StreamHealth>,
}

impl Recorder {
    /// Writes until the last connection is closed and everything that was heard on it is safe, or time is up.
    pub(super) async fn run(&self, closed: CancellationToken) {
        let (mut proof, mut failing) = (Proof::default(), false);
        loop {
            tokio::select! {
                biased;
                () = closed.cancelled() => break,
                () = self.book.changed.notified() => {}
                () = tokio::time::sleep(RENEW) => {}
            }
            self.try_write(&mut proof, &mut failing).await;
        }
        let last = async {
            while !self.try_write(&mut proof, &mut failing).await {
                tokio::time::sleep(LOOK).await;
            }
        };
        // Past that, the rest counts as unheard from what was last written on.
        let _ = tokio::time::timeout(LAST_WORDS, last).await;
    }

    /// Answers whether everything that was heard is safe and written.
    async fn try_write(&self, proof: &mut Proof, failing: &mut bool) -> bool {
        match within(PATIENCE, self.write(proof)).await {
            Ok(all) => {
                *failing = false;
                all
            }
            Err(error) => {
                if !std::mem::replace(failing, true) {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "what this process hears waits to be written down"
                    );
                }
                false
            }
        }
    }

    async fn write(&self, proof: &mut Proof) -> store::Result<bool> {
        let mut conn = self.pool.acquire().await?;
        self.write_losses(&mut conn).await?;
        let asked = Utc::now();
        let now = figures::clock(&mut conn).await?;
        let ahead = clock::ahead((asked, Utc::now()), now);
        let ahead = TimeDelta::try_milliseconds(milliseconds(ahead)).unwrap_or_default();
        let entries = {
            let mut inner = self.book.inner();
            inner.ahead = ahead;
            if let Some(settled) = proof.until(&self.flow, Utc::now()) {
                let alive = self.pulse.borrow().map(|at| Utc::now() - at.elapsed());
                let alive = alive.map(|at| by_the_database(at, ahead));
                inner.logbook.proven(by_the_database(settled, ahead), alive);
            }
            inner.logbook.entries()
        };
        if entries.connections.is_empty() {
            return Ok(true);
        }
        let mut tx = sqlx::Connection::begin(&mut *conn).await?;
        let inserted = book::write(&mut tx, (self.listener, now), &entries).await?;
        tx.commit().await?;
        let mut inner = self.book.inner();
        inner.logbook.written(&entries, &inserted);
        let all = inner.logbook.is_settled();
        drop(inner);
        if !entries.subscriptions.is_empty() {
            let count = entries.subscriptions.len() as u64;
            self.health.send_modify(|health| health.noted += count);
            self.book.written.notify_one();
        }
        Ok(all)
    }

    /// What was heard and could not be kept is a gap of its own.
    async fn write_losses(&self, conn: &mut sqlx::PgConnection) -> store::Result<()> {
        let mut losses = self.flow.take_lost();
        while let Some((partner, (from, to))) = losses.pop() {
            let ahead = self.book.inner().ahead;
            let span = (by_the_database(from, ahead), by_the_database(to + AROUND_A_LOSS, ahead));
            let reason = "messages were heard and could not be kept";
            let written = survey::add_gap(&mut *conn, partner, (span.0, Some(span.1), reason)).await;
            if let Err(error) = written {
                losses.push((partner, (from, to)));
                self.flow.give_back(losses);
                return Err(error);
            }
        }
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a difference of clocks, rounded")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1e3).round() as i64
}
