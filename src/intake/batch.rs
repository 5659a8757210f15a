//! What becomes of one batch: decoded, committed, or put aside.
//!
//! Guarantees: a message is quarantined only for what it is itself, and said to be only once it is. What the database does
//! not take for any other reason is left to the writer, which has a disk.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use sqlx::PgPool;

use super::commit::{Committed, Desk, commit};
use super::decode::{Decoded, decode_with};
use super::directory::Directory;
use super::divide::{Batch, Held, Placed};
use super::erased::Erased;
use super::flow::Flow;
use super::owe::Owed;
use super::suspicion::Suspicion;
use super::{Fate, Heard};
use crate::model::delivery::Job;
use crate::model::event::{NewEvent, Source};
use crate::model::queue::HandOver;
use crate::store::delivery::claim::release;
use crate::store::{self, again};
use crate::trace::{self, KeyValue};

/// A database that takes longer than this for one batch counts as not available: the batch is spooled instead. It may
/// have been committed all the same; then it is heard a second time, which identity makes harmless.
pub(super) const COMMIT_DEADLINE: Duration = Duration::from_secs(5);

/// Why a message is put aside that could be read but not kept.
pub(super) const REFUSED: &str = "the database refused it";

/// How often a batch is begun again at once because other transactions came first.
const MOST_RACES: usize = 50;

/// How long it is tried at once on other sessions when the server has ended one; each of many is found out by trying it. What
/// was committed all the same is heard a second time, which identity makes harmless. Longer, and whoever waits is better
/// served by the disk.
pub(super) const AGAIN: Duration = Duration::from_millis(500);

/// What came of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done(Fate),
    /// The database answers, but does not take this one now: it waits aside, and nothing waits for it.
    Aside,
    /// The database cannot take anything right now.
    NotNow,
}

/// The database cannot take anything right now.
#[derive(Debug)]
pub(super) struct Unavailable;

/// The database answers, but does not take this.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// One of the events is what it will never take.
    Poison(store::Error),
    /// Somebody holds a lock that one of them needs.
    Locked(store::Error),
    /// It is none of the events' fault.
    Unexpected(store::Error),
}

/// What a batch is written with.
#[derive(Clone)]
pub(super) struct Sink {
    pub(super) pool: PgPool,
    pub(super) desk: Arc<Desk>,
    /// Takes fresh deliveries straight to a local dispatcher.
    pub(super) hand_over: Option<HandOver>,
    /// Hurries the care of tokens when a partner's messages do not verify.
    pub(super) suspicion: Suspicion,
    /// How often an order under way is compared with Transak's own record.
    pub(super) reconcile_every: Duration,
    /// Deliveries are due that a dispatcher elsewhere has to be told of.
    pub(super) due: Arc<AtomicBool>,
    /// Where what is lost is noted.
    pub(super) flow: Arc<Flow>,
    /// Orders whose messages wait aside.
    pub(super) held: Held,
    /// What cannot go is divided until the single events are found that cannot; otherwise all of it waits aside, quickly.
    pub(super) divides: bool,
    /// What was last written at all was refused, though no event was at fault.
    pub(super) is_refused: Arc<AtomicBool>,
}

impl Sink {
    /// Writes messages. Answers what came of each.
    pub(super) async fn write(&self, messages: &[Heard], directory: &Directory) -> Vec<Outcome> {
        let decoded = decode_all(messages, directory).map(Some).collect();
        let outcomes = self.keep(messages, decoded).await;
        // Whoever sent a webhook is told that it is not kept.
        self.note_refused(messages, &outcomes, |heard| heard.source == Source::Stream);
        outcomes
    }

    /// The same for messages that were heard some time ago: those about orders that were erased since are forgotten.
    pub(super) async fn write_late(&self, messages: &[Heard], directory: &Directory) -> Vec<Outcome> {
        let decoded: Vec<Decoded> = decode_all(messages, directory).collect();
        let Ok(erased) = self.erased(messages, &decoded).await else {
            return vec![Outcome::NotNow; messages.len()];
        };
        let left = decoded.into_iter().zip(erased).map(|(decoded, erased)| (!erased).then_some(decoded));
        let outcomes = self.keep(messages, left.collect()).await;
        // Whoever sent them was told that they are kept.
        self.note_refused(messages, &outcomes, |_| true);
        outcomes
    }

    /// `None`: it is to be forgotten.
    async fn keep(&self, messages: &[Heard], decoded: Vec<Option<Decoded>>) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::NotNow; messages.len()];
        let (mut events, mut put_aside) = (Placed::default(), Vec::new());
        for (at, decoded) in decoded.into_iter().enumerate() {
            match decoded {
                None => outcomes[at] = Outcome::Done(Fate::Erased),
                Some(Decoded::Event(event)) => events.push(at, *event),
                Some(Decoded::Unverified(message)) => put_aside.push((at, *message, Fate::Unverified)),
                Some(Decoded::Quarantine(message)) => put_aside.push((at, *message, Fate::Quarantined)),
                Some(Decoded::Test) => {
                    tracing::info!(
                        source = messages[at].source.as_str(),
                        "Transak's canned test order arrived; it is not kept"
                    );
                    outcomes[at] = Outcome::Done(Fate::Test);
                }
            }
        }
        // Each is as large as all the columns of its statements.
        if Box::pin(Batch::new(self, messages, &mut outcomes).write(events)).await.is_ok() {
            Box::pin(self.put_all_aside(put_aside, &mut outcomes)).await;
        }
        outcomes
    }

    /// Which of these messages are about orders that were erased since they were heard.
    async fn erased(&self, messages: &[Heard], decoded: &[Decoded]) -> Result<Vec<bool>, Unavailable> {
        let look = again(|| async { Erased::of(&mut *self.pool.acquire().await?, messages, decoded).await });
        let erased = store::within(COMMIT_DEADLINE, look).await.map_err(|error| self.away(&error))?;
        let messages = messages.iter().zip(decoded);
        Ok(messages.map(|(heard, decoded)| erased.has(heard, decoded)).collect())
    }

    /// It takes nothing, and the log says why.
    pub(super) fn away(&self, error: &store::Error) -> Unavailable {
        self.flow.told.away(error);
        Unavailable
    }

    /// Commits, again and again while another transaction comes first.
    pub(super) async fn commit(
        &self,
        events: &[NewEvent],
    ) -> Result<Result<Committed, Obstacle>, Unavailable> {
        let (mut races, mut ended) = (0, None::<Instant>);
        loop {
            let began = Instant::now();
            // As large as all the columns of its statements.
            let commit =
                Box::pin(commit(&self.desk, events, (self.hand_over.as_ref(), self.reconcile_every)));
            let left = ended.map_or(COMMIT_DEADLINE, |ended| AGAIN.saturating_sub(ended.elapsed()));
            let committed = tokio::time::timeout(left, commit).await;
            count(events.len(), began.elapsed());
            trace_commit(events, began.elapsed());
            let error = match committed {
                Ok(Ok(committed)) => {
                    self.flow.told.is_back();
                    self.is_refused.store(false, Ordering::Release);
                    return Ok(Ok(committed));
                }
                Ok(Err(error)) => error,
                Err(_) => return Err(self.away(&store::Error::Unavailable(late()))),
            };
            match error {
                store::Error::Contended(_) if races < MOST_RACES => races += 1,
                error if error.is_session_ended() && ended.is_none_or(|ended| ended.elapsed() < AGAIN) => {
                    ended.get_or_insert_with(Instant::now);
                }
                error if error.is_unavailable() => return Err(self.away(&error)),
                error => return Ok(Err(Obstacle::of(error))),
            }
        }
    }

    pub(super) async fn hand_over(&self, owed: Owed) {
        let mut ours = false;
        if let Some(hand_over) = &self.hand_over {
            let refused = hand_over.give(owed.jobs);
            ours = owed.due.is_empty() || hand_over.note_due(&owed.due);
            if !refused.is_empty() {
                self.give_back(&refused).await;
            }
        }
        if !owed.due.is_empty() && !ours {
            self.due.store(true, Ordering::Release);
        }
    }

    /// Nothing is sent here any more: somebody else may send them. If that cannot be written, their leases run out.
    async fn give_back(&self, jobs: &[Job]) {
        let jobs: Vec<_> = jobs.iter().map(|job| (job, Duration::ZERO)).collect();
        let released = async {
            let mut tx = self.pool.begin().await?;
            let released = release(&mut tx, &jobs).await?;
            tx.commit().await?;
            store::Result::Ok(released)
        };
        match tokio::time::timeout(COMMIT_DEADLINE, released).await {
            Ok(Ok(_)) => self.due.store(true, Ordering::Release),
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn Error, "deliveries wait for the end of their leases");
            }
            Err(_) => tracing::warn!("deliveries wait for the end of their leases"),
        }
    }
}

/// Nothing came before the deadline.
fn late() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

impl Obstacle {
    fn of(error: store::Error) -> Self {
        match error {
            store::Error::Refused(_) => Self::Poison(error),
            store::Error::Locked(_) => Self::Locked(error),
            error => Self::Unexpected(error),
        }
    }
}

fn decode_all(messages: &[Heard], directory: &Directory) -> impl Iterator<Item = Decoded> {
    messages.iter().map(|heard| decode_with(directory, heard))
}

/// The commit in the trace of each event that has one.
fn trace_commit(events: &[NewEvent], took: Duration) {
    if !trace::is_on() {
        return;
    }
    let start = Utc::now() - took;
    let size = i64::try_from(events.len()).unwrap_or(i64::MAX);
    for event in events {
        if let Some(place) = event.trace {
            let id = KeyValue::new("relay.event.id", event.event_id.to_string());
            trace::record("commit", (place, start), [id, KeyValue::new("relay.batch.events", size)]);
        }
    }
}

/// Whatever came of it: a commit that failed took its time as well.
fn count(events: usize, took: Duration) {
    #[expect(clippy::cast_precision_loss, reason = "a batch has hundreds of events")]
    metrics::histogram!("relay_intake_batch_events").record(events as f64);
    metrics::histogram!("relay_intake_commit_duration_seconds").record(took);
}
