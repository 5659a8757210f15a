//! The one task that writes what is heard. It takes whatever has gathered since the last commit, so that batches are
//! small when little happens and large when much does, without ever waiting for a batch to fill.
//!
//! While the database is away it writes to the spool instead, and while the spool holds anything, new messages queue up
//! behind it, so that the order of hearing stays the order of keeping. What a process that is gone has left in the same
//! folder is taken over, each place in its own order; nothing of ours has to wait for that. What the database does not take
//! while it takes the rest waits [`aside`].

mod aside;
mod disk;
mod refused;
mod settled;
mod spooling;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::aside::{Aside, Turn};
use self::disk::DiskWatch;
pub use self::disk::SpoolTrouble;
use self::settled::{count, end_span, settle};
use super::batch::{Outcome, Sink};
use super::commit::Desk;
use super::directory::Watch;
use super::divide::Held;
use super::flow::Flow;
use super::spool::Spool;
use super::suspicion::Suspicion;
use super::{Fate, Heard, Intake, QUEUE, Waiting};
use crate::model::queue::HandOver;
use crate::store::session::PATIENCE;
use crate::store::{self, wake};

/// The most messages of one transaction: larger ones gain nothing and make everybody wait longer.
const LARGEST_BATCH: usize = 500;

/// How long to wait before a database that is not available is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// The least time between two wake-ups of dispatchers elsewhere.
const WAKE_SPACING: Duration = Duration::from_millis(20);

/// While a commit takes long, the queue is looked at this often, so that it never fills up.
const LOOK: Duration = Duration::from_millis(20);

/// How often it is looked whether a process that is gone has left messages on disk.
const ADOPT: Duration = Duration::from_secs(10);

/// What the intake is doing, for readiness.
#[derive(Debug, Clone, Default)]
pub struct IntakeHealth {
    /// Bytes that wait on disk because the database takes nothing.
    pub spooled_bytes: u64,
    /// Messages that could be neither kept nor spooled since the start.
    pub refused: u64,
    /// Batches taken out of the queue since the start.
    pub batches: u64,
    /// Why the database takes nothing, as Postgres names it.
    pub cause: Option<String>,
    /// Why the disk could not take more.
    pub disk: Option<SpoolTrouble>,
}

/// What a writer works with.
pub struct Settings {
    /// Where everything is kept.
    pub pool: PgPool,
    /// What verifies whose messages.
    pub directory: Watch,
    /// Where messages wait while the database is away.
    pub spool: Spool,
    /// Takes fresh deliveries straight to a local dispatcher.
    pub hand_over: Option<HandOver>,
    /// Hurries the care of tokens when a partner's messages do not verify.
    pub suspicion: Suspicion,
    /// How often an order under way is compared with Transak's own record.
    pub reconcile_every: Duration,
}

/// Where on disk messages wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDisk {
    /// All of them, in order, while the database takes nothing.
    Spool,
    /// Those that it does not take while it takes others.
    Aside,
}

/// Writes what an [`Intake`] takes.
pub struct Writer {
    sink: Sink,
    directory: Watch,
    queue: mpsc::Receiver<Waiting>,
    flow: Arc<Flow>,
    spool: Arc<Mutex<Spool>>,
    /// What another process left on disk, while it is being kept.
    orphan: Option<Arc<Mutex<Spool>>>,
    aside: Arc<Aside>,
    health: watch::Sender<IntakeHealth>,
    /// Dispatchers elsewhere have to be told that deliveries are due, and when they may be told next.
    due: Arc<AtomicBool>,
    wake_next: Instant,
    kept: Arc<Notify>,
    /// Bytes of strangers that were put on disk since nothing waited there.
    of_strangers: AtomicU64,
    most_of_strangers: u64,
}

impl Writer {
    /// A writer and the handle that feeds it.
    pub fn new(settings: Settings) -> (Intake, Self) {
        let Settings { pool, directory, spool, hand_over, suspicion, reconcile_every } = settings;
        let (intake, queue) = Intake::channel(directory.clone());
        let due = Arc::default();
        let desk = Arc::new(Desk::new(&pool));
        let (held, is_refused) = (Held::default(), Arc::default());
        let due_here = Arc::clone(&due);
        let (flow, divides) = (Arc::clone(&intake.flow), false);
        #[rustfmt::skip]
        let sink = Sink {
            pool, desk, hand_over, suspicion, reconcile_every, due, flow: Arc::clone(&flow), held, divides, is_refused,
        };
        let most_of_strangers = refused::share_of_strangers(spool.max_bytes());
        let (spool, health) = (Arc::new(Mutex::new(spool)), watch::Sender::default());
        let kept = Arc::<Notify>::default();
        let signs = (Arc::clone(&kept), health.clone());
        let aside = Arc::new(Aside::new(&sink, directory.clone(), Arc::clone(&spool), signs));
        let (orphan, wake_next, due, of_strangers) = (None, Instant::now(), due_here, AtomicU64::default());
        #[rustfmt::skip]
        let writer = Self {
            sink, directory, queue, flow, spool, orphan, aside, health, due, wake_next, kept, of_strangers, most_of_strangers,
        };
        (intake, writer)
    }

    /// What the intake is doing.
    pub fn health(&self) -> watch::Receiver<IntakeHealth> {
        self.health.subscribe()
    }

    /// Is notified after each commit that kept new events.
    pub fn kept(&self) -> Arc<Notify> {
        Arc::clone(&self.kept)
    }

    /// Runs until told to stop, then goes on writing what is taken until the last handle is gone: whoever hears ends
    /// first, and what it still takes is kept.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let (aside, ended) = (Arc::clone(&self.aside), CancellationToken::new());
        let disk = DiskWatch {
            spool: Arc::clone(&self.spool),
            aside: Arc::clone(&aside),
            flow: Arc::clone(&self.flow),
            health: self.health.clone(),
        };
        let write = async {
            self.write_all(stop).await;
            ended.cancel();
        };
        tokio::join!(write, aside.run(ended.clone()), disk.run(ended.clone()));
        Ok(())
    }

    async fn write_all(mut self, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(LARGEST_BATCH);
        let (mut next_try, mut next_orphan) = (Instant::now(), Instant::now());
        self.aside.note();
        loop {
            let spooled = self.is_spooling();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(next_try), if spooled => {
                    next_try = if self.drain_spool().await { Instant::now() } else { Instant::now() + PAUSE };
                }
                () = tokio::time::sleep_until(self.wake_next), if self.due.load(Ordering::Acquire) => {
                    self.wake_dispatchers().await;
                }
                taken = self.queue.recv_many(&mut batch, LARGEST_BATCH) => {
                    if taken == 0 { break }
                    self.take(std::mem::take(&mut batch)).await;
                }
                () = tokio::time::sleep_until(next_orphan), if !spooled => {
                    next_orphan = Instant::now() + self.drain_orphan().await;
                }
            }
            if spooled && !self.queue.is_empty() {
                // Draining must not starve what is being heard.
                self.spool_queue().await;
            }
        }
        while self.queue.recv_many(&mut batch, LARGEST_BATCH).await > 0 {
            self.take(std::mem::take(&mut batch)).await;
        }
        self.wake_dispatchers().await;
    }

    /// Tells all dispatchers that something is due, if it is, at most once in [`WAKE_SPACING`]: a notification takes a
    /// lock on the whole database. One that is lost costs as long as a dispatcher's poll.
    async fn wake_dispatchers(&mut self) {
        if !self.due.swap(false, Ordering::AcqRel) {
            return;
        }
        self.wake_next = Instant::now() + WAKE_SPACING;
        if let Err(error) = store::within(PATIENCE, wake::deliveries_now(&self.sink.pool)).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "dispatchers are not told; they poll");
        }
    }

    /// Writes everything that was taken so far, the spool first. For tests, in place of [`Writer::run`].
    pub async fn drain(&mut self) {
        while self.is_spooling() && self.drain_spool().await {}
        while self.drain_orphan().await == LOOK {}
        let mut batch = Vec::new();
        while let Ok(waiting) = self.queue.try_recv() {
            batch.push(waiting);
        }
        if !batch.is_empty() {
            self.take(batch).await;
        }
        while self.aside.turn().await == Turn::Moved {}
    }

    /// Waits for the next message and writes it. For tests, in place of [`Writer::run`].
    pub async fn write_next(&mut self) {
        if let Some(waiting) = self.queue.recv().await {
            self.take(vec![waiting]).await;
        }
    }

    async fn take(&mut self, batch: Vec<Waiting>) {
        self.health.send_modify(|health| health.batches += 1);
        if self.is_spooling() {
            return self.spool_batch(batch, OnDisk::Spool).await;
        }
        let directory = self.directory.borrow().clone();
        let (heard, replies): (Vec<Heard>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.heard, waiting.reply)).unzip();
        let sink = self.sink.clone();
        let outcomes = self.while_hearing(QUEUE / 2, sink.write(&heard, &directory)).await;
        self.note_kept(&outcomes);
        let (mut later, mut aside) = (Vec::new(), Vec::new());
        for ((outcome, heard), reply) in outcomes.into_iter().zip(heard).zip(replies) {
            match outcome {
                Outcome::Done(fate) => {
                    self.flow.settle(1);
                    end_span(heard.trace.as_ref(), fate);
                    settle(reply, fate);
                }
                Outcome::Aside => aside.push(Waiting { heard, reply }),
                Outcome::NotNow => later.push(Waiting { heard, reply }),
            }
        }
        if !aside.is_empty() {
            self.spool_batch(aside, OnDisk::Aside).await;
        }
        if !later.is_empty() {
            tracing::debug!(messages = later.len(), "messages go to the spool");
            self.spool_batch(later, OnDisk::Spool).await;
        }
    }

    /// Waits for the database while making room in the queue: what is more than `most_waiting` goes to the spool.
    async fn while_hearing<T>(&mut self, most_waiting: usize, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(LOOK) => {
                    if self.queue.len() > most_waiting {
                        self.spool_queue().await;
                    }
                }
            }
        }
    }

    fn note_kept(&self, outcomes: &[Outcome]) {
        if outcomes.contains(&Outcome::Done(Fate::New)) {
            self.kept.notify_one();
        }
    }
}
