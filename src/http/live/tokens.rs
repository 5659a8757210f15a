//! Whether the tokens of those who follow still open something. Each is looked at by one of its followers for all: from
//! time to time, and at once when it is said that tokens are gone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::http::Api;
use crate::http::auth;
use crate::http::problem::Problem;
use crate::model::token::TokenHash;

/// How often a token is looked at again without being told to: one that was deleted behind the relay's back ends its
/// streams so much later.
pub(super) const TOKEN_CHECK: Duration = Duration::from_secs(5);

/// Beyond this many tokens those that nobody follows with any more are forgotten.
const TOKENS_KEPT: usize = 1_000;

/// What is known of the tokens in use.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    looked: Mutex<HashMap<TokenHash, Look>>,
    /// How often it was said that some may be gone.
    changes: watch::Sender<u64>,
}

/// What was seen of a token.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// `None`: it has to be looked at again.
    at: Option<Instant>,
    opens: bool,
}

impl Tokens {
    pub(super) async fn may_read(&self, token: TokenHash, api: &Api) -> bool {
        if let Some(known) = self.known(token) {
            return known;
        }
        let change = *self.changes.borrow();
        // A database that cannot be asked says nothing against the token.
        let opens = !matches!(auth::caller(token, api).await, Err(Problem::Unauthorized));
        self.note(token, (change, opens));
        opens
    }

    /// Tokens may be gone: whoever follows with one finds out at once.
    pub(super) fn change(&self) {
        self.looked().values_mut().for_each(|look| look.at = None);
        self.tell();
    }

    /// Tells when tokens may be gone.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn tell(&self) {
        self.changes.send_modify(|times| *times += 1);
    }

    /// Notes what was seen of a token, by somebody who began to look after so many changes.
    fn note(&self, token: TokenHash, (change, opens): (u64, bool)) {
        let mut looked = self.looked();
        let is_new = *self.changes.borrow() == change;
        looked.insert(token, Look { at: is_new.then(Instant::now), opens });
        drop(looked);
        if !opens {
            // The others with this token were told meanwhile that it is good.
            self.tell();
        }
    }

    /// What is known of it; `None`: it is to be looked at by whoever asked, and stays as it is for the others meanwhile.
    fn known(&self, token: TokenHash) -> Option<bool> {
        let mut looked = self.looked();
        if looked.len() > TOKENS_KEPT {
            looked.retain(|_, look| look.at.is_some_and(|at| at.elapsed() < 2 * TOKEN_CHECK));
        }
        let look = looked.entry(token).or_insert(Look { at: None, opens: true });
        if look.at.is_some_and(|at| at.elapsed() < TOKEN_CHECK) {
            return Some(look.opens);
        }
        look.at = Some(Instant::now());
        None
    }

    fn looked(&self) -> MutexGuard<'_, HashMap<TokenHash, Look>> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_of_many_followers_looks_and_the_others_are_told() {
        let (tokens, token) = (Tokens::default(), TokenHash::of("token"));
        assert_eq!([tokens.known(token), tokens.known(token)], [None, Some(true)]);
        tokio::time::advance(TOKEN_CHECK).await;
        assert_eq!([tokens.known(token), tokens.known(token)], [None, Some(true)]);
        tokens.note(token, (0, false));
        assert_eq!(tokens.known(token), Some(false));
    }

    #[test]
    fn when_tokens_may_be_gone_each_is_looked_at_again_and_so_is_what_was_being_looked_at() {
        let (tokens, token) = (Tokens::default(), TokenHash::of("token"));
        let mut changes = tokens.changes();
        assert_eq!(tokens.known(token), None);
        tokens.change();
        assert!(changes.has_changed().unwrap());
        tokens.note(token, (0, true));
        assert_eq!(tokens.known(token), None, "it was seen before it was gone");
        changes.mark_unchanged();
        tokens.note(token, (1, false));
        assert!(changes.has_changed().unwrap(), "whoever was told that it is good hears of it");
        assert_eq!(tokens.known(token), Some(false));
    }
}
