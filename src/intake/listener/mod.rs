//! Active-active listening: as many processes as there are slots listen at once, each on a connection of its own, and
//! the others stand by. Identity makes what is heard twice one event.
//!
//! Guarantees: a slot whose holder dies is taken by another process within a second and a connect. What each connection
//! hears, and until when that is proven, is written down ([`record`]), and every process, whatever its roles, looks for
//! spans that no connection covers ([`coverage`]), so that it does not matter who takes whose place. An outage of Postgres
//! stops nobody from listening: what is noticed meanwhile is written down when it is back.
//! Does not guarantee: that every gap row is a real loss. When in doubt a gap is written, because repairing one that
//! was none costs a few requests, and missing one costs an event.

mod coverage;
mod record;

use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::coverage::Overseer;
pub use self::coverage::{Found, find_gaps};
pub(super) use self::record::Book;
use self::record::Recorder;
use super::Intake;
use super::directory::Watch;
use super::stream::{self, SlotTrouble, StreamHealth};
use crate::model::fault::Fault;
use crate::pusher;
use crate::store::session::SURELY_ENDED;
use crate::store::{self, listener::Slot};

/// How often a process without a slot looks for a free one.
const STAND_BY: Duration = Duration::from_secs(1);

/// How often a listener looks whether its slot is still its own.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// After an outage of Postgres the former holders of the slots come first: they never stopped hearing.
const AFTER_OUTAGE: Duration = Duration::from_secs(5);

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
    /// Listens whenever there is a free slot, until told to stop; what was heard is written down before it ends.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let (me, closed) = (Uuid::now_v7(), CancellationToken::new());
        let book = Book::default();
        let recorder = Recorder {
            pool: self.pool.clone(),
            listener: me,
            flow: self.intake.flow(),
            pulse: self.pusher.pulse.subscribe(),
            book: book.clone(),
            health: self.health.clone(),
        };
        let overseer = Overseer {
            pool: self.pool.clone(),
            listener: me,
            directory: self.directory.clone(),
            book: book.clone(),
            health: self.health.clone(),
        };
        let listening = async {
            let ended = Box::pin(self.take_turns(me, &book, &stop)).await;
            closed.cancel();
            ended
        };
        let (ended, ()) = tokio::join!(listening, async {
            tokio::join!(recorder.run(closed.clone()), overseer.run(&closed));
            // The last word of a process that nobody follows: from now on nobody hears.
            overseer.look_once().await;
        });
        ended
    }

    async fn take_turns(&self, me: Uuid, book: &Book, stop: &CancellationToken) -> anyhow::Result<()> {
        loop {
            let slot = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                slot = self.wait_for_slot(me) => slot,
            };
            tracing::info!(slot = slot.number, "this process listens to the stream");
            book.set_slot(slot.number);
            Box::pin(self.listen((slot, me), book, stop)).await?;
        }
    }

    async fn wait_for_slot(&self, me: Uuid) -> Slot {
        let mut failing = Fault::default();
        loop {
            let none = match Slot::take(&self.pool, me, self.copies).await {
                Ok(Some(slot)) => return slot,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            match failing.news(&none) {
                Some(Ok(())) => tracing::info!("slots can be asked for again"),
                Some(Err(error)) => tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "slots cannot be asked for right now"
                ),
                None => {}
            }
            let trouble = none.err().as_ref().map(slot_trouble);
            let pause = if trouble.is_some() { AFTER_OUTAGE } else { STAND_BY };
            self.health.send_modify(|health| {
                health.stands_by = true;
                health.slots = trouble;
            });
            tokio::time::sleep(pause).await;
        }
    }

    /// Listens until told to stop or until the slot has passed to another process.
    async fn listen(
        &self,
        (slot, me): (Slot, Uuid),
        book: &Book,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let session = stop.child_token();
        self.health.send_modify(StreamHealth::begin);
        let stream = async {
            let feeds = stream::Feeds {
                directory: self.directory.clone(),
                intake: self.intake.clone(),
                book: book.clone(),
                pulse: self.pusher.pulse.subscribe(),
            };
            let ended =
                stream::listen(self.pusher.clone(), feeds, self.health.clone(), session.clone()).await;
            session.cancel();
            ended
        };
        let (ended, ()) = tokio::join!(stream, keep_slot(&self.pool, (slot, me), session.clone()));
        ended
    }
}

/// Looks for spans in which nobody heard a partner until told to stop, in a process that does not listen itself.
pub async fn look_for_gaps(pool: PgPool, directory: Watch, stop: CancellationToken) -> anyhow::Result<()> {
    let (listener, health) = (Uuid::now_v7(), watch::Sender::new(StreamHealth::default()));
    Overseer { pool, listener, directory, book: Book::default(), health }.run(&stop).await;
    Ok(())
}

fn slot_trouble(error: &store::Error) -> SlotTrouble {
    if error.is_out_of_connections() { SlotTrouble::NoConnection } else { SlotTrouble::Unavailable }
}

/// Keeps the slot's session; ends the stream when another process has the slot.
///
/// Who holds it may also be a session of ours to which the path fell silent. Until that one has surely ended, listening goes
/// on: one listener too many does no harm.
async fn keep_slot(pool: &PgPool, (mut slot, me): (Slot, Uuid), session: CancellationToken) {
    let mut held_at = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = session.cancelled() => return,
            () = tokio::time::sleep(HEARTBEAT) => {}
        }
        if slot.is_held().await {
            held_at = Instant::now();
            continue;
        }
        match Slot::take_number(pool, me, slot.number).await {
            Ok(Some(again)) => slot = again,
            Ok(None) if held_at.elapsed() < SURELY_ENDED => {}
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
