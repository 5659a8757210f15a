//! Claims what is due and sends it, as much at once as it may, until told to stop.
//!
//! It is woken by fresh deliveries handed over, by notifications, and by a clock, so that a lost wake-up costs a
//! second and no delivery. What may be sent when is decided by the [`Queues`](crate::model::queue::Queues); here is only
//! the coming and going.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::claims::{Claims, Wanted};
use super::courier::{Courier, deliver};
use super::finisher::{self, Done};
use super::presence::Presence;
use super::recovery;
use super::sender::Sender;
use super::targets::Targets;
use crate::model::delivery::Job;
use crate::model::queue::{HandOver, Most};
use crate::model::seal::MasterKey;
use crate::store::due::Sweep;

/// How often the table is looked at without being told to. Waits of a schedule are a second at least.
const POLL: Duration = Duration::from_secs(1);

/// How long requests under way may take when the process is told to stop; later ones are given back.
const STOP_GRACE: Duration = Duration::from_secs(10);

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
    pub most: Most,
    /// Rings when deliveries became due.
    pub wake: Arc<Notify>,
}

/// Sends deliveries.
pub struct Dispatcher {
    pool: PgPool,
    courier: Arc<Courier>,
    presence: Presence,
    claims: Arc<Claims>,
    queues: HandOver,
    wake: Arc<Notify>,
    /// Rings when the queues changed.
    changed: Arc<Notify>,
    most: Most,
}

impl Dispatcher {
    /// A dispatcher, and where fresh deliveries leased to it are handed over.
    pub fn new(settings: Settings) -> (HandOver, Self) {
        let Settings { pool, key, sender, most, wake } = settings;
        let changed = Arc::new(Notify::new());
        let bell = Arc::clone(&changed);
        let queues = HandOver::new(most, move || bell.notify_one());
        let targets = Targets::new(pool.clone(), key);
        let courier = Arc::new(Courier { sender, targets, queues: queues.clone() });
        let presence = Presence::new(pool.clone());
        let claims = Arc::new(Claims::new(pool.clone(), presence.id, queues.clone()));
        (queues.clone(), Self { pool, courier, presence, claims, queues, wake, changed, most })
    }

    /// Sends until told to stop; then lets requests under way end and gives the rest back.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let (done, results) = mpsc::channel(self.most.slots);
        let ended = CancellationToken::new();
        let finisher = finisher::run(self.pool.clone(), self.queues.clone(), results);
        let recoveries = recovery::run(self.pool.clone(), stop.clone());
        let presence = self.presence.run((self.queues.clone(), &self.claims.leasing), ended.clone());
        let sending = Sending {
            courier: self.courier,
            claims: Arc::clone(&self.claims),
            queues: self.queues.clone(),
            done,
            under_way: JoinSet::new(),
        };
        let work = async {
            tokio::join!(sending.run((&self.wake, &self.changed), &stop), finisher, recoveries);
            ended.cancel();
        };
        tokio::join!(work, presence);
        Ok(())
    }

    /// Sends everything that is due now, and what its answers make due, then returns how many were sent. For tests.
    pub async fn drain(&mut self) -> anyhow::Result<usize> {
        let mut sent = 0;
        loop {
            self.presence.beat(&self.queues).await?;
            let mut sweep = Sweep::default();
            while !recovery::look_after(&self.pool, &mut sweep).await? {}
            while recovery::step(&self.pool).await? == recovery::Step::Worked {}
            self.claim_due().await?;
            let (done, results) = mpsc::channel(self.most.slots);
            let mut under_way = JoinSet::new();
            let mut started = 0;
            let work = async {
                loop {
                    while let Some(job) = self.queues.next() {
                        under_way.spawn(deliver(Arc::clone(&self.courier), job, done.clone()));
                    }
                    let Some(ended) = under_way.join_next().await else { break };
                    started += ended.unwrap_or_default();
                }
                for job in self.queues.with(|queues| queues.take_unsent(Instant::now())) {
                    let _ = done.send(Done::Unsent(job, Duration::ZERO)).await;
                }
                drop(done);
            };
            tokio::join!(work, Box::pin(finisher::run(self.pool.clone(), self.queues.clone(), results)));
            if started == 0 {
                return Ok(sent);
            }
            sent += started;
        }
    }

    /// Claims what is due and then ends as if killed, without a word to anybody. Answers how many deliveries were
    /// under way. For tests.
    pub async fn die_with_what_is_due(mut self) -> anyhow::Result<Vec<Job>> {
        self.presence.beat(&self.queues).await?;
        self.claim_due().await?;
        self.presence.vanish().await;
        Ok(self.queues.with(crate::model::queue::Queues::take_all))
    }

    async fn claim_due(&self) -> anyhow::Result<()> {
        if self.queues.with(|queues| queues.may_claim(Instant::now())) {
            self.claims.fill_once(Wanted::Anybody).await?;
        }
        loop {
            let rooms = self.queues.with(|queues| queues.wanted(Instant::now()));
            if rooms.is_empty() || self.claims.fill_once(Wanted::Of(rooms)).await? == 0 {
                return Ok(());
            }
        }
    }
}

/// The loop of a running dispatcher.
struct Sending {
    courier: Arc<Courier>,
    claims: Arc<Claims>,
    queues: HandOver,
    done: mpsc::Sender<Done>,
    /// How many each has sent when it ends.
    under_way: JoinSet<usize>,
}

impl Sending {
    async fn run(mut self, (wake, changed): (&Notify, &Notify), stop: &CancellationToken) {
        let mut claims = JoinSet::new();
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut scan = true;
        loop {
            self.start();
            self.send_back(self.queues.with(crate::model::queue::Queues::take_drained)).await;
            if claims.is_empty()
                && let Some(wanted) = self.wanted(&mut scan)
            {
                claims.spawn(claim(Arc::clone(&self.claims), wanted));
            }
            let timer = self.queues.with(|queues| queues.next_timer());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = self.under_way.join_next(), if !self.under_way.is_empty() => {}
                // What was found may not have been all.
                Some(found) = claims.join_next(), if !claims.is_empty() => scan |= found.unwrap_or_default(),
                () = changed.notified() => {}
                () = wake.notified() => scan = true,
                () = tokio::time::sleep_until(timer.unwrap_or_else(Instant::now).into()), if timer.is_some() => {}
                _ = poll.tick() => {
                    scan = true;
                    self.send_back(self.queues.with(|queues| queues.take_unsent(Instant::now()))).await;
                }
            }
        }
        self.queues.with(crate::model::queue::Queues::close);
        claims.join_all().await;
        self.wind_down().await;
    }

    /// What to claim now, if anything. `scan`: others than those that are known may be due.
    fn wanted(&self, scan: &mut bool) -> Option<Wanted> {
        let now = Instant::now();
        self.queues.with(|queues| {
            if *scan && queues.may_claim(now) {
                *scan = false;
                return Some(Wanted::Anybody);
            }
            Some(queues.wanted(now)).filter(|rooms| !rooms.is_empty()).map(Wanted::Of)
        })
    }

    fn start(&mut self) {
        while let Some(job) = self.queues.next() {
            self.under_way.spawn(deliver(Arc::clone(&self.courier), job, self.done.clone()));
        }
    }

    async fn send_back(&self, unsent: Vec<Job>) {
        for job in unsent {
            // The finisher outlives this.
            let _ = self.done.send(Done::Unsent(job, Duration::ZERO)).await;
        }
    }

    async fn wind_down(mut self) {
        self.send_back(self.queues.with(crate::model::queue::Queues::take_all)).await;
        let ended = async { while self.under_way.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_GRACE, ended).await.is_err() {
            // Nobody knows whether these were received: their leases run out, and they are sent again.
            tracing::warn!("callbacks still under way are abandoned and will be sent again");
        }
    }
}

/// Claims what is wanted. `true`: others than those that were known may be due as well.
async fn claim(claims: Arc<Claims>, wanted: Wanted) -> bool {
    let scan = matches!(wanted, Wanted::Anybody);
    claims.fill(wanted).await > 0 && scan
}
