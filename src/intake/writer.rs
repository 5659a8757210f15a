//! The one task that writes what is heard. It takes whatever has gathered since the last commit, so that batches are
//! small when little happens and large when much does, without ever waiting for a batch to fill.

use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::commit::{CommitError, Committed, commit};
use super::decode::{Decoded, decode};
use super::directory::Watch;
use super::{Fate, Intake, Waiting};
use crate::model::delivery::Job;
use crate::model::event::NewEvent;
use crate::store::quarantine::write::{Quarantined, insert as quarantine};
use crate::store::{self};

/// The most messages of one transaction: larger ones gain nothing and make everybody wait longer.
const LARGEST_BATCH: usize = 500;

/// How long to wait before a database that is not available is asked again.
const PAUSE: Duration = Duration::from_millis(500);

type Reply = Option<oneshot::Sender<Fate>>;

/// Writes what an [`Intake`] takes.
pub struct Writer {
    pool: PgPool,
    directory: Watch,
    queue: mpsc::Receiver<Waiting>,
    hand_over: Option<mpsc::Sender<Job>>,
}

impl Writer {
    /// A writer and the handle that feeds it. `hand_over` takes fresh deliveries straight to a local dispatcher.
    pub fn new(pool: PgPool, directory: Watch, hand_over: Option<mpsc::Sender<Job>>) -> (Intake, Self) {
        let (intake, queue) = Intake::channel();
        (intake, Self { pool, directory, queue, hand_over })
    }

    /// Runs until told to stop, then writes what was already taken.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut batch = Vec::with_capacity(LARGEST_BATCH);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                taken = self.queue.recv_many(&mut batch, LARGEST_BATCH) => if taken == 0 { break },
            }
            self.write(&mut batch).await;
        }
        self.queue.close();
        while self.queue.recv_many(&mut batch, LARGEST_BATCH).await > 0 {
            self.write(&mut batch).await;
        }
        Ok(())
    }

    /// Writes everything that was taken so far. For tests, in place of [`Writer::run`].
    pub async fn drain(&mut self) {
        let mut batch = Vec::new();
        while let Ok(waiting) = self.queue.try_recv() {
            batch.push(waiting);
        }
        self.write(&mut batch).await;
    }

    async fn write(&self, batch: &mut Vec<Waiting>) {
        let directory = self.directory.borrow().clone();
        let (mut events, mut replies, mut aside) = (Vec::new(), Vec::new(), Vec::new());
        for Waiting { heard, reply } in batch.drain(..) {
            let keys = heard.partner_id.map_or(&[][..], |partner| directory.keys(partner));
            match decode(&heard, keys) {
                Decoded::Event(event) => {
                    events.push(*event);
                    replies.push(reply);
                }
                Decoded::Quarantine(message) => aside.push((*message, reply)),
            }
        }
        if !events.is_empty() {
            self.write_events(events, replies).await;
        }
        for (message, reply) in aside {
            self.put_aside(message, reply).await;
        }
    }

    async fn write_events(&self, events: Vec<NewEvent>, replies: Vec<Reply>) {
        match self.commit_until_available(&events).await {
            Ok(committed) => self.settle(committed, replies),
            // One of them is what the database will never take: find it, and keep the others.
            Err(error) if events.len() > 1 => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    events = events.len(),
                    "a batch was refused and is written one by one"
                );
                for (event, reply) in events.into_iter().zip(replies) {
                    Box::pin(self.write_events(vec![event], vec![reply])).await;
                }
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an event was refused by the database and is quarantined"
                );
                for (event, reply) in events.into_iter().zip(replies) {
                    self.put_aside(refused(event), reply).await;
                }
            }
        }
    }

    /// Commits, as often as it takes while waiting may help.
    async fn commit_until_available(&self, events: &[NewEvent]) -> Result<Committed, store::Error> {
        loop {
            let slots = self.hand_over.as_ref().map_or(0, mpsc::Sender::capacity);
            match commit(&self.pool, events, slots).await {
                Ok(committed) => return Ok(committed),
                Err(CommitError::Raced | CommitError::Store(store::Error::Contended(_))) => {}
                Err(CommitError::Store(error)) if error.is_unavailable() => {
                    metrics::counter!("relay_intake_unavailable_total").increment(1);
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        events = events.len(),
                        "events wait for the database"
                    );
                    tokio::time::sleep(PAUSE).await;
                }
                Err(CommitError::Store(error)) => return Err(error),
            }
        }
    }

    fn settle(&self, committed: Committed, replies: Vec<Reply>) {
        for (fate, reply) in committed.fates.iter().zip(replies) {
            count(*fate);
            answer(reply, *fate);
        }
        let Some(hand_over) = &self.hand_over else { return };
        for job in committed.jobs {
            // Refused only while stopping: the lease then runs out and another process sends it.
            if hand_over.try_send(job).is_err() {
                tracing::debug!("a fresh delivery could not be handed over; it is sent when its lease ends");
            }
        }
    }

    async fn put_aside(&self, message: Quarantined, reply: Reply) {
        let source = message.source.as_str();
        tracing::warn!(
            source,
            reason = message.reason,
            bytes = message.raw.len(),
            "a message is quarantined"
        );
        loop {
            let mut conn = match self.pool.acquire().await {
                Ok(conn) => conn,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a quarantined message waits for the database"
                    );
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            match quarantine(&mut conn, &message).await {
                Ok(()) => break,
                Err(error) if error.is_unavailable() => tokio::time::sleep(PAUSE).await,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a message could not even be quarantined"
                    );
                    break;
                }
            }
        }
        count(Fate::Quarantined);
        answer(reply, Fate::Quarantined);
    }
}

fn refused(event: NewEvent) -> Quarantined {
    Quarantined {
        partner_id: Some(event.partner_id),
        source: event.source,
        channel: None,
        event: Some(event.event),
        reason: "the database refused it".to_owned(),
        raw: event.payload.to_vec(),
        received_at: event.received_at,
    }
}

fn answer(reply: Reply, fate: Fate) {
    if let Some(reply) = reply {
        // The caller may have gone: what it sent is kept all the same.
        let _ = reply.send(fate);
    }
}

fn count(fate: Fate) {
    let fate = match fate {
        Fate::New => "new",
        Fate::Sighted => "sighted",
        Fate::Quarantined => "quarantined",
    };
    metrics::counter!("relay_intake_messages_total", "fate" => fate).increment(1);
}
