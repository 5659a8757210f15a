//! What the stream did not tell, read again from Transak's REST API: the days of each gap, and each order that is under
//! way, time and again.
//!
//! Guarantees: everything goes through the intake and is an event once, however often it is read; a gap counts as
//! repaired only when every order that may have changed in it was read, and until then says what stands in the way; a
//! repair goes on where a process died; one process at a time works for a partner; partners do not wait for each other's
//! REST; no transaction is open during a call; an answer that cannot be used costs its order this look and no other order
//! anything.
//! Does not guarantee: what Transak's record does not hold. A row of `statusHistories` has no payload of its own; the
//! order as it stands, with that row's status and time, stands in for it, and a row that cannot be read is left out. An
//! order that the relay never heard of is found if it was made in the 90 days before the gap.

mod gaps;
mod lease;
mod orders;
mod pass;
mod plan;
mod turns;

use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use self::lease::Clock;
use self::turns::Turns;
use super::suspicion::Suspicion;
use super::{Full, Intake};
use crate::model::fault::Fault;
use crate::model::id::PartnerId;
use crate::model::reconcile::SETTLING;
use crate::model::seal::MasterKey;
use crate::store;
use crate::store::reconcile::DuePartner;
use crate::store::session::PATIENCE;
use crate::transak::rest::{RestError, TransakRest};

/// How often it is looked whether something is due.
const POLL: Duration = Duration::from_secs(2);

/// The time of a partner's turn. Half of it is for gaps, so that orders that are due get theirs.
pub const TURN: Duration = Duration::from_secs(20);

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
    /// How long a partner's turn goes on beginning something: [`TURN`].
    pub turn: Duration,
}

/// Reconciles all partners.
pub struct Reconciler {
    settings: Arc<Settings>,
    turns: Turns,
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
        let settings = Arc::new(settings);
        Self { turns: Turns::new(Arc::clone(&settings)), settings, without_token: HashSet::new() }
    }

    /// Reconciles until told to stop, first of all what is due at the start.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut failing = Fault::default();
        loop {
            let looked = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                looked = store::within(PATIENCE, self.look_now()) => looked,
            };
            match failing.news(&looked) {
                Some(Ok(())) => tracing::info!("reconciling goes on"),
                Some(Err(error)) => {
                    tracing::warn!(error = error as &dyn Error, "nothing can be reconciled right now");
                }
                None => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = self.work_for(POLL) => {}
            }
        }
    }

    /// Lets turns begin and end, until it is time to look again, or one that ended leaves more to do.
    async fn work_for(&mut self, time: Duration) {
        let pause = tokio::time::sleep(time);
        tokio::pin!(pause);
        loop {
            self.turns.fill();
            tokio::select! {
                () = &mut pause => return,
                Some(turn) = self.turns.next_end() => if turn.more && !self.turns.has_waiting() { return },
            }
        }
    }

    /// Does what is due: a turn for each partner.
    pub async fn run_once(&mut self, now: DateTime<Utc>) -> store::Result<Summary> {
        self.look(now).await?;
        let mut summary = Summary::default();
        self.turns.fill();
        while let Some(turn) = self.turns.next_end().await {
            summary = summary.and(turn);
            self.turns.fill();
        }
        Ok(summary)
    }

    /// Sees for whom something is due.
    async fn look(&mut self, now: DateTime<Utc>) -> store::Result<()> {
        let mut conn = self.settings.pool.acquire().await?;
        let due = store::reconcile::due(&mut conn, now, now.max(Utc::now()) - SETTLING).await?;
        drop(conn);
        let (with, without): (Vec<_>, Vec<_>) = due.into_iter().partition(|partner| partner.token.is_some());
        self.tell_without_token(&without);
        self.turns.wait(with, Clock::from(now));
        Ok(())
    }

    /// As [`Self::look`], by the database's clock: all processes agree on it about what is due and who has a lease.
    async fn look_now(&mut self) -> store::Result<()> {
        let mut conn = self.settings.pool.acquire().await?;
        let now = store::figures::clock(&mut conn).await?;
        drop(conn);
        self.look(now).await
    }

    fn tell_without_token(&mut self, without: &[DuePartner]) {
        let now_without: HashSet<PartnerId> = without.iter().map(|partner| partner.partner_id).collect();
        for partner in now_without.difference(&self.without_token) {
            tracing::warn!(partner.id = %partner, "without a valid access token nothing can be read from Transak for this partner");
        }
        self.without_token = now_without;
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
