//! Who is worked for at once, and one partner's turn.
//!
//! Guarantees: a turn begins nothing new after its time ([`Settings::turn`]), and a call has a deadline, so a place is free again soon, whatever
//! Transak does; partners whose last turn failed or used up its time have only a part of the places, so that however many
//! they are, the others find one; the partner that has waited longest comes first.

use std::collections::{HashMap, HashSet, VecDeque};
use std::error::Error;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lease::{Clock, Lease};
use super::pass::Pass;
use super::{Settings, Stop, Summary};
use crate::model::id::PartnerId;
use crate::model::reconcile::partner_pause;
use crate::store;
use crate::store::reconcile::DuePartner;
use crate::store::token_refresh;
use crate::transak::rest::{Account, RestError};

/// Turns under way at once.
const PLACES: usize = 16;

/// Places for partners whose last turn failed or used up its time.
const SLOW_PLACES: usize = 8;

/// A turn ends by itself soon after its time. One that does not waits for a database that has fallen silent.
const LONGEST: Duration = Duration::from_secs(90);

/// The turns that wait and that are under way.
pub(super) struct Turns {
    settings: Arc<Settings>,
    waiting: VecDeque<DuePartner>,
    clock: Clock,
    under_way: HashMap<PartnerId, Kind>,
    set: JoinSet<(PartnerId, End)>,
    /// Turns in a row that had to be given up.
    failures: HashMap<PartnerId, u32>,
    /// Partners whose last turn failed or used up its time.
    slow: HashSet<PartnerId>,
}

/// Which places a turn may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Usual,
    Slow,
}

/// How a turn ended.
struct End {
    summary: Summary,
    /// `None`: somebody else has the partner.
    failures: Option<u32>,
    is_slow: bool,
}

impl Turns {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            waiting: VecDeque::new(),
            clock: Clock::from(DateTime::UNIX_EPOCH),
            under_way: HashMap::new(),
            set: JoinSet::new(),
            failures: HashMap::new(),
            slow: HashSet::new(),
        }
    }

    /// These wait from now on, in this order; nobody else does.
    pub(super) fn wait(&mut self, partners: Vec<DuePartner>, clock: Clock) {
        (self.waiting, self.clock) = (partners.into(), clock);
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Begins turns while there are places.
    pub(super) fn fill(&mut self) {
        while let Some(at) = next_place(&self.waiting_kinds(), &self.kinds_under_way()) {
            let Some(partner) = self.waiting.remove(at) else { return };
            let id = partner.partner_id;
            self.under_way.insert(id, self.kind(id));
            let turn = Turn {
                settings: Arc::clone(&self.settings),
                now: self.clock.now(),
                failures: self.failures.get(&id).copied().unwrap_or_default(),
            };
            self.set.spawn(async move { (id, turn.take(partner).await) });
        }
    }

    fn kind(&self, id: PartnerId) -> Kind {
        if self.slow.contains(&id) { Kind::Slow } else { Kind::Usual }
    }

    /// `None`: a turn of the partner is under way.
    fn waiting_kinds(&self) -> Vec<Option<Kind>> {
        let kind = |id| (!self.under_way.contains_key(&id)).then(|| self.kind(id));
        self.waiting.iter().map(|partner| kind(partner.partner_id)).collect()
    }

    fn kinds_under_way(&self) -> Vec<Kind> {
        self.under_way.values().copied().collect()
    }

    /// Waits for a turn to end. `None`: none is under way.
    pub(super) async fn next_end(&mut self) -> Option<Summary> {
        let (id, end) = match self.set.join_next().await? {
            Ok(ended) => ended,
            // Nobody cancels one, so it panicked: the process is to end as if it had been here.
            Err(error) => resume_unwind(error.into_panic()),
        };
        self.under_way.remove(&id);
        if end.is_slow {
            self.slow.insert(id)
        } else {
            self.slow.remove(&id)
        };
        match end.failures {
            Some(0) => drop(self.failures.remove(&id)),
            Some(times) => drop(self.failures.insert(id, times)),
            None => {}
        }
        Some(end.summary)
    }
}

/// Which of those who wait takes a place, if there is one.
fn next_place(waiting: &[Option<Kind>], under_way: &[Kind]) -> Option<usize> {
    if under_way.len() >= PLACES {
        return None;
    }
    let slow = under_way.iter().filter(|kind| **kind == Kind::Slow).count();
    waiting.iter().position(|kind| match kind {
        Some(Kind::Usual) => true,
        Some(Kind::Slow) => slow < SLOW_PLACES,
        None => false,
    })
}

/// One partner's turn.
struct Turn {
    settings: Arc<Settings>,
    now: DateTime<Utc>,
    /// Turns before it, in a row, that had to be given up.
    failures: u32,
}

impl Turn {
    async fn take(self, partner: DuePartner) -> End {
        let id = partner.partner_id;
        let taken = tokio::time::timeout(LONGEST, self.try_take(partner)).await;
        let late = |_| Err(store::Error::from(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())).into());
        taken.unwrap_or_else(late).unwrap_or_else(|error: Stop| {
            tracing::warn!(partner.id = %id, error = &error as &dyn Error, "a partner cannot be reconciled right now");
            let summary = Summary { given_up: 1, ..Summary::default() };
            End { summary, failures: None, is_slow: false }
        })
    }

    async fn try_take(&self, partner: DuePartner) -> Result<End, Stop> {
        let id = partner.partner_id;
        let context = store::access_token::context(id);
        let token = partner.token.map(|sealed| self.settings.key.open_text(&context, &sealed));
        let nothing = || End { summary: Summary::default(), failures: None, is_slow: false };
        let Some(token) = token.transpose().map_err(store::Error::from)? else { return Ok(nothing()) };
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        // Of a token that is not its own, what is answered could be another partner's orders.
        let is_own = store::access_token::is_own(&mut conn, id, &token).await?;
        drop(conn);
        let lease = if is_own { Lease::take(&self.settings.pool, id, self.now).await? } else { None };
        let Some(lease) = lease else { return Ok(nothing()) };
        let begun = Instant::now();
        let pass = Pass {
            settings: &self.settings,
            account: Account { partner_id: id, environment: partner.environment, api_key: partner.api_key },
            token,
            lease,
            clock: Clock::from(self.now),
            summary: Mutex::default(),
            unanswered: AtomicU32::new(0),
            has_answers: AtomicBool::new(false),
            gaps_until: begun + self.settings.turn / 2,
            until: begun + self.settings.turn,
        };
        let outcome = pass.work_under_lease().await;
        self.end(pass, outcome).await
    }

    /// Gives the partner back, and says how it went.
    async fn end(&self, pass: Pass<'_>, outcome: Result<bool, Stop>) -> Result<End, Stop> {
        let (id, now) = (pass.partner(), pass.clock.now());
        let is_slow = outcome.is_err() || pass.is_over();
        let failures = match outcome {
            Ok(_) => 0,
            // What was answered before it failed is progress.
            Err(_) if pass.has_answers.load(Ordering::Relaxed) => 1,
            Err(_) => self.failures.saturating_add(1),
        };
        let pause = outcome.as_ref().err().map_or(TimeDelta::zero(), |stop| {
            TimeDelta::from_std(partner_pause(failures, stop.asked_pause(now))).unwrap_or_default()
        });
        if matches!(outcome, Err(Stop::Rest(RestError::InactiveToken))) {
            self.suspect_token(id, now).await?;
        }
        let mut summary = pass.summary.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        pass.lease.release(now + pause, now).await?;
        match outcome {
            Ok(more) => summary.more = more,
            Err(stop) => {
                summary.given_up = 1;
                tracing::warn!(partner.id = %id, error = &stop as &dyn Error, pause_s = pause.num_seconds(), "reconciling a partner pauses");
            }
        }
        Ok(End { summary, failures: Some(failures), is_slow })
    }

    /// Writes down that Transak does not accept the token, for whichever process cares for tokens.
    async fn suspect_token(&self, id: PartnerId, now: DateTime<Utc>) -> store::Result<()> {
        token_refresh::refused(&mut *self.settings.pool.acquire().await?, id, now).await?;
        self.settings.suspicion.raise();
        Ok(())
    }
}

impl Stop {
    fn asked_pause(&self, now: DateTime<Utc>) -> Duration {
        match self {
            Self::Rest(error) => error.asked_pause(now),
            _ => Duration::ZERO,
        }
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
        let gaps = self.due_gaps().await?;
        let orders = self.due_orders().await?;
        Ok(gaps || orders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partners_that_are_slow_leave_places_for_the_others() {
        let slow = vec![Kind::Slow; SLOW_PLACES];
        assert_eq!(next_place(&[Some(Kind::Slow), Some(Kind::Usual)], &slow), Some(1));
        assert_eq!(next_place(&[Some(Kind::Slow)], &slow), None);
        assert_eq!(next_place(&[Some(Kind::Slow)], &slow[1..]), Some(0));
    }

    #[test]
    fn whoever_waited_longest_comes_first_but_has_one_turn_at_a_time() {
        let (usual, slow) = (Some(Kind::Usual), Some(Kind::Slow));
        assert_eq!(next_place(&[None, slow, usual], &[Kind::Usual]), Some(1));
        assert_eq!(next_place(&[None], &[Kind::Usual]), None);
    }

    #[test]
    fn there_is_an_end_to_the_places() {
        assert_eq!(next_place(&[Some(Kind::Usual)], &[Kind::Usual; PLACES]), None);
        assert_eq!(next_place(&[Some(Kind::Usual)], &[Kind::Usual; PLACES - 1]), Some(0));
    }
}
