//! Writes back how attempts went, in batches: whatever has gathered since the last write. While much is sent, successes
//! that nobody waits for gather for some milliseconds more; what is lost with them in a crash is sent again.

use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::aside::{self, Held};
use super::verdicts;
use crate::model::announcement;
use crate::model::attempt::AttemptRecord;
use crate::model::breaker::Change;
use crate::model::delivery::Job;
use crate::model::queue::{Effect, HandOver, Place};
use crate::model::retry::Verdict;
use crate::store;
use crate::store::session::Session;

const LARGEST_BATCH: usize = 500;

/// The least time between the beginnings of two writes: few large commits cost less than many small ones. When little
/// happens nothing waits.
const SPACING: Duration = Duration::from_millis(10);

/// How long a write may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long to wait before a database that is not available is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// How a job ended.
#[derive(Debug)]
pub(super) enum Done {
    /// It was sent, or failed to be.
    Tried(Box<Tried>),
    /// Its endpoint is gone: owed no more.
    Orphaned(Job),
    /// It was not sent after all: it is due after this wait, and the attempt does not count.
    Unsent(Job, Duration),
    /// It was not sent because deliveries of its order come first: it has to stand in line.
    OutOfLane(Job),
}

/// A delivery that was tried.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) job: Job,
    pub(super) verdict: Verdict,
    /// The wait that the receiver asked for.
    pub(super) asked: Option<Duration>,
    pub(super) attempt: AttemptRecord,
    /// What it means for the endpoint.
    pub(super) effect: Effect,
}

impl Tried {
    /// A success that neither the endpoint's health nor its breaker takes note of.
    pub(super) fn is_plain(&self) -> bool {
        self.verdict == Verdict::Succeeded && !self.effect.first_success && self.effect.change.is_none()
    }
}

impl Done {
    pub(super) fn job(&self) -> &Job {
        match self {
            Self::Tried(tried) => &tried.job,
            Self::Orphaned(job) | Self::Unsent(job, _) | Self::OutOfLane(job) => job,
        }
    }

    /// Somebody waits for it to be written: a lane, a breaker, or whoever shall have it next.
    fn is_urgent(&self) -> bool {
        match self {
            Self::Tried(tried) => !tried.is_plain() || tried.job.in_lane,
            Self::Orphaned(_) | Self::Unsent(..) | Self::OutOfLane(_) => true,
        }
    }
}

/// How often a batch is begun again at once because other transactions came first.
const MOST_RACES: u32 = 50;

/// Writes back until every sender of `done` is gone. What endpoints that answer again are owed is hastened.
pub(super) async fn run(pool: PgPool, queues: HandOver, mut done: mpsc::Receiver<Done>) {
    let (recovered, answering) = mpsc::unbounded_channel();
    let (refused, refusals) = mpsc::channel(aside::QUEUE);
    let (session, held) = (Session::new(pool.clone()), Held::default());
    let (here, there) = (recovered.clone(), recovered);
    let write = async {
        let mut batch = Vec::with_capacity(LARGEST_BATCH);
        let mut began = None;
        while done.recv_many(&mut batch, LARGEST_BATCH).await > 0 {
            if let Some(began) = began {
                gather(&mut done, &mut batch, began + SPACING).await;
            }
            began = Some(Instant::now());
            let (stuck, batch) = held.split(std::mem::take(&mut batch));
            put_off(&refused, stuck);
            if write(&session, &batch).await {
                settle(&queues, &batch, &here);
            } else {
                put_off(&refused, batch);
            }
        }
        drop((refused, here));
    };
    let waiting = async {
        let written = |written: &[Done]| settle(&queues, written, &there);
        Box::pin(aside::run((pool.clone(), held.clone()), refusals, written)).await;
        drop(there);
    };
    tokio::join!(write, waiting, hasten(&pool, &queues, answering));
}

fn put_off(refused: &mpsc::Sender<Vec<Done>>, batch: Vec<Done>) {
    if batch.is_empty() {
        return;
    }
    if let Err(error) = refused.try_send(batch) {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "attempts cannot be written back and will be sent again"
        );
    }
}

/// Waits for more results until then, unless somebody waits for one of them.
async fn gather(done: &mut mpsc::Receiver<Done>, batch: &mut Vec<Done>, until: Instant) {
    let mut looked_at = 0;
    while batch.len() < LARGEST_BATCH && !batch[looked_at..].iter().any(Done::is_urgent) {
        looked_at = batch.len();
        match timeout_at(until, done.recv_many(batch, LARGEST_BATCH - looked_at)).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
}

/// What the queues wait for has been written.
fn settle(queues: &HandOver, batch: &[Done], recovered: &mpsc::UnboundedSender<(Place, Duration)>) {
    for done in batch {
        let Done::Tried(tried) = done else { continue };
        let id = tried.job.endpoint_id;
        match tried.effect.change {
            Some(Change::Opened { .. }) => queues.with(|queues| queues.shutting_is_known(id)),
            // Whoever hastens outlives this.
            Some(Change::Closed { within }) => drop(recovered.send(((tried.job.partner_id, id), within))),
            None if tried.verdict == Verdict::Gone => queues.with(|queues| queues.shutting_is_known(id)),
            None => {}
        }
        if tried.verdict != Verdict::Succeeded {
            queues.with(|queues| queues.failure_is_written(id));
        }
    }
    queues.touch();
}

async fn hasten(pool: &PgPool, queues: &HandOver, mut answering: mpsc::UnboundedReceiver<(Place, Duration)>) {
    while let Some((place, within)) = answering.recv().await {
        if !within.is_zero()
            && let Err(error) =
                store::within(DEADLINE, store::delivery::hasten::hasten(pool, place, within)).await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                endpoint.id = %place.1,
                "deliveries of an endpoint that answers again wait for their own time"
            );
        }
        queues.note_due(&[place.1]);
    }
}

/// `false`: the database takes others, but not this batch as it is.
async fn write(session: &Session, batch: &[Done]) -> bool {
    let mut races = 0;
    loop {
        match write_once(session, batch).await {
            Ok(()) => return true,
            // Another transaction was in the way.
            Err(store::Error::Contended(_)) if races < MOST_RACES => races += 1,
            Err(error) if error.is_unavailable() => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    attempts = batch.len(),
                    "attempts wait for the database"
                );
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    attempts = batch.len(),
                    "attempts cannot be written back together; they are written in parts"
                );
                return false;
            }
        }
    }
}

pub(super) async fn write_once(session: &Session, batch: &[Done]) -> store::Result<()> {
    let late = store::within(DEADLINE, verdicts::write(session, batch)).await?;
    count(batch);
    if late > 0 {
        metrics::counter!("relay_delivery_late_write_backs_total").increment(late as u64);
        tracing::warn!(
            late,
            "attempts came back after their lease had passed to another process; its result stands"
        );
    }
    Ok(())
}

fn count(batch: &[Done]) {
    for done in batch {
        let outcome = match done {
            Done::Tried(tried) => match tried.verdict {
                Verdict::Succeeded => "succeeded",
                Verdict::Retry { .. } => "failed",
                // Nobody waits for a test that failed, so nobody is to be woken for it.
                Verdict::Exhausted if announcement::is_test(&tried.job.told.event) => "failed",
                Verdict::Exhausted => "exhausted",
                Verdict::Gone => "gone",
            },
            Done::Orphaned(_) => "cancelled",
            Done::Unsent(..) | Done::OutOfLane(_) => "unsent",
        };
        metrics::counter!("relay_deliveries_total", "outcome" => outcome).increment(1);
    }
}
