//! Claims what is due and sends it, as much at once as it may, until told to stop.
//!
//! It is woken by fresh deliveries handed over, by notifications, and by a clock, so that a lost wake-up costs a
//! second and no delivery.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use sqlx::PgPool;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::compose::compose;
use super::finisher::{self, Done};
use super::measure;
use super::record::{not_sent, record};
use super::sender::Sender;
use super::targets::Targets;
use crate::model::delivery::{Job, LONGEST_WAIT};
use crate::model::retry::{Jitter, Moment, Outcome};
use crate::model::seal::MasterKey;
use crate::model::target::Target;
use crate::store::delivery::claim::claim;

/// How often the table is looked at without being told to. Waits of a schedule are a second at least.
const POLL: Duration = Duration::from_secs(1);

/// How long requests under way may take when the process is told to stop; later ones are given back.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// The most deliveries of one endpoint in one claim: one endpoint's backlog must not take every slot.
const PER_ENDPOINT: usize = 16;

/// What a dispatcher works with.
#[derive(Debug)]
pub struct Settings {
    /// Where deliveries are.
    pub pool: PgPool,
    /// Opens the endpoints' secrets.
    pub key: MasterKey,
    /// Sends.
    pub sender: Sender,
    /// The most requests at once.
    pub concurrency: usize,
    /// Rings when deliveries became due.
    pub wake: Arc<Notify>,
}

/// Sends deliveries.
pub struct Dispatcher {
    shared: Arc<Shared>,
    fresh: mpsc::Receiver<Job>,
    wake: Arc<Notify>,
    concurrency: usize,
}

struct Shared {
    pool: PgPool,
    sender: Sender,
    targets: Targets,
}

impl Dispatcher {
    /// A dispatcher, and where fresh deliveries leased to it are handed over.
    pub fn new(settings: Settings) -> (mpsc::Sender<Job>, Self) {
        let (hand_over, fresh) = mpsc::channel(settings.concurrency);
        let targets = Targets::new(settings.pool.clone(), settings.key);
        let shared = Arc::new(Shared { pool: settings.pool, sender: settings.sender, targets });
        (hand_over, Self { shared, fresh, wake: settings.wake, concurrency: settings.concurrency })
    }

    /// Sends until told to stop; then lets requests under way end and gives the rest back.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let (done, results) = mpsc::channel(self.concurrency);
        let finisher = finisher::run(self.shared.pool.clone(), results);
        let ((), ()) = tokio::join!(self.dispatch(done, &stop), finisher);
        Ok(())
    }

    /// Sends everything that is due now, and what its answers make due, then returns. For tests.
    pub async fn drain(&mut self) -> anyhow::Result<usize> {
        let mut sent = 0;
        loop {
            let (done, results) = mpsc::channel(self.concurrency);
            let mut jobs = Vec::new();
            while let Ok(job) = self.fresh.try_recv() {
                jobs.push(job);
            }
            jobs.extend(claim(&self.shared.pool, most(self.concurrency), most(PER_ENDPOINT)).await?);
            if jobs.is_empty() {
                return Ok(sent);
            }
            sent += jobs.len();
            let mut under_way: JoinSet<()> = JoinSet::new();
            for job in jobs {
                under_way.spawn(deliver(Arc::clone(&self.shared), job, done.clone()));
            }
            drop(done);
            finisher::run(self.shared.pool.clone(), results).await;
            under_way.join_all().await;
        }
    }

    async fn dispatch(&mut self, done: mpsc::Sender<Done>, stop: &CancellationToken) {
        let mut under_way: JoinSet<()> = JoinSet::new();
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut look = true;
        loop {
            let free = self.concurrency - under_way.len();
            if look && free > 0 {
                let claimed = self.claim(free).await;
                look = !claimed.is_empty();
                for job in claimed {
                    under_way.spawn(deliver(Arc::clone(&self.shared), job, done.clone()));
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                Some(job) = self.fresh.recv(), if under_way.len() < self.concurrency => {
                    under_way.spawn(deliver(Arc::clone(&self.shared), job, done.clone()));
                }
                () = self.wake.notified() => look = true,
                _ = poll.tick() => look = true,
            }
        }
        self.wind_down(under_way, done).await;
    }

    async fn claim(&self, free: usize) -> Vec<Job> {
        match claim(&self.shared.pool, most(free), most(PER_ENDPOINT)).await {
            Ok(jobs) => jobs,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "due deliveries cannot be claimed right now"
                );
                Vec::new()
            }
        }
    }

    async fn wind_down(&mut self, mut under_way: JoinSet<()>, done: mpsc::Sender<Done>) {
        self.fresh.close();
        while let Some(job) = self.fresh.recv().await {
            if done.send(Done::Unsent(job)).await.is_err() {
                return;
            }
        }
        drop(done);
        let ended = async { while under_way.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_GRACE, ended).await.is_err() {
            // Nobody knows whether these were received: their leases run out, and they are sent again.
            tracing::warn!("callbacks still under way are abandoned and will be sent again");
        }
    }
}

fn most(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// One delivery from claim to result.
async fn deliver(shared: Arc<Shared>, job: Job, done: mpsc::Sender<Done>) {
    let result = if job.leased_at.elapsed() > LONGEST_WAIT {
        Done::Unsent(job)
    } else {
        match shared.targets.of(&job).await {
            Ok(Some(target)) => attempt(&shared.sender, job, &target).await,
            Ok(None) => Done::Orphaned(job),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, endpoint.id = %job.endpoint_id, "an endpoint cannot be read; its delivery waits");
                // Not given back at once, or it would be claimed and fail again in a hot loop: the lease runs out.
                return;
            }
        }
    };
    // The finisher outlives every delivery, unless the process is being torn down.
    let _ = done.send(result).await;
}

async fn attempt(sender: &Sender, job: Job, target: &Target) -> Done {
    let at = Utc::now();
    let (outcome, record) = match compose(&job, target, at) {
        Ok(request) => {
            let attempt = sender.send(request).await;
            (attempt.outcome(), record(attempt, at))
        }
        Err(error) => (Outcome::Failed { kind: error.kind() }, not_sent(&error, at)),
    };
    let moment = Moment { now: Utc::now(), jitter: Jitter::per_mille(fastrand::u16(0..=1000)) };
    let verdict = target.policy.verdict(&outcome, job.tries(), moment);
    measure::attempt(&job, &verdict, (record.durations.total, moment.now));
    tracing::info!(
        delivery.id = %job.delivery_id, endpoint.id = %job.endpoint_id, event.id = %job.told.event_id,
        attempt = job.attempts, status_code = record.status_code, duration_ms = record.durations.total,
        error = record.error, ?verdict, "attempt"
    );
    Done::Tried { job, verdict, attempt: Box::new(record) }
}
