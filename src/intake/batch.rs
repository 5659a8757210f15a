//! What becomes of one batch: decoded, committed, or put aside.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::commit::{CommitError, Committed, Desk, commit};
use super::decode::{Decoded, aside, decode_with};
use super::directory::Directory;
use super::owe::Owed;
use super::suspicion::Suspicion;
use super::{Fate, Heard};
use crate::model::delivery::Job;
use crate::model::event::NewEvent;
use crate::model::id::PartnerId;
use crate::model::quarantine::{Reason, Refusal};
use crate::model::queue::HandOver;
use crate::store::delivery::claim::release;
use crate::store::quarantine::write::{Quarantined, insert as quarantine};
use crate::store::{self, erasure};
use crate::trace::{self, KeyValue};

/// A database that takes longer than this for one batch counts as not available: the batch is spooled instead. It may
/// have been committed all the same; then it is heard a second time, which identity makes harmless.
const COMMIT_DEADLINE: Duration = Duration::from_secs(5);

/// Why a message is put aside that could be read but not kept.
pub(super) const REFUSED: &str = "the database refused it";

/// The database cannot take anything right now.
#[derive(Debug)]
pub(super) struct Unavailable;

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
}

impl Sink {
    /// Writes messages. Answers what became of each; `None` for those the database could not take now.
    pub(super) async fn write(&self, messages: &[Heard], directory: &Directory) -> Vec<Option<Fate>> {
        let decoded = decode_all(messages, directory).map(Some).collect();
        self.keep(messages, decoded).await
    }

    /// The same for messages that were heard some time ago: those about orders that were erased since are forgotten.
    pub(super) async fn write_late(&self, messages: &[Heard], directory: &Directory) -> Vec<Option<Fate>> {
        let decoded: Vec<Decoded> = decode_all(messages, directory).collect();
        let Ok(erased) = self.erased(messages, &decoded).await else { return vec![None; messages.len()] };
        let left = decoded.into_iter().zip(erased).map(|(decoded, erased)| (!erased).then_some(decoded));
        self.keep(messages, left.collect()).await
    }

    /// `None`: it is to be forgotten.
    async fn keep(&self, messages: &[Heard], decoded: Vec<Option<Decoded>>) -> Vec<Option<Fate>> {
        let mut fates = vec![None; messages.len()];
        let (mut events, mut put_aside) = (Vec::new(), Vec::new());
        for (at, decoded) in decoded.into_iter().enumerate() {
            match decoded {
                None => fates[at] = Some(Fate::Erased),
                Some(Decoded::Event(event)) => events.push((at, *event)),
                Some(Decoded::Unverified(message)) => put_aside.push((at, *message, Fate::Unverified)),
                Some(Decoded::Quarantine(message)) => put_aside.push((at, *message, Fate::Quarantined)),
                Some(Decoded::Test) => {
                    tracing::info!(
                        source = messages[at].source.as_str(),
                        "Transak's canned test order arrived; it is not kept"
                    );
                    fates[at] = Some(Fate::Test);
                }
            }
        }
        if !events.is_empty() && self.write_events((messages, events), &mut fates).await.is_err() {
            return fates;
        }
        for (at, message, fate) in put_aside {
            match self.put_aside(message).await {
                Ok(()) => fates[at] = Some(fate),
                Err(Unavailable) => break,
            }
        }
        fates
    }

    /// Which of these messages are about orders that were erased since they were heard.
    async fn erased(&self, messages: &[Heard], decoded: &[Decoded]) -> Result<Vec<bool>, Unavailable> {
        let about: Vec<_> = messages.iter().zip(decoded).map(about).collect();
        let orders: Vec<_> = about.iter().copied().flatten().collect();
        let erased = async { erasure::since(&mut *self.pool.acquire().await?, &orders).await };
        let erased = erased.await.map_err(|error| {
            tracing::debug!(error = &error as &dyn Error, "the database cannot say what was erased");
            Unavailable
        })?;
        let is_erased = |(partner, order, at): (PartnerId, &str, DateTime<Utc>)| {
            erased.iter().any(|one| (one.0, &*one.1) == (partner, order) && one.2 >= at)
        };
        Ok(about.into_iter().map(|about| about.is_some_and(is_erased)).collect())
    }

    async fn write_events(
        &self,
        (messages, events): (&[Heard], Vec<(usize, NewEvent)>),
        fates: &mut [Option<Fate>],
    ) -> Result<(), Unavailable> {
        let (places, events): (Vec<usize>, Vec<NewEvent>) = events.into_iter().unzip();
        match self.commit(&events).await? {
            Ok(committed) => {
                for (at, fate) in places.into_iter().zip(&committed.fates) {
                    fates[at] = Some(*fate);
                }
                self.hand_over(committed.owed).await;
            }
            // One of them is what the database will never take: find it, and keep the others.
            Err(error) if events.len() > 1 => {
                tracing::warn!(
                    error = &error as &dyn Error,
                    events = events.len(),
                    "a batch was refused and is written one by one"
                );
                for one in places.into_iter().zip(events) {
                    Box::pin(self.write_events((messages, vec![one]), fates)).await?;
                }
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn Error,
                    "an event was refused by the database and is quarantined"
                );
                for at in places {
                    let refusal = Refusal::new(Reason::Refused, REFUSED);
                    self.put_aside(aside(&messages[at], refusal)).await?;
                    fates[at] = Some(Fate::Quarantined);
                }
            }
        }
        Ok(())
    }

    /// Commits, again and again while another transaction is in the way.
    async fn commit(&self, events: &[NewEvent]) -> Result<Result<Committed, store::Error>, Unavailable> {
        loop {
            let began = Instant::now();
            // As large as all the columns of its statements.
            let commit =
                Box::pin(commit(&self.desk, events, (self.hand_over.as_ref(), self.reconcile_every)));
            let committed = tokio::time::timeout(COMMIT_DEADLINE, commit).await;
            count(events.len(), began.elapsed());
            trace_commit(events, began.elapsed());
            match committed {
                Ok(Ok(committed)) => return Ok(Ok(committed)),
                Ok(Err(CommitError::Store(store::Error::Contended(_)))) => {}
                Ok(Err(CommitError::Store(error))) if error.is_unavailable() => {
                    tracing::debug!(error = &error as &dyn Error, "the database cannot take a batch");
                    return Err(Unavailable);
                }
                Ok(Err(CommitError::Store(error))) => return Ok(Err(error)),
                Err(_) => return Err(Unavailable),
            }
        }
    }

    async fn hand_over(&self, owed: Owed) {
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

    async fn put_aside(&self, message: Quarantined) -> Result<(), Unavailable> {
        let (source, reason) = (message.source.as_str(), message.refusal.reason);
        tracing::warn!(
            source,
            reason = reason.as_str(),
            bytes = message.raw.len(),
            "a message is quarantined"
        );
        let inserted = async {
            let mut conn = self.pool.acquire().await?;
            quarantine(&mut conn, &message).await
        };
        match tokio::time::timeout(COMMIT_DEADLINE, inserted).await {
            Ok(Ok(())) => {
                if reason.is_curable() {
                    self.suspicion.raise();
                }
                Ok(())
            }
            Ok(Err(error)) if !error.is_unavailable() => {
                tracing::error!(error = &error as &dyn Error, "a message could not even be quarantined");
                Ok(())
            }
            _ => Err(Unavailable),
        }
    }
}

fn decode_all(messages: &[Heard], directory: &Directory) -> impl Iterator<Item = Decoded> {
    messages.iter().map(|heard| decode_with(directory, heard))
}

/// Which order a message is about, and when it was heard.
fn about<'a>((heard, decoded): (&Heard, &'a Decoded)) -> Option<(PartnerId, &'a str, DateTime<Utc>)> {
    match decoded {
        Decoded::Event(event) => Some((event.partner_id, event.order.as_ref()?.order_id.as_str(), heard.at)),
        _ => None,
    }
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
