//! Whether the tokens of those who follow still open something. Each is looked at by one of its followers for all.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::http::Api;
use crate::http::auth;
use crate::http::problem::Problem;
use crate::model::token::TokenHash;

/// How often a token is looked at again: one that was deleted ends its streams so much later.
pub(super) const TOKEN_CHECK: Duration = Duration::from_secs(5);

/// Beyond this many tokens those that nobody follows with any more are forgotten.
const TOKENS_KEPT: usize = 1_000;

/// When each token was last looked at, and whether it opens something.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<TokenHash, (Instant, bool)>>);

impl Tokens {
    pub(super) async fn may_read(&self, token: TokenHash, api: &Api) -> bool {
        if let Some(known) = self.known(token) {
            return known;
        }
        // A database that cannot be asked says nothing against the token.
        let opens = !matches!(auth::caller(token, api).await, Err(Problem::Unauthorized));
        self.looked().insert(token, (Instant::now(), opens));
        opens
    }

    /// What is known of it; `None`: it is to be looked at by whoever asked, and stays as it is for the others meanwhile.
    fn known(&self, token: TokenHash) -> Option<bool> {
        let mut looked = self.looked();
        if looked.len() > TOKENS_KEPT {
            looked.retain(|_, (at, _)| at.elapsed() < 2 * TOKEN_CHECK);
        }
        let (at, opens) = looked.entry(token).or_insert((Instant::now(), true));
        if at.elapsed() < TOKEN_CHECK {
            return Some(*opens);
        }
        *at = Instant::now();
        None
    }

    fn looked(&self) -> MutexGuard<'_, HashMap<TokenHash, (Instant, bool)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_of_many_followers_looks_and_the_others_are_told() {
        let (tokens, token) = (Tokens::default(), TokenHash::of("token"));
        assert_eq!(tokens.known(token), Some(true), "it has just been let in");
        tokio::time::advance(TOKEN_CHECK).await;
        assert_eq!([tokens.known(token), tokens.known(token)], [None, Some(true)]);
        tokens.looked().insert(token, (Instant::now(), false));
        assert_eq!(tokens.known(token), Some(false));
    }
}
