//! When to stop calling an endpoint that is down, and when to try it again. Pure: outcomes and times are handed in.
//!
//! It listens to what says that the *endpoint* is down: no answer, 429, and 5xx if that is what it answers to whatever it is
//! sent. An endpoint that refuses one event (any other status) is up, and says nothing of the next event.
//!
//! Closed: everything is sent. A row of failures of different deliveries, with nothing between that found it up, opens it;
//! but if it was answered, one delivery after the other from elsewhere in what is owed is sent first, to sound out whether
//! it is the endpoint that fails or those deliveries. Open: nothing is sent for a while; that is no failure and costs no
//! attempt. Then half-open: one delivery is sent as a probe. Whatever finds it up closes it, a probe that fails opens it
//! for twice as long, but never for longer than it has been down.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use super::id::DeliveryId;
use super::retry::Found;

/// So many deliveries that fail one after the other open it.
const MOST_IN_A_ROW: usize = 10;
/// If it answers, so many more are tried before that, from elsewhere in what is owed.
const SOUNDINGS: usize = 5;
/// Of so many of the latest outcomes, if there are at least [`LEAST`], seven in ten that were no answer open it.
const REMEMBERED: u32 = 20;
const LEAST: u32 = 10;
/// Outcomes older than this say nothing about now.
const MEMORY: Duration = Duration::from_mins(1);
/// The first pause, if nobody knows when it was last up, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_mins(15);
/// No pause is shorter.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing is sent for `pause`; it is the `trips`th time in a row.
    Opened { trips: u16, pause: Duration },
    /// Everything is sent again. What was tried `within` this time before now failed because the endpoint was down, and
    /// need not wait for its own time.
    Closed { within: Duration },
}

/// Which delivery tells most about an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// Those that have been due longest.
    InTurn,
    /// One that was never tried, and became due last.
    Newest,
    /// One that was never tried, from anywhere in what is due.
    Anywhere,
}

/// The breaker of one endpoint.
#[derive(Debug, Clone)]
pub struct Breaker {
    /// How often it opened since it last found the endpoint up; 0: closed.
    trips: u16,
    opened_at: Option<Instant>,
    /// Deliveries that failed since the endpoint was last found up. The first of them began at `run_began`.
    run: Vec<DeliveryId>,
    run_began: Option<Instant>,
    /// Some of them were answered, with an error.
    answered: bool,
    sounding_since: Option<Instant>,
    /// The latest outcomes, one bit each, set where there was no answer or 429.
    latest: u32,
    remembered: u32,
    last_at: Option<Instant>,
    up_at: Option<Instant>,
    /// How long it has been open since it was last found up.
    paused: Duration,
}

impl Breaker {
    /// A breaker that has opened `trips` times and whose pause is over.
    pub const fn after(trips: u16) -> Self {
        Self {
            trips,
            opened_at: None,
            run: Vec::new(),
            run_began: None,
            answered: false,
            sounding_since: None,
            latest: 0,
            remembered: 0,
            last_at: None,
            up_at: None,
            paused: Duration::ZERO,
        }
    }

    /// Only one delivery may be under way at a time.
    pub const fn is_probing(&self) -> bool {
        self.trips > 0 || self.sounding_since.is_some()
    }

    /// More than one delivery failed since the endpoint was last found up.
    pub const fn is_in_doubt(&self) -> bool {
        self.is_probing() || self.run.len() > 1
    }

    /// Which delivery to send next. What a half-open one is sent is known where its trips are kept.
    pub const fn pick(&self) -> Pick {
        match (self.sounding_since, self.run.len()) {
            (None, _) => Pick::InTurn,
            (Some(_), MOST_IN_A_ROW) => Pick::Newest,
            (Some(_), _) => Pick::Anywhere,
        }
    }

    /// Takes note of how a request of a delivery that began at `began` found the endpoint. One that began before the
    /// breaker opened decides nothing any more.
    pub fn note(&mut self, found: Found, of: DeliveryId, began: Instant, now: Instant) -> Option<Change> {
        if self.trips > 0 {
            if self.opened_at.is_some_and(|opened| began <= opened) {
                return None;
            }
            return Some(if found == Found::Up { self.close(now) } else { self.open(now) });
        }
        if self.last_at.is_some_and(|last| now.saturating_duration_since(last) > MEMORY) {
            *self = Self { up_at: self.up_at, ..Self::after(0) };
        }
        self.last_at = Some(now);
        if found == Found::Up {
            self.remember(false);
            self.end_run(now);
            return None;
        }
        // One delivery that fails however often it is tried says no more than once, and what was under way when the
        // sounding began comes from where the others came.
        let is_news = !self.run.contains(&of) && self.sounding_since.is_none_or(|sounding| began > sounding);
        is_news.then(|| self.fail(found, of, (began, now))).flatten()
    }

    fn fail(&mut self, found: Found, of: DeliveryId, (began, now): (Instant, Instant)) -> Option<Change> {
        let answered = found == Found::Erring;
        self.run.push(of);
        self.run_began.get_or_insert(began);
        self.answered |= answered;
        self.remember(!answered);
        let mostly_down = self.remembered >= LEAST && self.latest.count_ones() * 10 >= self.remembered * 7;
        let is_down = match self.sounding_since {
            Some(_) => !answered || self.run.len() >= MOST_IN_A_ROW + SOUNDINGS,
            None => mostly_down || (self.run.len() >= MOST_IN_A_ROW && !self.answered),
        };
        if is_down {
            return Some(self.open(now));
        }
        if self.run.len() >= MOST_IN_A_ROW {
            self.sounding_since.get_or_insert(now);
        }
        None
    }

    fn remember(&mut self, down: bool) {
        self.latest = (self.latest << 1 | u32::from(down)) & ((1 << REMEMBERED) - 1);
        self.remembered = (self.remembered + 1).min(REMEMBERED);
    }

    fn end_run(&mut self, now: Instant) {
        self.run.clear();
        (self.run_began, self.answered, self.sounding_since) = (None, false, None);
        self.up_at = Some(now);
    }

    fn open(&mut self, now: Instant) -> Change {
        let trips = self.trips.saturating_add(1);
        let doubled = FIRST_PAUSE.saturating_mul(1 << (trips - 1).min(16)).min(LONGEST_PAUSE);
        let down_for = self.up_at.map_or(LONGEST_PAUSE, |up| now.saturating_duration_since(up));
        let pause = doubled.min(down_for.max(SHORTEST_PAUSE));
        *self = Self {
            opened_at: Some(now),
            run_began: self.run_began,
            up_at: self.up_at,
            paused: self.paused.saturating_add(pause),
            ..Self::after(trips)
        };
        Change::Opened { trips, pause }
    }

    fn close(&mut self, now: Instant) -> Change {
        let within = match self.run_began {
            // Another process saw it begin.
            None => Duration::MAX,
            // What failed meanwhile is as likely to fail for reasons of its own.
            Some(_) if self.paused < FIRST_PAUSE => Duration::ZERO,
            Some(began) => now.saturating_duration_since(began),
        };
        *self = Self { up_at: Some(now), ..Self::after(0) };
        Change::Closed { within }
    }
}
