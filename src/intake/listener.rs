//! Active-active listening: as many processes as there are slots listen at once, each on a connection of its own, and
//! the others stand by. Identity makes what is heard twice one event.
//!
//! Guarantees: a slot whose holder dies is taken by another process within a second and a connect; a span in which
//! nobody heard a partner becomes a gap row, also if every process died in it. An outage of Postgres stops nobody from
//! listening: what is noticed meanwhile is written down when it is back.
//! Does not guarantee: that every gap row is a real loss. When in doubt a gap is written, because repairing one that
//! was none costs a few requests, and missing one costs an event.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::Intake;
use super::directory::Watch;
use super::flow::{Flow, Proof};
use super::stream::{self, StreamHealth};
use crate::model::id::PartnerId;
use crate::pusher;
use crate::store::{self, listener::Slot, listener::hearing};

/// How often a process without a slot looks for a free one.
const STAND_BY: Duration = Duration::from_secs(1);

/// How often a listener shows that it lives, and looks whether its slot is still its own.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// After an outage of Postgres the former holders of the slots come first: they never stopped hearing.
const AFTER_OUTAGE: Duration = Duration::from_secs(5);

/// How long the last notes may take when the process stops.
const LAST_NOTES: Duration = Duration::from_secs(3);

/// Something to be written down about what is heard.
#[derive(Debug, Clone)]
pub(super) enum Note {
    /// A partner is heard from then on.
    Confirmed(PartnerId, DateTime<Utc>),
    /// A partner is not heard since then, and why.
    Lost(PartnerId, DateTime<Utc>, String),
    /// Messages of a partner were heard and could not be taken.
    Dropped(PartnerId, DateTime<Utc>),
}

/// What a listener works with.
pub struct Listener {
    /// Where slots and gaps are.
    pub pool: PgPool,
    /// Where to connect.
    pub pusher: pusher::Settings,
    /// Which channels are whose.
    pub directory: Watch,
    /// Where what is heard goes.
    pub intake: Intake,
    /// How many processes listen at once.
    pub copies: i32,
    /// What the stream is doing.
    pub health: watch::Sender<StreamHealth>,
}

impl Listener {
    /// Listens whenever there is a free slot, until told to stop.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        loop {
            let slot = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                slot = self.wait_for_slot() => slot,
            };
            tracing::info!(slot = slot.number, "this process listens to the stream");
            self.listen(slot, &stop).await?;
        }
    }

    async fn wait_for_slot(&self) -> Slot {
        loop {
            let pause = match self.begin().await {
                Ok(Some(slot)) => return slot,
                Ok(None) => STAND_BY,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "slots cannot be asked for right now"
                    );
                    AFTER_OUTAGE
                }
            };
            self.health.send_modify(|health| health.stands_by = true);
            tokio::time::sleep(pause).await;
        }
    }

    async fn begin(&self) -> store::Result<Option<Slot>> {
        let Some(slot) = Slot::take(&self.pool, self.copies).await? else { return Ok(None) };
        hearing::begin(&self.pool, slot.number, Utc::now()).await?;
        Ok(Some(slot))
    }

    /// Listens until told to stop or until the slot has passed to another process.
    async fn listen(&self, slot: Slot, stop: &CancellationToken) -> anyhow::Result<()> {
        let (number, session) = (slot.number, stop.child_token());
        self.health.send_replace(StreamHealth::default());
        let (notes, waiting) = mpsc::unbounded_channel();
        let stream = async {
            let feeds =
                stream::Feeds { directory: self.directory.clone(), intake: self.intake.clone(), notes };
            let ended =
                stream::listen(self.pusher.clone(), feeds, self.health.clone(), session.clone()).await;
            session.cancel();
            ended
        };
        let (ended, (), ()) = tokio::join!(
            stream,
            keep_slot((&self.pool, &self.intake.flow), slot, session.clone()),
            self.write_notes(number, waiting, stop.clone()),
        );
        ended
    }

    /// Writes notes down, in order, as long as it takes.
    async fn write_notes(
        &self,
        slot: i32,
        mut notes: mpsc::UnboundedReceiver<Note>,
        stop: CancellationToken,
    ) {
        while let Some(note) = notes.recv().await {
            let written = async {
                while let Err(error) = write_note(&self.pool, slot, &note).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a gap waits to be written down"
                    );
                    tokio::time::sleep(STAND_BY).await;
                }
            };
            let patience = async {
                stop.cancelled().await;
                tokio::time::sleep(LAST_NOTES).await;
            };
            tokio::select! {
                () = written => self.health.send_modify(|health| health.noted += 1),
                // The next listener on this slot writes the gap down from the last heartbeat.
                () = patience => return,
            }
        }
    }
}

/// Shows signs of life while the slot is held; ends the session when another process has it.
async fn keep_slot((pool, flow): (&PgPool, &Flow), mut slot: Slot, session: CancellationToken) {
    let mut proof = Proof::default();
    loop {
        tokio::select! {
            biased;
            () = session.cancelled() => return,
            () = tokio::time::sleep(HEARTBEAT) => {}
        }
        if slot.is_held().await {
            if let Err(error) = beat((pool, flow), slot.number, &mut proof).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the listener cannot show that it lives"
                );
            }
            continue;
        }
        match Slot::take_number(pool, slot.number).await {
            Ok(Some(again)) => slot = again,
            Ok(None) => {
                tracing::warn!(slot = slot.number, "another process listens on this slot now");
                session.cancel();
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the slot is lost with Postgres; listening goes on"
            ),
        }
    }
}

/// Shows that the listener lives, what was lost, and until when everything else that it heard is safe.
async fn beat((pool, flow): (&PgPool, &Flow), slot: i32, proof: &mut Proof) -> store::Result<()> {
    let mut losses = flow.take_lost();
    while let Some((partner, (from, to))) = losses.pop() {
        let written = async {
            hearing::dropped(&mut *pool.acquire().await?, partner, (from, to + Duration::from_secs(1))).await
        };
        if let Err(error) = written.await {
            losses.push((partner, (from, to)));
            flow.give_back(losses);
            return Err(error);
        }
    }
    hearing::beat(pool, slot, proof.until(flow, Utc::now())).await
}

async fn write_note(pool: &PgPool, slot: i32, note: &Note) -> store::Result<()> {
    match note {
        Note::Confirmed(partner, at) => hearing::confirmed(pool, slot, (*partner, *at)).await,
        Note::Lost(partner, since, reason) => hearing::lost(pool, slot, (*partner, *since), reason).await,
        Note::Dropped(partner, at) => {
            hearing::dropped(&mut *pool.acquire().await?, *partner, (*at, *at + Duration::from_secs(1))).await
        }
    }
}
