//! The one reader of a process: new events are read once, for everybody who follows them.
//!
//! A follower first reads up to the present by itself, subscribes, waits until the reader counts it in, reads what is
//! left, and from then on takes what the reader hands out; both read the same order of commits, so the place of an event
//! tells what a follower already has. Each has a bounded queue: one whose queue is full is no longer counted in, and
//! reads on by itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::frame::{Frame, frames};
use super::tokens::Tokens;
use crate::http::problem::Problem;
use crate::model::fault::Fault;
use crate::model::id::PartnerId;
use crate::store::event::feed::{self as store, FeedFilter, Place};
use crate::store::list::snapshot;

/// How often to look without being woken.
const POLL: Duration = Duration::from_secs(1);

/// How soon to look again for events that a running transaction holds back.
const HELD_BACK: Duration = Duration::from_millis(20);

/// The most events of one reading.
const PORTION: usize = 250;

/// The most events that wait for one follower: two readings.
const QUEUE: usize = 2 * PORTION;

/// The handle with which followers subscribe.
#[derive(Debug, Clone, Default)]
pub struct Feed(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    subscribers: Mutex<Vec<Subscriber>>,
    wake: Arc<Notify>,
    closed: CancellationToken,
    tokens: Tokens,
}

#[derive(Debug)]
struct Subscriber {
    filter: FeedFilter,
    frames: mpsc::Sender<Arc<Frame>>,
    /// Told once the reader counts it in.
    waiting: Option<oneshot::Sender<()>>,
}

/// A follower's end.
#[derive(Debug)]
pub(super) struct Subscription {
    /// Answers once every reading that begins from now on is for this one too.
    pub(super) counted_in: oneshot::Receiver<()>,
    pub(super) frames: mpsc::Receiver<Arc<Frame>>,
}

impl Subscriber {
    fn wants(&self, frame: &Frame) -> bool {
        let FeedFilter { partners, order_id, since } = &self.filter;
        partners.as_ref().is_none_or(|partners| partners.contains(&frame.partner_id))
            && order_id.as_ref().is_none_or(|wanted| frame.order_id.as_ref() == Some(wanted))
            && since.is_none_or(|since| frame.received_at >= since)
    }

    /// `false`: it has gone, or is too slow.
    fn give(&self, frames: &[Arc<Frame>]) -> bool {
        let wanted = frames.iter().filter(|frame| self.wants(frame));
        wanted.into_iter().all(|frame| self.frames.try_send(Arc::clone(frame)).is_ok())
            && !self.frames.is_closed()
    }
}

impl Feed {
    /// A handle, and the reader behind it, which `wake` wakes.
    pub fn new(pool: PgPool, wake: Arc<Notify>) -> (Self, Reading) {
        let feed = Self(Arc::new(Shared { wake, ..Shared::default() }));
        (feed.clone(), Reading { pool, feed, place: None })
    }

    /// How many follow live.
    pub fn followers(&self) -> usize {
        self.subscribers().len()
    }

    /// `None`: the process is being stopped.
    pub(super) fn subscribe(&self, filter: FeedFilter) -> Option<Subscription> {
        let (sender, frames) = mpsc::channel(QUEUE);
        let (waiting, counted_in) = oneshot::channel();
        let mut subscribers = self.subscribers();
        if self.0.closed.is_cancelled() {
            return None;
        }
        subscribers.push(Subscriber { filter, frames: sender, waiting: Some(waiting) });
        self.0.wake.notify_one();
        Some(Subscription { counted_in, frames })
    }

    /// Whose tokens still open something.
    pub(super) fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// Tokens may be gone: who follows with one that is hears nothing more.
    pub fn tokens_changed(&self) {
        self.0.tokens.change();
    }

    /// Whether the process is being stopped.
    pub(super) fn is_closed(&self) -> bool {
        self.0.closed.is_cancelled()
    }

    fn subscribers(&self) -> MutexGuard<'_, Vec<Subscriber>> {
        self.0.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut subscribers = self.subscribers();
        self.0.closed.cancel();
        subscribers.clear();
    }

    /// Counts everybody in who is there now. What to read for them; `None`: nobody follows.
    fn count_in(&self) -> Option<FeedFilter> {
        let mut subscribers = self.subscribers();
        subscribers.retain(|subscriber| !subscriber.frames.is_closed());
        let mut partners: Option<Vec<PartnerId>> = Some(Vec::new());
        for subscriber in subscribers.iter_mut() {
            if let Some(waiting) = subscriber.waiting.take() {
                // One that has gone is noticed when it is given something.
                let _ = waiting.send(());
            }
            match (&mut partners, &subscriber.filter.partners) {
                (Some(all), Some(some)) => all.extend(some),
                (all, None) => *all = None,
                (None, Some(_)) => {}
            }
        }
        if let Some(partners) = &mut partners {
            partners.sort_unstable();
            partners.dedup();
        }
        (!subscribers.is_empty()).then_some(FeedFilter { partners, ..FeedFilter::default() })
    }

    /// Gives these to everybody who was counted in.
    fn give(&self, frames: &[Arc<Frame>]) {
        self.subscribers().retain(|subscriber| subscriber.waiting.is_some() || subscriber.give(frames));
    }
}

/// How long reading may take before it is begun anew.
const PATIENCE: Duration = Duration::from_secs(30);

/// The reader.
pub struct Reading {
    pool: PgPool,
    feed: Feed,
    /// Up to where it has read; `None`: nobody follows.
    place: Option<Place>,
}

impl Reading {
    /// Reads until told to stop; then everybody is let go.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let (mut pause, mut failing) = (POLL, Fault::default());
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.feed.0.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
            let read = tokio::time::timeout(PATIENCE, self.read()).await;
            let read = read.unwrap_or(Err(Problem::Timeout));
            if read.is_ok() && failing.is_over() {
                tracing::info!("new events can be read again for those who follow them");
            }
            pause = match read {
                Ok(true) => HELD_BACK,
                Ok(false) => POLL,
                Err(error) => {
                    if failing.is(format!("{error:?}")) {
                        tracing::warn!(?error, "new events cannot be read for those who follow them");
                    }
                    POLL
                }
            };
        }
        self.feed.close();
        Ok(())
    }

    /// Hands out what is new. Answers whether there are events that are not settled yet.
    async fn read(&mut self) -> Result<bool, Problem> {
        loop {
            if self.feed.followers() == 0 {
                self.place = None;
                return Ok(false);
            }
            let mut conn = snapshot(&self.pool).await?;
            let place = match self.place {
                Some(place) => place,
                None => store::horizon(&mut conn).await?,
            };
            // Only now: who is counted in reads from a younger snapshot, so up to this place and beyond.
            let Some(filter) = self.feed.count_in() else { continue };
            let portion = store::after(&mut conn, &filter, (place, PORTION)).await?;
            let frames = frames(&mut conn, portion.events).await?;
            drop(conn);
            self.feed.give(&frames.into_iter().map(Arc::new).collect::<Vec<_>>());
            self.place = Some(portion.end);
            if !portion.more {
                return Ok(portion.held_back);
            }
        }
    }
}
