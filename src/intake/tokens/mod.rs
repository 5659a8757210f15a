//! The care of access tokens: replaced before they end, one process at a time, and what could not be verified without
//! the new one tried again.
//!
//! Guarantees: two refreshes of a partner are never closer than the decisions in `model::token_care` allow, whichever
//! process makes them; a new token is kept before anything else happens, and the ones before it still verify.
//! Does not guarantee: that Transak accepts the older token for calls after a refresh. Its documents do not say.

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
use uuid::Uuid;

use self::refresh::{Refreshing, refresh};
use super::directory::{self, Directory};
use super::requeue::{Requeue, Tally};
use super::suspicion::Suspicion;
use crate::model::id::PartnerId;
use crate::model::seal::MasterKey;
use crate::model::token_care::{self, Duty, Why};
use crate::store;
use crate::store::token_refresh::{self, TokenState};
use crate::transak::rest::TransakRest;

pub use self::worry::{Worry, worries};

/// How often the tokens are looked at without being asked to.
const POLL: Duration = Duration::from_secs(15);

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
    pub picture: watch::Sender<Arc<Directory>>,
    /// Where the intake says that messages did not verify.
    pub suspicion: Suspicion,
}

/// Cares for the tokens of all partners.
pub struct TokenCare {
    settings: Settings,
    partners: HashMap<PartnerId, Memory>,
}

/// What is remembered of a partner between two looks.
#[derive(Debug, Default)]
struct Memory {
    suspected_at: Option<DateTime<Utc>>,
    /// Refreshes in a row, made on suspicion, that cured nothing.
    fruitless: u32,
    /// The newest token when the quarantine was last tried, and how often it was tried with it.
    tried: Option<(Uuid, u8)>,
    warned_at: Option<DateTime<Utc>>,
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
        Self { settings, partners: HashMap::new() }
    }

    /// Cares until told to stop.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let suspicion = self.settings.suspicion.clone();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                looked = self.tick(Utc::now()) => if let Err(error) = looked {
                    tracing::warn!(error = &error as &dyn Error, "the access tokens cannot be looked at right now");
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = suspicion.raised() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Looks at every partner's token once.
    pub async fn tick(&mut self, now: DateTime<Utc>) -> store::Result<Looked> {
        for (partner, at) in self.settings.suspicion.take() {
            self.partners.entry(partner).or_default().suspected_at = Some(at);
        }
        let states = states(&self.settings.pool, None).await?;
        self.partners.retain(|partner, _| states.iter().any(|state| state.partner_id == *partner));
        let due: Vec<_> = states.iter().filter_map(|state| Some((state, self.judge(state, now)?))).collect();
        let mut looked = Looked::default();
        let suspected = self.refresh_all(due, now, &mut looked).await?;
        let states = if looked.refreshed > 0 {
            let picture = directory::load(&self.settings.pool, &self.settings.key).await?;
            self.settings.picture.send_replace(Arc::new(picture));
            self::states(&self.settings.pool, None).await?
        } else {
            states
        };
        for state in &states {
            let cured = self.try_quarantine(state).await;
            looked.cured += cured;
            if suspected.contains(&state.partner_id) {
                let memory = self.partners.entry(state.partner_id).or_default();
                memory.fruitless = if cured > 0 { 0 } else { memory.fruitless + 1 };
            }
        }
        Ok(looked)
    }

    /// Shows and warns, and answers why the token is to be replaced now, if it is.
    fn judge(&mut self, state: &TokenState, now: DateTime<Utc>) -> Option<Why> {
        let memory = self.partners.entry(state.partner_id).or_default();
        match token_care::duty(&state.care(), memory.suspicion(), now) {
            Duty::None => None,
            Duty::Refresh(why) => Some(why),
            Duty::Warn => {
                if memory.warned_at.is_none_or(|at| now >= at + WARNING_INTERVAL) {
                    memory.warned_at = Some(now);
                    tracing::warn!(
                        partner.id = %state.partner_id,
                        expires_at = state.expires_at.map(|at| at.to_rfc3339()),
                        "the access token ends, and without an API secret only the partner can give another one"
                    );
                }
                None
            }
        }
    }

    /// Makes the tokens that are due; answers for whom that was done on a suspicion.
    async fn refresh_all(
        &self,
        due: Vec<(&TokenState, Why)>,
        now: DateTime<Utc>,
        looked: &mut Looked,
    ) -> store::Result<Vec<PartnerId>> {
        let settings = &self.settings;
        let mut refreshes = Vec::with_capacity(due.len());
        for (state, why) in due {
            let partner = state.partner_id;
            let suspicion = self.partners.get(&partner).and_then(Memory::suspicion);
            refreshes.push(async move { (partner, why, refresh(settings, partner, (suspicion, now)).await) });
        }
        let results: Vec<_> = stream::iter(refreshes).buffer_unordered(AT_ONCE).collect().await;
        let mut suspected = Vec::new();
        for (partner, why, result) in results {
            match result? {
                Refreshing::Done => looked.refreshed += 1,
                Refreshing::Failed => looked.failed += 1,
                Refreshing::NotOurs => continue,
            }
            suspected.extend((why == Why::Suspected).then_some(partner));
        }
        Ok(suspected)
    }

    /// Tries what could not be verified with a partner's earlier tokens: twice with each new one, because another
    /// process may not know the token yet when it puts a message aside.
    async fn try_quarantine(&mut self, state: &TokenState) -> u64 {
        let memory = self.partners.entry(state.partner_id).or_default();
        let Some(token) = state.token_id else { return 0 };
        let times = memory.tried.filter(|(with, _)| *with == token).map_or(0, |(_, times)| times);
        if times >= 2 {
            return 0;
        }
        match self.settings.requeue.unverified(state.partner_id).await {
            Ok(tally) => {
                memory.tried = Some((token, times + 1));
                if tally != Tally::default() {
                    tracing::info!(partner.id = %state.partner_id, kept = tally.kept, stay = tally.stay, "the quarantine was tried with a new access token");
                }
                tally.kept
            }
            Err(error) => {
                tracing::warn!(partner.id = %state.partner_id, error = &error as &dyn Error, "the quarantine cannot be tried right now");
                0
            }
        }
    }
}

impl Memory {
    fn suspicion(&self) -> Option<token_care::Suspicion> {
        self.suspected_at.map(|at| token_care::Suspicion { at, fruitless: self.fruitless })
    }
}

async fn states(pool: &PgPool, only: Option<PartnerId>) -> store::Result<Vec<TokenState>> {
    token_refresh::states(&mut *pool.acquire().await?, only).await
}
