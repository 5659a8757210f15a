//! One client of the stream: behind, it reads by itself; at the present, it takes what the reader of the process hands
//! out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::feed::Subscription;
use super::frame::{self, frames};
use super::tokens::TOKEN_CHECK;
use crate::http::Api;
use crate::http::problem::Problem;
use crate::model::token::TokenHash;
use crate::store::event::feed::{self as store, FeedFilter, Place};
use crate::store::list::snapshot;

/// The longest silence, and with it the longest time until a token is noticed that was deleted and nobody says so.
const SILENCE: Duration = TOKEN_CHECK;

/// The most events of one reading of its own.
const PORTION: usize = 100;

/// What a client still has to be told.
pub(super) struct Follower {
    api: Arc<Api>,
    filter: FeedFilter,
    token: TokenHash,
    /// Tells when tokens may be gone.
    tokens: watch::Receiver<u64>,
    /// What it was told last.
    place: Place,
    ready: VecDeque<Bytes>,
    stage: Stage,
}

enum Stage {
    /// Reads by itself, all that is settled.
    Behind,
    /// At the present; waits to be counted in.
    Waiting(Subscription),
    /// Counted in; reads what was settled in the meantime.
    Closing(Subscription),
    /// Takes what is handed out.
    Live(Subscription),
}

impl Follower {
    pub(super) fn new(api: Arc<Api>, (filter, place): (FeedFilter, Place), token: TokenHash) -> Self {
        let ready = VecDeque::from([frame::HELLO]);
        let tokens = api.feed.tokens().changes();
        Self { api, filter, token, tokens, place, ready, stage: Stage::Behind }
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        futures_util::stream::unfold(self, async |mut follower| {
            let bytes = follower.next().await?;
            Some((Ok(bytes), follower))
        })
    }

    /// What to send next; `None`: it is over, and the client may come back.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.tokens.has_changed().unwrap_or(true)
                && let Some(bytes) = self.ready.pop_front()
            {
                return Some(bytes);
            }
            self.tokens.mark_unchanged();
            if self.api.feed.is_closed() || !self.api.feed.tokens().may_read(self.token, &self.api).await {
                return None;
            }
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            match std::mem::replace(&mut self.stage, Stage::Behind) {
                Stage::Behind => {
                    if !self.read().await.ok()? {
                        self.stage = Stage::Waiting(self.api.feed.subscribe(self.filter.clone())?);
                    }
                }
                Stage::Waiting(mut subscription) => {
                    let counted_in = tokio::select! {
                        biased;
                        _ = self.tokens.changed() => {
                            self.stage = Stage::Waiting(subscription);
                            continue;
                        }
                        counted_in = timeout(SILENCE, &mut subscription.counted_in) => counted_in,
                    };
                    let Ok(counted_in) = counted_in else {
                        self.stage = Stage::Waiting(subscription);
                        return Some(frame::HEARTBEAT);
                    };
                    counted_in.ok()?;
                    self.stage = Stage::Closing(subscription);
                }
                Stage::Closing(subscription) => {
                    let more = self.read().await.ok()?;
                    self.stage = if more { Stage::Closing(subscription) } else { Stage::Live(subscription) };
                }
                Stage::Live(subscription) => {
                    if let Some(bytes) = self.take(subscription).await {
                        return Some(bytes);
                    }
                }
            }
        }
    }

    /// The next event or heartbeat; `None`: nothing is handed out any more, so read by oneself again; or the token has to
    /// be looked at first.
    async fn take(&mut self, mut subscription: Subscription) -> Option<Bytes> {
        loop {
            let heard = tokio::select! {
                biased;
                _ = self.tokens.changed() => {
                    self.stage = Stage::Live(subscription);
                    return None;
                }
                heard = heard(&mut subscription.frames, SILENCE) => heard,
            };
            match heard {
                // Too slow, or the process is being stopped: `next` sees which.
                Heard::Over => return None,
                Heard::Something(frame) if frame.place <= self.place => {}
                Heard::Something(frame) => {
                    self.place = frame.place;
                    self.stage = Stage::Live(subscription);
                    return Some(frame.bytes.clone());
                }
                Heard::Silence => {
                    self.stage = Stage::Live(subscription);
                    return Some(frame::HEARTBEAT);
                }
            }
        }
    }

    /// Reads on by itself. Answers whether there is more to read right now.
    async fn read(&mut self) -> Result<bool, Problem> {
        let mut conn = snapshot(&self.api.pool).await?;
        let portion = store::after(&mut conn, &self.filter, (self.place, PORTION)).await?;
        self.ready.extend(frames(&mut conn, portion.events).await?.into_iter().map(|frame| frame.bytes));
        self.place = portion.end;
        Ok(portion.more)
    }
}

/// What comes of waiting for something.
#[derive(Debug, PartialEq, Eq)]
enum Heard<T> {
    Something(T),
    /// Nothing, for so long that the client must be told that all is well.
    Silence,
    /// There will be nothing more.
    Over,
}

async fn heard<T>(from: &mut mpsc::Receiver<T>, silence: Duration) -> Heard<T> {
    match timeout(silence, from.recv()).await {
        Ok(Some(something)) => Heard::Something(something),
        Ok(None) => Heard::Over,
        Err(_) => Heard::Silence,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_silence_is_broken_by_a_heartbeat_and_nothing_else_is() {
        let silence = Duration::from_secs(15);
        let (told, mut hearing) = mpsc::channel(2);
        let began = Instant::now();
        for beat in 1..=3 {
            assert_eq!(heard(&mut hearing, silence).await, Heard::Silence);
            assert_eq!(began.elapsed(), silence * beat);
        }
        told.send("event").await.unwrap();
        assert_eq!(heard(&mut hearing, silence).await, Heard::Something("event"));
        assert_eq!(began.elapsed(), silence * 3, "what is there is not waited for");
        drop(told);
        assert_eq!(heard(&mut hearing, silence).await, Heard::Over);
    }
}
