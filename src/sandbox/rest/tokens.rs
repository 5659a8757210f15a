//! Access tokens as Transak handles them: one is live per key, it ends after seven days, and a refresh replaces it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};

use crate::sandbox::signing;

/// How long a token lives, in seconds (`docs.transak.com/guides/how-to-create-partner-access-token`).
pub const LIFETIME: i64 = 604_800;
/// How many replaced tokens are told apart from tokens that never were.
const REMEMBERED: usize = 16;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No token, or one that never was.
    Unauthorized,
    /// A token that was replaced or has ended.
    Inactive,
    /// Not the secret of this key.
    WrongSecret,
}

struct State {
    current: SecretString,
    expires_at: i64,
    replaced: Vec<SecretString>,
}

/// The tokens of one partner.
pub struct Tokens {
    api_key: String,
    api_secret: SecretString,
    state: Mutex<State>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    /// `access_token` is live until seven days after `now` (seconds since 1970).
    pub fn new(api_key: &str, api_secret: SecretString, (access_token, now): (SecretString, i64)) -> Self {
        let state = State { current: access_token, expires_at: now + LIFETIME, replaced: Vec::new() };
        Self { api_key: api_key.to_owned(), api_secret, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The live token, which signs.
    pub fn current(&self) -> SecretString {
        self.state().current.clone()
    }

    pub(super) fn authorize(&self, presented: Option<&str>, now: i64) -> Result<(), Refusal> {
        let Some(presented) = presented else { return Err(Refusal::Unauthorized) };
        let state = self.state();
        if state.current.expose_secret() == presented {
            return if now < state.expires_at { Ok(()) } else { Err(Refusal::Inactive) };
        }
        let was = state.replaced.iter().any(|token| token.expose_secret() == presented);
        Err(if was { Refusal::Inactive } else { Refusal::Unauthorized })
    }

    /// Replaces the live token by one that lives for `lifetime` seconds (negative: it has ended before it is told).
    pub(super) fn refresh(
        &self,
        (api_key, api_secret): (&str, Option<&str>),
        now: i64,
        lifetime: i64,
    ) -> Result<(SecretString, i64), Refusal> {
        if api_key != self.api_key || api_secret != Some(self.api_secret.expose_secret()) {
            return Err(Refusal::WrongSecret);
        }
        let token = signing::access_token(&self.api_key, now, lifetime).map_err(|_| Refusal::Unauthorized)?;
        let mut state = self.state();
        let replaced = std::mem::replace(&mut state.current, token.clone());
        state.replaced.push(replaced);
        if state.replaced.len() > REMEMBERED {
            state.replaced.remove(0);
        }
        state.expires_at = now + lifetime;
        Ok((token, state.expires_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new("key", "secret".into(), ("first".into(), 0))
    }

    #[test]
    fn a_token_lives_for_seven_days() {
        let tokens = tokens();
        assert_eq!(tokens.authorize(Some("first"), LIFETIME - 1), Ok(()));
        assert_eq!(tokens.authorize(Some("first"), LIFETIME), Err(Refusal::Inactive));
        assert_eq!(tokens.authorize(Some("other"), 0), Err(Refusal::Unauthorized));
        assert_eq!(tokens.authorize(None, 0), Err(Refusal::Unauthorized));
    }

    #[test]
    fn a_refresh_replaces_the_live_token() {
        let tokens = tokens();
        let (fresh, ends) = tokens.refresh(("key", Some("secret")), 10, LIFETIME).unwrap();
        assert_eq!(ends, LIFETIME + 10);
        assert_eq!(tokens.authorize(Some("first"), 11), Err(Refusal::Inactive));
        assert_eq!(tokens.authorize(Some(fresh.expose_secret()), 11), Ok(()));
        assert_eq!(tokens.current().expose_secret(), fresh.expose_secret());
    }

    #[test]
    fn a_wrong_secret_or_key_refreshes_nothing() {
        let tokens = tokens();
        for with in [("key", None), ("key", Some("guess")), ("other", Some("secret"))] {
            assert_eq!(tokens.refresh(with, 0, LIFETIME).unwrap_err(), Refusal::WrongSecret);
        }
        assert_eq!(tokens.authorize(Some("first"), 0), Ok(()));
    }
}
