//! What the writer does while the database is away: append, and drain when it is back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::batch::Outcome;
use super::super::spool::{Spool, SpoolError};
use super::super::told::Line;
use super::super::{Fate, Heard, Waiting};
use super::disk::note_written;
use super::{ADOPT, LARGEST_BATCH, LOOK, OnDisk, PAUSE, QUEUE, Writer, count, end_span, settle};
use crate::trace::Span;

impl Writer {
    pub(super) fn is_spooling(&self) -> bool {
        !self.spool.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(super) async fn spool_queue(&mut self) {
        let mut batch = Vec::new();
        while batch.len() < LARGEST_BATCH
            && let Ok(waiting) = self.queue.try_recv()
        {
            batch.push(waiting);
        }
        if !batch.is_empty() {
            self.spool_batch(batch, OnDisk::Spool).await;
        }
    }

    pub(super) async fn spool_batch(&self, batch: Vec<Waiting>, place: OnDisk) {
        let batch = self.without_excess_strangers(batch);
        if batch.is_empty() {
            return;
        }
        // Nobody waits for these, so nobody would send them again.
        let unanswered = batch.iter().filter(|waiting| waiting.reply.is_none());
        let unanswered = unanswered.filter_map(|one| Some((one.heard.partner_id?, one.heard.at)));
        let unanswered: Vec<_> = unanswered.collect();
        let (heard, replies): (Vec<Heard>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.heard, waiting.reply)).unzip();
        let (messages, count) = (heard.len(), heard.len() as u64);
        let spans: Vec<Span> = heard.iter().filter_map(|heard| heard.trace.clone()).collect();
        let appended = match place {
            OnDisk::Spool => self.with_spool(move |spool| spool.append(&heard)).await,
            OnDisk::Aside => self.aside.append(heard, false).await,
        };
        note_written(
            &self.health,
            &appended,
            self.spool.lock().unwrap_or_else(PoisonError::into_inner).waiting(),
        );
        match appended {
            Ok(()) => {
                for span in &spans {
                    end_span(Some(span), Fate::Spooled);
                }
                for reply in replies {
                    settle(reply, Fate::Spooled);
                }
            }
            // The callers see their reply dropped and tell their own callers to come again; the rest becomes a gap.
            Err(error) => {
                self.flow.lose(unanswered);
                metrics::counter!("relay_intake_refused_total").increment(count);
                self.health.send_modify(|health| health.refused += count);
                if let Some(messages) = self.flow.told.times(Line::Lost, count) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        messages,
                        "messages are lost: they can be neither kept nor spooled"
                    );
                }
            }
        }
        self.flow.settle(messages);
        self.aside.note();
    }

    /// Commits the oldest batch of the spool. `false`: the database cannot take it, ask again later.
    pub(super) async fn drain_spool(&mut self) -> bool {
        // Behind a spool everything is spooled at once: whoever waits for an answer gets it.
        let drained = self.drain_batch(Arc::clone(&self.spool), 0).await;
        self.aside.note();
        drained
    }

    /// Commits the oldest batch of what a process that is gone has left on disk. Answers when to go on.
    pub(super) async fn drain_orphan(&mut self) -> Duration {
        let orphan = match self.orphan.take() {
            Some(orphan) => orphan,
            None => match self.with_spool(|spool| spool.adopt().map_err(SpoolError::from)).await {
                Ok(Some(left)) => {
                    tracing::info!(
                        bytes = left.bytes(),
                        "messages that another process left on disk are taken over"
                    );
                    Arc::new(Mutex::new(left))
                }
                Ok(None) => return ADOPT,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the other places of the spool cannot be looked at"
                    );
                    return ADOPT;
                }
            },
        };
        let drained = self.drain_batch(Arc::clone(&orphan), QUEUE / 2).await;
        if !orphan.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            self.orphan = Some(orphan);
        }
        // What is heard meanwhile gets its turn in between.
        if drained { LOOK } else { PAUSE }
    }

    async fn drain_batch(&mut self, spool: Arc<Mutex<Spool>>, most_waiting: usize) -> bool {
        let peeked = on_disk(&spool, |spool| spool.peek(LARGEST_BATCH).map_err(SpoolError::from)).await;
        let (heard, end) = match peeked {
            Ok(peeked) => peeked,
            Err(error) => {
                self.tell_disk(&error);
                return false;
            }
        };
        let directory = self.directory.borrow().clone();
        let sink = self.sink.clone();
        let written = Box::pin(sink.write_late(&heard, &directory));
        let outcomes = self.while_hearing(most_waiting, written).await;
        self.note_kept(&outcomes);
        let messages = heard.len();
        let (mut again, mut aside) = (Vec::new(), Vec::new());
        for (heard, outcome) in heard.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Done(fate) => count(fate),
                Outcome::Aside => aside.push(heard),
                Outcome::NotNow => again.push(heard),
            }
        }
        if !aside.is_empty() && self.aside.append(aside.clone(), true).await.is_err() {
            again.append(&mut aside);
        }
        let (left, is_over) = (again.len(), again.is_empty());
        if left > 0 && left == messages {
            return false;
        }
        // What went must not be handed out again because something else did not.
        if let Err(error) = on_disk(&spool, move |spool| spool.turn(end, &again)).await {
            self.tell_disk(&error);
            return false;
        }
        tracing::info!(messages = messages - left, "spooled messages are kept");
        is_over
    }

    fn tell_disk(&self, error: &SpoolError) {
        if self.flow.told.times(Line::Disk, 1).is_some() {
            tracing::error!(error = error as &dyn std::error::Error, "the spool cannot be read or written");
        }
    }

    async fn with_spool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Spool) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        on_disk(&self.spool, work).await
    }
}

/// Disk work happens away from the tasks that must not wait.
pub(super) async fn on_disk<T: Send + 'static>(
    spool: &Arc<Mutex<Spool>>,
    work: impl FnOnce(&mut Spool) -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, SpoolError> {
    let spool = Arc::clone(spool);
    let done =
        tokio::task::spawn_blocking(move || work(&mut spool.lock().unwrap_or_else(PoisonError::into_inner)));
    done.await.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
}
