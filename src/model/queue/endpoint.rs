//! The queue of one endpoint.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::under_way::{PROMPT, UnderWay};
use super::{Effect, Ended, Load, Place, Standing};
use crate::model::breaker::{Breaker, Change, Pick};
use crate::model::delivery::{Job, LONGEST_WAIT, Terms};
use crate::model::id::DeliveryId;
use crate::model::rate::Bucket;
use crate::model::retry::Found;

/// How many requests an endpoint is trusted with before it has answered any.
pub const FIRST_WINDOW: usize = 1;
/// How much may wait here beyond what can be sent at once: what the endpoint answers in a second, and never more than
/// this many.
const MOST_AHEAD: usize = 2048;
/// What is claimed ahead is the part of that.
const CLAIMED_AHEAD: usize = 4;
/// Over which time an endpoint's speed is measured.
const MEASURE: Duration = Duration::from_millis(100);

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is about something else, and every mixture occurs")]
pub(super) struct Queue {
    pub(super) place: Place,
    pub(super) waiting: VecDeque<Job>,
    pub(super) under_way: UnderWay,
    /// It is looked at when the next of its requests has waited for long.
    pub(super) watched: bool,
    /// It stands in the line of those of its partner that may start.
    pub(super) listed: bool,
    /// It stands in the line of those of its partner that may have more due.
    pub(super) hungry: bool,
    /// There may be more due in the table.
    pub(super) more: bool,
    /// Its breaker opened, or it is gone, and the table does not know it yet: what it hands out meanwhile must not be sent.
    pub(super) shutting: bool,
    /// The newest that is known.
    pub(super) revision: i32,
    /// Unknown until the first delivery.
    terms: Option<Terms>,
    window: usize,
    bucket: Option<Bucket>,
    /// The last holder died, so nobody knows how many tokens there are.
    lost: bool,
    breaker: Breaker,
    /// Whether the last request failed; unknown at first.
    failing: Option<bool>,
    /// Whether the last request found the endpoint up, or was the first error it answered since one that did; unknown at
    /// first.
    up: Option<bool>,
    /// When it last answered anything.
    answered_at: Option<Instant>,
    finished: usize,
    pace: usize,
    measured_at: Instant,
    used_at: Instant,
}

impl Queue {
    pub(super) fn new(place: Place, lost: bool, now: Instant) -> Self {
        Self {
            place,
            waiting: VecDeque::new(),
            under_way: UnderWay::default(),
            watched: false,
            listed: false,
            hungry: false,
            more: true,
            shutting: false,
            revision: 0,
            terms: None,
            window: FIRST_WINDOW,
            bucket: None,
            lost,
            breaker: Breaker::after(0),
            failing: None,
            up: None,
            answered_at: None,
            finished: 0,
            pace: 0,
            measured_at: now,
            used_at: now,
        }
    }

    pub(super) fn standing(&self) -> Standing {
        if self.up == Some(true) && !self.breaker.is_probing() {
            Standing::Proven
        } else {
            Standing::Doubtful
        }
    }

    pub(super) fn load(&self) -> Load {
        Load {
            standing: self.standing(),
            under_way: self.under_way.count(),
            in_slots: self.under_way.in_slots(),
            waiting: self.waiting.len(),
        }
    }

    pub(super) fn push(&mut self, job: Job, now: Instant) {
        if self.terms.is_none_or(|terms| job.terms.revision > terms.revision) {
            self.adopt(job.terms, now);
        }
        self.used_at = now;
        self.waiting.push_back(job);
    }

    /// New terms may mean that somebody repaired the endpoint: its past is forgotten, its tokens are not.
    fn adopt(&mut self, terms: Terms, now: Instant) {
        let fresh = |rate| if self.lost { Bucket::empty(rate, now) } else { Bucket::full(rate, now) };
        self.bucket = match (self.bucket, terms.rate) {
            (Some(bucket), Some(rate)) if bucket.rate() == rate => Some(bucket),
            (Some(_), Some(rate)) => Some(Bucket::empty(rate, now)),
            (None, Some(rate)) => Some(fresh(rate)),
            (_, None) => None,
        };
        self.lost = false;
        self.breaker = Breaker::after(terms.trips);
        (self.failing, self.up) = (None, None);
        self.terms = Some(terms);
    }

    /// How many more deliveries of the table are of use here. It keeps what is not needed soon: a claim is a statement that
    /// others run beside, so it had better be small.
    pub(super) fn room(&self, now: Instant) -> usize {
        self.room_ahead(now, CLAIMED_AHEAD)
    }

    /// How many more deliveries are of use here, if what the endpoint answers in `1 / part` of a second may wait.
    fn room_ahead(&self, now: Instant, part: usize) -> usize {
        if self.shutting {
            return 0;
        }
        let is_fresh = now.saturating_duration_since(self.measured_at) <= 10 * MEASURE;
        let pace = if is_fresh && !self.breaker.is_probing() { self.pace.min(MOST_AHEAD) / part } else { 0 };
        let ahead = self.most_at_once().saturating_sub(self.under_way.count()) + pace;
        let room = ahead.saturating_sub(self.waiting.len());
        match &self.bucket {
            // What would have to wait for tokens can as well wait in the table.
            Some(bucket) => room.min(bucket.tokens_soon(now).saturating_sub(self.waiting.len())),
            None => room,
        }
    }

    /// How many may be born leased. The endpoint is not let go while they are being written.
    pub(super) fn room_for_fresh(&mut self, now: Instant) -> usize {
        let room = self.room_ahead(now, 1);
        self.used_at = now;
        if self.more { room / 2 } else { room }
    }

    /// Claims are made for many deliveries at a time, unless nothing else is left to do.
    pub(super) fn is_worth_a_claim(&self, room: usize) -> bool {
        room > 0 && (self.waiting.is_empty() || room >= self.waiting.len())
    }

    /// When there are tokens again, if it is them that are missing.
    pub(super) fn next_token_at(&self, now: Instant) -> Option<Instant> {
        let waits = self.under_way.count() < self.most_at_once() && self.waiting.is_empty();
        self.bucket.as_ref().filter(|_| waits).map(|bucket| bucket.next_token_at(now)).filter(|at| *at > now)
    }

    pub(super) fn may_start(&self) -> bool {
        !self.waiting.is_empty() && self.under_way.count() < self.most_at_once() && !self.shutting
    }

    /// The next delivery, unless `share` are under way already; or when there is a token for it.
    pub(super) fn start(&mut self, share: usize, now: Instant) -> Result<Option<Job>, Instant> {
        if !self.may_start() || self.under_way.count() >= share {
            return Ok(None);
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now)?;
        }
        self.used_at = now;
        let mut next = self.waiting.pop_front();
        if let Some(job) = &mut next {
            job.terms.revision = job.terms.revision.max(self.revision);
            self.under_way.begin(job.delivery_id, now);
        }
        Ok(next)
    }

    pub(super) fn ended(&mut self, ended: Ended, now: Instant) -> Effect {
        self.under_way.end(ended.of);
        self.finished += 1;
        self.measure(now);
        let first_success = ended.succeeded && self.failing != Some(false);
        self.failing = Some(!ended.succeeded);
        if ended.succeeded {
            self.window = (self.window + 1).min(self.most_allowed());
        } else if ended.found == Found::Silent {
            self.window = (self.window / 2).max(1);
        }
        let change = self.breaker.note(ended.found, ended.of, ended.began, now);
        self.up = Some(match ended.found {
            Found::Up => true,
            Found::Erring => self.up == Some(true) && !self.breaker.is_in_doubt(),
            Found::Down | Found::Silent => false,
        });
        if matches!(ended.found, Found::Up | Found::Erring) {
            self.answered_at = Some(now);
        }
        if matches!(change, Some(Change::Opened { .. })) {
            self.window = FIRST_WINDOW;
        }
        self.shutting |= ended.gone || matches!(change, Some(Change::Opened { .. }));
        if change.is_some() {
            self.more = true;
        }
        Effect { change, first_success }
    }

    /// Has those of its requests linger that have waited for long, at most `room`. If it has not answered anything meanwhile,
    /// nobody knows any more that it does, and it is sent nothing more until it has.
    pub(super) fn linger(&mut self, room: usize, now: Instant) -> Vec<DeliveryId> {
        let is_quiet = |at| now.saturating_duration_since(at) >= PROMPT;
        if self.under_way.is_slow(now) && self.answered_at.is_none_or(is_quiet) {
            self.up = Some(false);
            self.window = FIRST_WINDOW;
        }
        self.under_way.linger(room, now)
    }

    /// One request at a time is sent, to see whether it is up.
    pub(super) const fn is_probing(&self) -> bool {
        self.breaker.is_probing()
    }

    pub(super) const fn pick(&self) -> Pick {
        self.breaker.pick()
    }

    pub(super) fn failure_is_written(&mut self) {
        self.failing = self.failing.filter(|failing| *failing);
    }

    /// What has waited so long that its lease could end before its answer, and what has no token soon. The oldest wait in
    /// front.
    pub(super) fn take_stale(&mut self, now: Instant) -> Vec<Job> {
        let stale = |job: &Job| now.saturating_duration_since(job.leased_at) > LONGEST_WAIT;
        let count = self.waiting.iter().take_while(|job| stale(job)).count();
        let soon = self.bucket.map_or(usize::MAX, |bucket| bucket.tokens_soon(now));
        let mut given_back: Vec<Job> = self.waiting.drain(..count).collect();
        if self.waiting.len() > soon {
            given_back.extend(self.waiting.drain(soon..));
        }
        given_back
    }

    pub(super) fn is_idle(&self, now: Instant, after: Duration) -> bool {
        let full = self.bucket.is_none_or(|bucket| bucket.tokens(now) >= bucket.rate().burst() as usize);
        let quiet = self.under_way.count() == 0 && self.waiting.is_empty() && !self.shutting;
        quiet && full && now.saturating_duration_since(self.used_at) > after
    }

    fn most_at_once(&self) -> usize {
        if self.breaker.is_probing() { 1 } else { self.window.min(self.most_allowed()) }
    }

    fn most_allowed(&self) -> usize {
        self.terms.map_or(FIRST_WINDOW, |terms| usize::from(terms.max_in_flight))
    }

    fn measure(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.measured_at);
        if elapsed >= MEASURE {
            let per_second = self.finished as u128 * 1000 / elapsed.as_millis().max(1);
            self.pace = usize::try_from(per_second).unwrap_or(usize::MAX);
            self.finished = 0;
            self.measured_at = now;
        }
    }
}
