//! Passing on that a partner's messages did not verify, from where they are read to where tokens are cared for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use crate::model::id::PartnerId;
use crate::transak::jws::Unverified;

/// The partners some of whose messages did not verify since this was last looked at. Cheap to clone; never waits.
#[derive(Debug, Clone, Default)]
pub struct Suspicion(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    raised: Mutex<BTreeMap<PartnerId, DateTime<Utc>>>,
    bell: Notify,
}

impl Suspicion {
    /// A message of this partner, heard at `at`, was put aside for `reason`. Only reasons that another access token
    /// could cure count.
    pub fn raise(&self, partner: PartnerId, reason: &str, at: DateTime<Utc>) {
        if !curable_reasons().iter().any(|curable| curable == reason) {
            return;
        }
        self.insert(partner, at);
    }

    /// Transak's REST API did not accept the partner's access token.
    pub(super) fn raise_for_calls(&self, partner: PartnerId, at: DateTime<Utc>) {
        self.insert(partner, at);
    }

    fn insert(&self, partner: PartnerId, at: DateTime<Utc>) {
        let mut raised = self.0.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = raised.entry(partner).or_insert(at);
        *newest = at.max(*newest);
        drop(raised);
        self.0.bell.notify_one();
    }

    /// Takes what was raised: the newest time of each partner.
    pub(super) fn take(&self) -> BTreeMap<PartnerId, DateTime<Utc>> {
        std::mem::take(&mut *self.0.raised.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Completes when something was raised.
    pub(super) async fn raised(&self) {
        self.0.bell.notified().await;
    }
}

/// The reasons for a quarantine that another access token could cure.
pub fn curable_reasons() -> [String; 2] {
    [Unverified::NoTokenFits, Unverified::NoToken].map(|reason| reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_another_token_could_cure_is_passed_on() {
        let (suspicion, partner, at) = (Suspicion::default(), PartnerId::new(), DateTime::UNIX_EPOCH);
        suspicion.raise(partner, "it is not JSON", at);
        suspicion.raise(partner, &Unverified::NotSigned.to_string(), at);
        assert!(suspicion.take().is_empty());
        suspicion.raise(partner, &Unverified::NoTokenFits.to_string(), at);
        suspicion.raised().await;
        assert_eq!(suspicion.take().get(&partner), Some(&at));
        assert!(suspicion.take().is_empty());
    }
}
