//! How many requests of one token are served at once.
//!
//! Guarantees: one token's requests never hold more than a part of the connections to Postgres; what is more waits its
//! turn, in order, and is refused if too much waits or it waits too long. Nobody waits for another token's requests.
//! Does not guarantee anything over several processes: each counts for itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::problem::Problem;
use crate::model::token::TokenHash;

/// Most requests of a token that wait for their turn.
const MOST_WAITING: usize = 256;
/// Longest wait for a turn. Every statement has a deadline of seconds, so a turn that takes longer will not come soon.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The turns of all tokens. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    at_once: usize,
    by_token: Mutex<HashMap<TokenHash, Line>>,
}

/// The requests of a token.
#[derive(Debug)]
struct Line {
    places: Arc<Semaphore>,
    /// Served and waiting.
    requests: usize,
}

/// A request that is being served, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    /// Given back before the line may be forgotten.
    _place: OwnedSemaphorePermit,
    _standing: Standing,
}

/// A request that is served or waits.
#[derive(Debug)]
struct Standing {
    turns: Turns,
    token: TokenHash,
}

impl Turns {
    /// So many requests of a token are served at once.
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Inner { at_once: at_once.max(1), by_token: Mutex::default() }))
    }

    /// The part of so many connections that one token may use: half of them.
    pub fn of_connections(connections: u32) -> Self {
        Self::new(usize::try_from(connections.div_ceil(2)).unwrap_or(usize::MAX))
    }

    /// Waits for the turn of a request.
    pub(super) async fn wait(&self, token: TokenHash) -> Result<Turn, Problem> {
        let (places, standing) = self.stand_in_line(token)?;
        let place = timeout(LONGEST_WAIT, places.acquire_owned()).await;
        match place {
            Ok(Ok(place)) => Ok(Turn { _place: place, _standing: standing }),
            _ => Err(Problem::TooManyRequests),
        }
    }

    fn stand_in_line(&self, token: TokenHash) -> Result<(Arc<Semaphore>, Standing), Problem> {
        let mut lines = self.lines();
        let line = lines
            .entry(token)
            .or_insert_with(|| Line { places: Arc::new(Semaphore::new(self.0.at_once)), requests: 0 });
        if line.requests >= self.0.at_once + MOST_WAITING {
            return Err(Problem::TooManyRequests);
        }
        line.requests += 1;
        Ok((Arc::clone(&line.places), Standing { turns: self.clone(), token }))
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<TokenHash, Line>> {
        self.0.by_token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        let mut lines = self.turns.lines();
        if let Entry::Occupied(mut line) = lines.entry(self.token) {
            line.get_mut().requests -= 1;
            if line.get().requests == 0 {
                line.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_has_its_turns_and_takes_nobody_elses() {
        let turns = Turns::new(2);
        let [greedy, other] = [TokenHash::of("greedy"), TokenHash::of("other")];
        let (first, _second) = (turns.wait(greedy).await.unwrap(), turns.wait(greedy).await.unwrap());
        let mut third = Box::pin(turns.wait(greedy));
        assert!((&mut third).now_or_never().is_none());
        assert!(turns.wait(other).now_or_never().is_some());
        drop(first);
        assert!(third.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_or_behind_too_many_is_refused() {
        let (turns, token) = (Turns::new(1), TokenHash::of("greedy"));
        let held = turns.wait(token).await.unwrap();
        let refused = turns.wait(token).await;
        assert!(matches!(refused, Err(Problem::TooManyRequests)), "after {LONGEST_WAIT:?}");
        let mut line: Vec<_> = (0..MOST_WAITING).map(|_| Box::pin(turns.wait(token))).collect();
        assert!(line.iter_mut().all(|turn| turn.now_or_never().is_none()));
        assert!(matches!(turns.wait(token).now_or_never(), Some(Err(Problem::TooManyRequests))));
        drop((held, line));
        assert!(turns.wait(token).now_or_never().unwrap().is_ok());
        assert!(turns.lines().is_empty(), "nothing is remembered of who asks for nothing");
    }
}
