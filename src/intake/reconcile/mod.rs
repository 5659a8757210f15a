//! What the stream did not tell, read again from Transak's REST API: the days of each gap, and each order that is under
//! way, time and again.
//!
//! Guarantees: everything goes through the intake and is an event once, however often it is read; a gap counts as
//! repaired only when all pages were read, and all orders on them that differ from what is kept; a repair goes on where a
//! process died; one process at a time works for a partner; no transaction is open during a call; an answer that cannot
//! be used costs its order this look and no other order anything.
//! Does not guarantee: what Transak's record does not hold. A row of `statusHistories` has no payload of its own; the
//! order as it stands, with that row's status and time, stands in for it.

mod gaps;
mod lease;
mod orders;
mod pass;
mod plan;

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use self::lease::{Clock, Lease};
use self::pass::Pass;
use super::suspicion::Suspicion;
use super::{Full, Intake};
use crate::model::id::PartnerId;
use crate::model::reconcile::{SETTLING, partner_pause};
use crate::model::seal::MasterKey;
use crate::store;
use crate::store::reconcile::DuePartner;
use crate::store::token_refresh;
use crate::transak::rest::{Account, RestError, TransakRest};

/// How often it is looked whether something is due.
const POLL: Duration = Duration::from_secs(2);

/// Partners worked for at once.
const PARTNERS_AT_ONCE: usize = 4;

/// Calls for one partner under way at once.
const CALLS_AT_ONCE: usize = 4;

/// What reconciling needs.
pub struct Settings {
    pub pool: PgPool,
    pub key: MasterKey,
    pub rest: Arc<TransakRest>,
    pub intake: Intake,
    /// Hurries the care of tokens when Transak does not accept one any more.
    pub suspicion: Suspicion,
    /// How often an order under way is looked at.
    pub every: Duration,
}

/// Reconciles all partners.
pub struct Reconciler {
    settings: Settings,
    /// Turns in a row that had to be given up.
    failures: Mutex<HashMap<PartnerId, u32>>,
    /// Partners with something due and no access token, as last seen.
    without_token: HashSet<PartnerId>,
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Gaps that are repaired now.
    pub gaps_repaired: usize,
    /// Gaps that are not, and are tried again later.
    pub gaps_failed: usize,
    /// Orders that were compared.
    pub orders: u64,
    /// Events that nobody had told before.
    pub found: u64,
    /// Answers, rows and calls that could not be used.
    pub errors: u64,
    /// Partners whose turn had to be given up.
    pub given_up: u64,
    /// There may be more to do at once.
    pub more: bool,
}

/// Why a partner's turn ends before everything was done.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Rest(#[from] RestError),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Full(#[from] Full),
    #[error("another process works for the partner")]
    LeaseLost,
}

impl Reconciler {
    /// Reconciling the partners in this database.
    pub fn new(settings: Settings) -> Self {
        Self { settings, failures: Mutex::default(), without_token: HashSet::new() }
    }

    /// Reconciles until told to stop, first of all what is due at the start.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        loop {
            let more = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                summary = self.run_once(Utc::now()) => match summary {
                    Ok(summary) => summary.more,
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn Error, "nothing can be reconciled right now");
                        false
                    }
                },
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(if more { Duration::ZERO } else { POLL }) => {}
            }
        }
    }

    /// Does what is due: a turn for each partner.
    pub async fn run_once(&mut self, now: DateTime<Utc>) -> store::Result<Summary> {
        let mut conn = self.settings.pool.acquire().await?;
        let due = store::reconcile::due(&mut conn, now, now - SETTLING).await?;
        drop(conn);
        let (with, without): (Vec<_>, Vec<_>) = due.into_iter().partition(|partner| partner.token.is_some());
        self.show_without_token(&without);
        let this = &*self;
        let turns = stream::iter(with).map(|partner| this.turn(partner, now));
        let summaries: Vec<Summary> = turns.buffer_unordered(PARTNERS_AT_ONCE).collect().await;
        Ok(summaries.into_iter().fold(Summary::default(), Summary::and))
    }

    fn show_without_token(&mut self, without: &[DuePartner]) {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and partners are few")]
        metrics::gauge!("relay_reconcile_partners_without_token").set(without.len() as f64);
        let now_without: HashSet<PartnerId> = without.iter().map(|partner| partner.partner_id).collect();
        for partner in now_without.difference(&self.without_token) {
            tracing::warn!(partner.id = %partner, "without a valid access token nothing can be read from Transak for this partner");
        }
        self.without_token = now_without;
    }

    async fn turn(&self, partner: DuePartner, now: DateTime<Utc>) -> Summary {
        let id = partner.partner_id;
        match self.take_turn(partner, now).await {
            Ok(summary) => summary,
            Err(error) => {
                tracing::warn!(partner.id = %id, error = &error as &dyn Error, "a partner cannot be reconciled right now");
                Summary { given_up: 1, ..Summary::default() }
            }
        }
    }

    async fn take_turn(&self, partner: DuePartner, now: DateTime<Utc>) -> Result<Summary, Stop> {
        let id = partner.partner_id;
        let context = store::access_token::context(id);
        let token = partner.token.map(|sealed| self.settings.key.open_text(&context, &sealed));
        let Some(token) = token.transpose().map_err(store::Error::from)? else {
            return Ok(Summary::default());
        };
        let Some(lease) = Lease::take(&self.settings.pool, id, now).await? else {
            return Ok(Summary::default());
        };
        let pass = Pass {
            settings: &self.settings,
            account: Account { partner_id: id, environment: partner.environment, api_key: partner.api_key },
            token,
            lease,
            clock: Clock::from(now),
            summary: Mutex::default(),
            unanswered: AtomicU32::new(0),
        };
        let outcome = pass.work_under_lease().await;
        let now = pass.clock.now();
        if matches!(outcome, Err(Stop::Rest(RestError::InactiveToken))) {
            self.suspect_token(id, now).await?;
        }
        let pause = self.pause_after(id, &outcome, now);
        let mut summary = pass.summary.into_inner().unwrap_or_else(PoisonError::into_inner);
        pass.lease.release(now + pause, now).await?;
        match outcome {
            Ok(more) => summary.more = more,
            Err(stop) => {
                summary.given_up = 1;
                tracing::warn!(partner.id = %id, error = &stop as &dyn Error, pause_s = pause.num_seconds(), "reconciling a partner pauses");
            }
        }
        Ok(summary)
    }

    /// Writes down that Transak does not accept the token, for whichever process cares for tokens.
    async fn suspect_token(&self, id: PartnerId, now: DateTime<Utc>) -> store::Result<()> {
        token_refresh::refused(&mut *self.settings.pool.acquire().await?, id, now).await?;
        self.settings.suspicion.raise();
        Ok(())
    }

    /// How long the partner is left alone.
    fn pause_after(&self, id: PartnerId, outcome: &Result<bool, Stop>, now: DateTime<Utc>) -> TimeDelta {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let Err(stop) = outcome else {
            failures.remove(&id);
            return TimeDelta::zero();
        };
        let asked = match stop {
            Stop::Rest(error) => error.asked_pause(now),
            _ => Duration::ZERO,
        };
        let times = failures.entry(id).or_default();
        *times += 1;
        TimeDelta::from_std(partner_pause(*times, asked)).unwrap_or_default()
    }
}

impl Pass<'_> {
    async fn work_under_lease(&self) -> Result<bool, Stop> {
        let (done, lost) = (CancellationToken::new(), CancellationToken::new());
        let work = async {
            let outcome = tokio::select! {
                outcome = self.work() => outcome,
                () = lost.cancelled() => Err(Stop::LeaseLost),
            };
            done.cancel();
            outcome
        };
        // An extension under way is waited for: the lease is given back by its end.
        let keeping = async {
            let why = self.lease.keep(self.clock, &done).await;
            lost.cancel();
            why
        };
        let (outcome, why) = tokio::join!(work, keeping);
        why.map_or(outcome, Err)
    }

    /// Gaps first: nobody else tells what was missed in them. `true`: there may be more.
    async fn work(&self) -> Result<bool, Stop> {
        self.due_gaps().await?;
        self.due_orders().await
    }
}

impl Summary {
    fn and(self, other: Self) -> Self {
        Self {
            gaps_repaired: self.gaps_repaired + other.gaps_repaired,
            gaps_failed: self.gaps_failed + other.gaps_failed,
            orders: self.orders + other.orders,
            found: self.found + other.found,
            errors: self.errors + other.errors,
            given_up: self.given_up + other.given_up,
            more: self.more || other.more,
        }
    }
}
