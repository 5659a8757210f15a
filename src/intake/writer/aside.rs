//! Messages that the database does not take while it takes others: of an order that somebody has locked, for example. They
//! wait on disk in a place of their own, and are tried again in sessions of their own, so that nothing else waits for them.
//!
//! Guarantees: what [`Aside::append`] has answered is on disk, and is tried again within five seconds at most, time and
//! again, until it goes or another process takes over what this one left. What goes is not tried again.
//! Does not guarantee: the order of hearing.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::batch::{Outcome, Sink};
use super::super::commit::Desk;
use super::super::directory::Watch;
use super::super::spool::{Spool, SpoolError};
use super::super::told::Line;
use super::super::{Fate, Heard};
use super::spooling::on_disk;
use super::{IntakeHealth, LARGEST_BATCH, count};

/// Between two turns: while something goes, and at most.
const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(5);

/// What waits aside.
pub(super) struct Aside {
    sink: Sink,
    directory: Watch,
    /// Where everything waits while the database is away.
    spool: Arc<Mutex<Spool>>,
    /// Taken when it is first needed.
    place: Mutex<Option<Arc<Mutex<Spool>>>>,
    /// What came of the last turn, if it could not be written: it must not be tried again before.
    unwritten: Mutex<Option<(u64, Vec<Heard>)>>,
    bell: Notify,
    kept: Arc<Notify>,
    health: watch::Sender<IntakeHealth>,
}

/// What came of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Something went.
    Moved,
    /// Nothing did, or nothing waits.
    Stuck,
}

impl Aside {
    pub(super) fn new(
        sink: &Sink,
        directory: Watch,
        spool: Arc<Mutex<Spool>>,
        (kept, health): (Arc<Notify>, watch::Sender<IntakeHealth>),
    ) -> Self {
        let sink = Sink { desk: Arc::new(Desk::hurried(&sink.pool)), divides: true, ..sink.clone() };
        let (place, unwritten) = (Mutex::default(), Mutex::default());
        Self { sink, directory, spool, place, unwritten, bell: Notify::new(), kept, health }
    }

    /// Keeps messages on disk. Those that were `moved` from another place of this process count there until they are
    /// settled, and are not refused for want of room.
    pub(super) async fn append(&self, messages: Vec<Heard>, moved: bool) -> Result<(), SpoolError> {
        let place = self.place().await?;
        on_disk(
            &place,
            move |place| if moved { place.take_over(&messages) } else { place.append(&messages) },
        )
        .await?;
        self.bell.notify_one();
        self.note();
        Ok(())
    }

    async fn place(&self) -> Result<Arc<Mutex<Spool>>, SpoolError> {
        if let Some(place) = self.taken() {
            return Ok(place);
        }
        let beside = on_disk(&self.spool, |spool| spool.beside().map_err(SpoolError::from)).await?;
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(place.get_or_insert_with(|| Arc::new(Mutex::new(beside)))))
    }

    fn taken(&self) -> Option<Arc<Mutex<Spool>>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// If nothing waits, a place is taken when it is next needed.
    pub(super) fn let_go(&self) {
        if self.bytes() == 0 {
            *self.place.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.taken().map_or(0, |place| place.lock().unwrap_or_else(PoisonError::into_inner).bytes())
    }

    /// Tries what waits again and again until told to end; what waits then is taken over by another process.
    pub(super) async fn run(&self, ended: CancellationToken) {
        let (mut pause, mut next) = (SHORTEST, Instant::now());
        loop {
            tokio::select! {
                biased;
                () = ended.cancelled() => return,
                () = self.bell.notified() => next = next.min(Instant::now() + SHORTEST),
                () = tokio::time::sleep_until(next), if self.bytes() > 0 => {
                    let turn = tokio::select! {
                        biased;
                        () = ended.cancelled() => return,
                        turn = self.turn() => turn,
                    };
                    pause = if turn == Turn::Moved { SHORTEST } else { (pause * 2).min(LONGEST) };
                    next = Instant::now() + pause;
                }
            }
        }
    }

    /// Tries the oldest of what waits. What does not go waits on, behind the others.
    pub(super) async fn turn(&self) -> Turn {
        let Some(place) = self.taken().filter(|_| self.bytes() > 0) else { return Turn::Stuck };
        if let Err(error) = self.turn_in(&place).await {
            self.tell(&error);
            return Turn::Stuck;
        }
        let tried = on_disk(&place, |place| Ok(place.peek(LARGEST_BATCH)?)).await;
        let (heard, end) = match tried {
            Ok(tried) => tried,
            Err(error) => {
                self.tell(&error);
                return Turn::Stuck;
            }
        };
        let directory = self.directory.borrow().clone();
        let outcomes = Box::pin(self.sink.write_late(&heard, &directory)).await;
        let tried = heard.len();
        let again: Vec<Heard> = heard
            .into_iter()
            .zip(&outcomes)
            .filter_map(|(heard, outcome)| (!matches!(outcome, Outcome::Done(_))).then_some(heard))
            .collect();
        self.count(&outcomes);
        let turn = if again.len() < tried || tried == 0 { Turn::Moved } else { Turn::Stuck };
        // Others wait behind them, or some of them went.
        if turn == Turn::Moved || tried == LARGEST_BATCH {
            *self.unwritten.lock().unwrap_or_else(PoisonError::into_inner) = Some((end, again));
            if let Err(error) = self.turn_in(&place).await {
                self.tell(&error);
            }
        }
        self.note();
        turn
    }

    /// Writes what came of the last turn, if it is not written yet.
    async fn turn_in(&self, place: &Arc<Mutex<Spool>>) -> Result<(), SpoolError> {
        let unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((end, again)) = unwritten else { return Ok(()) };
        let kept = again.clone();
        let written = on_disk(place, move |place| place.turn(end, &again)).await;
        if written.is_err() {
            *self.unwritten.lock().unwrap_or_else(PoisonError::into_inner) = Some((end, kept));
        }
        written
    }

    fn tell(&self, error: &SpoolError) {
        if self.sink.flow.told.times(Line::Disk, 1).is_some() {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "what waits on disk cannot be read or written"
            );
        }
    }

    fn count(&self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            if let Outcome::Done(fate) = outcome {
                count(*fate);
            }
        }
        if outcomes.contains(&Outcome::Done(Fate::New)) {
            self.kept.notify_one();
        }
    }

    /// Shows how much waits. What waits aside is nobody's worry as long as the database takes the rest.
    pub(super) fn note(&self) {
        let (spooled, aside) =
            (self.spool.lock().unwrap_or_else(PoisonError::into_inner).bytes(), self.bytes());
        #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes on a disk")]
        metrics::gauge!("relay_spool_bytes").set(spooled as f64);
        #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes on a disk")]
        metrics::gauge!("relay_aside_bytes").set(aside as f64);
        let refused = if self.sink.is_refused.load(Ordering::Acquire) { aside } else { 0 };
        self.health.send_modify(|health| {
            health.spooled_bytes = spooled + refused;
            health.cause = self.sink.flow.told.cause();
        });
    }
}
