//! What the writer does while the database is away: append, and drain when it is back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::spool::{Spool, SpoolError};
use super::super::{Fate, Heard, Waiting};
use super::{ADOPT, LARGEST_BATCH, LOOK, PAUSE, QUEUE, Writer, count, end_span, settle};
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
            self.spool_batch(batch).await;
        }
    }

    pub(super) async fn spool_batch(&self, batch: Vec<Waiting>) {
        // Nobody waits for these, so nobody would send them again.
        let unanswered = batch.iter().filter(|waiting| waiting.reply.is_none());
        let unanswered = unanswered.filter_map(|one| Some((one.heard.partner_id?, one.heard.at)));
        let unanswered: Vec<_> = unanswered.collect();
        let (heard, replies): (Vec<Heard>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.heard, waiting.reply)).unzip();
        let (messages, count) = (heard.len(), heard.len() as u64);
        let spans: Vec<Span> = heard.iter().filter_map(|heard| heard.trace.clone()).collect();
        let appended = self.with_spool(move |spool| spool.append(&heard)).await;
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
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    messages = count,
                    "messages are lost: they can be neither kept nor spooled"
                );
            }
        }
        self.flow.settle(messages);
        self.note_spool();
    }

    /// Commits the oldest batch of the spool. `false`: the database cannot take it, ask again later.
    pub(super) async fn drain_spool(&mut self) -> bool {
        // Behind a spool everything is spooled at once: whoever waits for an answer gets it.
        let drained = self.drain_batch(Arc::clone(&self.spool), 0).await;
        self.note_spool();
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
                tracing::error!(error = &error as &dyn std::error::Error, "the spool cannot be read");
                return false;
            }
        };
        let directory = self.directory.borrow().clone();
        let sink = self.sink.clone();
        let fates = self.while_hearing(most_waiting, sink.write_late(&heard, &directory)).await;
        self.note_kept(&fates);
        if fates.iter().any(Option::is_none) {
            return false;
        }
        let advanced = on_disk(&spool, move |spool| spool.advance(end).map_err(SpoolError::from)).await;
        if let Err(error) = advanced {
            tracing::error!(error = &error as &dyn std::error::Error, "the spool cannot be written");
            return false;
        }
        fates.into_iter().flatten().for_each(count);
        tracing::info!(messages = heard.len(), "spooled messages are kept");
        true
    }

    async fn with_spool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Spool) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        on_disk(&self.spool, work).await
    }

    pub(super) fn note_spool(&self) {
        let bytes = self.spool.lock().unwrap_or_else(PoisonError::into_inner).bytes();
        #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes on a disk")]
        metrics::gauge!("relay_spool_bytes").set(bytes as f64);
        self.health.send_modify(|health| health.spooled_bytes = bytes);
    }
}

/// Disk work happens away from the tasks that must not wait.
async fn on_disk<T: Send + 'static>(
    spool: &Arc<Mutex<Spool>>,
    work: impl FnOnce(&mut Spool) -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, SpoolError> {
    let spool = Arc::clone(spool);
    let done =
        tokio::task::spawn_blocking(move || work(&mut spool.lock().unwrap_or_else(PoisonError::into_inner)));
    done.await.unwrap_or_else(|error| Err(SpoolError::Io(std::io::Error::other(error))))
}
