//! The care of access tokens: replaced before they end, one process at a time, and what could not be verified without
//! the new one tried again.
//!
//! Guarantees: two refreshes of a partner are never closer than the decisions in `model::token_care` allow, whichever
//! process makes them; a new token is kept before anything else happens, and the ones before it still verify. A message
//! that a token verifies leaves the quarantine however the two come to pass each other, whichever process put it aside
//! and whichever was given the token: what is still to be tried stands in the tables, and nothing is remembered here.
//! Does not guarantee: that Transak accepts the older token for calls after a refresh. Its documents do not say.

mod cure;
mod refresh;
mod worry;

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::refresh::{Refreshing, refresh};
use super::directory::{Directory, Pictures};
use super::requeue::Requeue;
use super::suspicion::Suspicion;
use crate::model::fault::Fault;
use crate::model::id::PartnerId;
use crate::model::seal::MasterKey;
use crate::model::token_care::{self, Duty};
use crate::store;
use crate::store::session::PATIENCE;
use crate::store::token_refresh::{self, TokenState};
use crate::store::within;
use crate::transak::rest::TransakRest;

pub use self::cure::Cure;
pub use self::worry::{Worry, worries};

/// How often the tokens and the quarantine are looked at without being asked to.
const POLL: Duration = Duration::from_secs(15);

/// The least time between two looks: a stranger who goes on must not have the tables read all the time.
const SPACING: Duration = Duration::from_millis(500);

/// Refreshes under way at once.
const AT_ONCE: usize = 4;

/// A partner whose token ends is warned of this often.
const WARNING_INTERVAL: TimeDelta = TimeDelta::hours(1);

/// What the care needs.
pub struct Settings {
    pub pool: PgPool,
    pub key: MasterKey,
    pub rest: Arc<TransakRest>,
    pub requeue: Requeue,
    /// The picture that the intake reads with: renewed as soon as there is a new token.
    pub pictures: Pictures,
    /// Hurries the next look.
    pub suspicion: Suspicion,
}

/// How long one refresh may take, with its calls and what is written of it.
const LONGEST: Duration = Duration::from_mins(2);

/// Cares for the tokens of all partners.
pub struct TokenCare {
    settings: Settings,
    /// Tells of pictures that somebody else has renewed: there may be a token in it.
    pictures: watch::Receiver<Arc<Directory>>,
    warned_at: HashMap<PartnerId, DateTime<Utc>>,
}

/// What a look at the tokens did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Looked {
    /// New tokens.
    pub refreshed: u32,
    /// Refreshes that failed.
    pub failed: u32,
    /// Messages that left the quarantine.
    pub cured: u64,
}

impl TokenCare {
    /// Care for the partners in this database.
    pub fn new(settings: Settings) -> Self {
        let pictures = settings.pictures.subscribe();
        Self { settings, pictures, warned_at: HashMap::new() }
    }

    /// Cares until told to stop.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let suspicion = self.settings.suspicion.clone();
        let mut failing = Fault::default();
        loop {
            let look = async {
                match failing.news(&self.tick(Utc::now()).await) {
                    Some(Ok(())) => tracing::info!("the access tokens can be looked at again"),
                    Some(Err(error)) => tracing::warn!(
                        error = error as &dyn Error,
                        "the access tokens cannot be looked at right now"
                    ),
                    None => {}
                }
                tokio::time::sleep(SPACING).await;
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = look => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = suspicion.raised() => {}
                // Its other end is in the settings, so this does not fail.
                _ = self.pictures.changed() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Looks at every partner's messages and token once.
    pub async fn tick(&mut self, now: DateTime<Utc>) -> store::Result<Looked> {
        let mut looked = Looked::default();
        // Before the tokens are judged: what one of them verifies speaks for no other.
        looked.cured += self.cure().await?;
        let states = states(&self.settings.pool, None).await?;
        self.warned_at.retain(|partner, _| states.iter().any(|state| state.partner_id == *partner));
        let due =
            states.iter().filter(|state| self.is_due(state, now)).map(|state| state.partner_id).collect();
        self.refresh_all(due, now, &mut looked).await?;
        if looked.refreshed > 0 {
            self.settings.pictures.renew().await?;
            self.pictures.mark_unchanged();
            looked.cured += self.cure().await?;
        }
        Ok(looked)
    }

    /// Warns, and answers whether the token is to be replaced now.
    fn is_due(&mut self, state: &TokenState, now: DateTime<Utc>) -> bool {
        match token_care::duty(&state.care(), state.suspicion(), now) {
            Duty::None => false,
            Duty::Refresh(_) => true,
            Duty::Warn => {
                let warned_at = self.warned_at.get(&state.partner_id);
                if warned_at.is_none_or(|at| now >= *at + WARNING_INTERVAL) {
                    self.warned_at.insert(state.partner_id, now);
                    tracing::warn!(
                        partner.id = %state.partner_id,
                        expires_at = state.expires_at.map(|at| at.to_rfc3339()),
                        "the access token ends, and without an API secret only the partner can give another one"
                    );
                }
                false
            }
        }
    }

    async fn refresh_all(
        &self,
        due: Vec<PartnerId>,
        now: DateTime<Utc>,
        looked: &mut Looked,
    ) -> store::Result<()> {
        let refreshes = due.into_iter().map(|partner| within(LONGEST, refresh(&self.settings, partner, now)));
        let results: Vec<_> = stream::iter(refreshes).buffer_unordered(AT_ONCE).collect().await;
        for result in results {
            match result? {
                Refreshing::Done => looked.refreshed += 1,
                Refreshing::Failed => looked.failed += 1,
                Refreshing::NotOurs => {}
            }
        }
        Ok(())
    }

    async fn cure(&mut self) -> store::Result<u64> {
        // What it has renewed itself is no news.
        self.settings.cure().quarantine(|| self.pictures.mark_unchanged()).await
    }
}

impl Settings {
    fn cure(&self) -> Cure {
        Cure { pool: self.pool.clone(), requeue: self.requeue.clone(), pictures: self.pictures.clone() }
    }
}

async fn states(pool: &PgPool, only: Option<PartnerId>) -> store::Result<Vec<TokenState>> {
    within(PATIENCE, async { token_refresh::states(&mut *pool.acquire().await?, only).await }).await
}
