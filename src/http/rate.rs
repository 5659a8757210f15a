//! How much each token may ask: a token bucket a token, told in the headers `RateLimit-Policy` and `RateLimit`.
//!
//! Guarantees: no token slows another one down. Only tokens that open something are counted, so that made-up ones fill
//! no memory. Each process counts for itself: behind several, a token may ask that many times as much.
//!
//! Source: draft-ietf-httpapi-ratelimit-headers. `q` and `r` are requests, `w` and `t` seconds.

use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::http::{Extensions, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use governor::clock::DefaultClock;
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use super::problem::Problem;
use super::turns::Turn;
use crate::model::token::TokenHash;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Beyond this many tokens those that have been quiet are forgotten.
const TOKENS_KEPT: usize = 10_000;

/// Requests a second that a token may make for long, unless configured.
const DEFAULT_PER_SECOND: u32 = 200;

/// How many seconds' worth of requests a token may make at once.
const BURST_SECONDS: u32 = 5;

type Buckets =
    RateLimiter<TokenHash, DefaultKeyedStateStore<TokenHash>, DefaultClock, StateInformationMiddleware>;

/// The buckets of all tokens; `None`: nobody counts.
pub struct TokenRates(Option<Buckets>);

impl Default for TokenRates {
    fn default() -> Self {
        Self::new(DEFAULT_PER_SECOND)
    }
}

impl TokenRates {
    /// Every token may make this many requests a second, and five seconds' worth at once; 0: as many as it likes.
    pub fn new(per_second: u32) -> Self {
        Self(NonZeroU32::new(per_second).map(|rate| {
            let quota = Quota::per_second(rate).allow_burst(rate.saturating_mul(burst_seconds()));
            RateLimiter::keyed(quota).with_middleware()
        }))
    }

    /// Takes one request from the bucket of a token that opens something, and notes what is left of it.
    pub(super) fn take(&self, token: TokenHash, extensions: &Extensions) -> Result<(), Problem> {
        let Some(buckets) = &self.0 else { return Ok(()) };
        if buckets.len() > TOKENS_KEPT {
            buckets.retain_recent();
        }
        let decision = buckets.check_key(&token);
        let left = match &decision {
            Ok(state) => Left::of(state),
            Err(refusal) => Left { remaining: 0, quota: refusal.quota() },
        };
        if let Some(slip) = extensions.get::<Slip>() {
            // A request that shows its token twice is counted twice and told what was left first.
            let _ = slip.0.left.set(left);
        }
        decision.map(|_| ()).map_err(|_| Problem::TooManyRequests)
    }
}

const fn burst_seconds() -> NonZeroU32 {
    NonZeroU32::new(BURST_SECONDS).expect("it is not zero")
}

/// What is left of a bucket.
#[derive(Debug, Clone, Copy)]
struct Left {
    remaining: u32,
    quota: Quota,
}

impl Left {
    fn of(state: &StateSnapshot) -> Self {
        Self { remaining: state.remaining_burst_capacity(), quota: state.quota() }
    }

    fn policy(self) -> String {
        let burst = self.quota.burst_size();
        format!("\"token\";q={burst};w={}", self.seconds_for(burst.get()))
    }

    fn state(self) -> String {
        let missing = self.quota.burst_size().get() - self.remaining;
        format!("\"token\";r={};t={}", self.remaining, self.seconds_for(missing))
    }

    /// How long that many requests take to come back, rounded up.
    fn seconds_for(self, requests: u32) -> u64 {
        (self.quota.replenish_interval() * requests).as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
    }
}

/// Carries what is known of the token from where it is presented to where the answer is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Slip(Arc<Noted>);

#[derive(Debug, Default)]
struct Noted {
    left: OnceLock<Left>,
    /// Held until the answer begins.
    turn: OnceLock<Turn>,
}

impl Slip {
    /// The request has its turn already: it is made again.
    pub(super) fn is_served(&self) -> bool {
        self.0.turn.get().is_some()
    }

    /// Holds a turn until the answer begins.
    pub(super) fn hold(&self, turn: Turn) {
        // A request that shows its token twice holds one turn.
        let _ = self.0.turn.set(turn);
    }
}

/// The middleware that writes the headers.
pub async fn tell_rate(mut request: Request, next: Next) -> Response {
    let slip = Slip::default();
    request.extensions_mut().insert(slip.clone());
    let mut response = next.run(request).await;
    if let Some(left) = slip.0.left.get() {
        let values = [(POLICY, left.policy()), (STATE, left.state())];
        for (name, value) in values {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_asks_too_much_is_refused_and_no_other() {
        let rates = TokenRates::new(1);
        let mut extensions = Extensions::new();
        let slip = Slip::default();
        extensions.insert(slip.clone());
        let [one, other] = [TokenHash::of("one"), TokenHash::of("other")];
        for _ in 0..BURST_SECONDS {
            assert!(rates.take(one, &extensions).is_ok());
        }
        assert!(matches!(rates.take(one, &extensions), Err(Problem::TooManyRequests)));
        assert!(rates.take(other, &extensions).is_ok());
        let left = slip.0.left.get().unwrap();
        assert_eq!(left.policy(), "\"token\";q=5;w=5");
        assert_eq!(left.state(), "\"token\";r=4;t=1");
        assert!(TokenRates::new(0).take(one, &extensions).is_ok());
    }
}
