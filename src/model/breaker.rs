//! When to stop calling an endpoint that is down, and when to try it again. Pure: outcomes and times are handed in.
//!
//! It listens to what says that the *endpoint* is down: no answer, 5xx, 429. An endpoint that refuses one event (any other
//! status) is up, and says nothing of the next event: that it refused concerns the delivery alone.
//!
//! Closed: everything is sent. Open: nothing is sent for a while; that is no failure and costs no attempt. Then half-open:
//! one delivery is sent as a probe, and its outcome closes the breaker or opens it for twice as long.

use std::time::{Duration, Instant};

/// So many failures one after the other open it.
const MOST_IN_A_ROW: u32 = 10;
/// Of so many of the latest outcomes, if there are at least [`MOST_IN_A_ROW`], seven in ten failures open it.
const REMEMBERED: u32 = 20;
/// Outcomes older than this say nothing about now.
const MEMORY: Duration = Duration::from_mins(1);
/// The first pause, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing is sent for `pause`; it is the `trips`th time in a row.
    Opened { trips: u16, pause: Duration },
    /// Everything is sent again.
    Closed,
}

/// The breaker of one endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Breaker {
    /// How often it opened since it last found the endpoint up; 0: closed.
    trips: u16,
    opened_at: Option<Instant>,
    in_a_row: u32,
    /// The latest outcomes, one bit each, failures set.
    latest: u32,
    remembered: u32,
    last_at: Option<Instant>,
}

impl Breaker {
    /// A breaker that has opened `trips` times and whose pause is over.
    pub const fn after(trips: u16) -> Self {
        Self { trips, opened_at: None, in_a_row: 0, latest: 0, remembered: 0, last_at: None }
    }

    /// Only one delivery may be under way at a time.
    pub const fn is_probing(&self) -> bool {
        self.trips > 0
    }

    /// Takes note of whether a request that began at `began` found the endpoint up. One that began before the breaker
    /// opened decides nothing any more.
    pub fn note(&mut self, up: bool, began: Instant, now: Instant) -> Option<Change> {
        if self.trips > 0 {
            if self.opened_at.is_some_and(|opened| began <= opened) {
                return None;
            }
            return Some(if up { self.close() } else { self.open(now) });
        }
        if self.last_at.is_some_and(|last| now.saturating_duration_since(last) > MEMORY) {
            *self = Self::after(0);
        }
        self.last_at = Some(now);
        self.in_a_row = if up { 0 } else { self.in_a_row + 1 };
        self.latest = (self.latest << 1 | u32::from(!up)) & ((1 << REMEMBERED) - 1);
        self.remembered = (self.remembered + 1).min(REMEMBERED);
        let mostly_fails =
            self.remembered >= MOST_IN_A_ROW && self.latest.count_ones() * 10 >= self.remembered * 7;
        (!up && (self.in_a_row >= MOST_IN_A_ROW || mostly_fails)).then(|| self.open(now))
    }

    fn open(&mut self, now: Instant) -> Change {
        *self = Self { opened_at: Some(now), ..Self::after(self.trips.saturating_add(1)) };
        let doubled = FIRST_PAUSE.saturating_mul(1 << (self.trips - 1).min(16));
        Change::Opened { trips: self.trips, pause: doubled.min(LONGEST_PAUSE) }
    }

    fn close(&mut self) -> Change {
        *self = Self::after(0);
        Change::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(breaker: &mut Breaker, outcomes: &str, now: Instant) -> Vec<Option<Change>> {
        outcomes.chars().map(|outcome| breaker.note(outcome == '+', now, now)).collect()
    }

    fn opened(trips: u16, seconds: u64) -> Change {
        Change::Opened { trips, pause: Duration::from_secs(seconds) }
    }

    #[test]
    fn ten_failures_in_a_row_open_it_and_nine_do_not() {
        let (mut breaker, now) = (Breaker::after(0), Instant::now());
        assert!(feed(&mut breaker, "++++++++++---------", now).iter().all(Option::is_none));
        let mut breaker = Breaker::after(0);
        assert_eq!(feed(&mut breaker, "----------", now).last().unwrap(), &Some(opened(1, 10)));
    }

    #[test]
    fn seven_failures_in_ten_open_it_and_six_do_not() {
        let now = Instant::now();
        assert_eq!(feed(&mut Breaker::after(0), "+-+-+-----", now).last().unwrap(), &Some(opened(1, 10)));
        assert!(feed(&mut Breaker::after(0), "+-+-+-+---", now).iter().all(Option::is_none));
    }

    #[test]
    fn failures_a_minute_apart_are_not_added_up() {
        let (mut breaker, mut now) = (Breaker::after(0), Instant::now());
        for _ in 0..30 {
            assert_eq!(breaker.note(false, now, now), None);
            now += Duration::from_secs(61);
        }
    }

    #[test]
    fn a_failed_probe_doubles_the_pause_up_to_fifteen_minutes_and_a_success_closes() {
        let (mut breaker, mut now) = (Breaker::after(0), Instant::now());
        feed(&mut breaker, "----------", now);
        for (trips, seconds) in [(2, 20), (3, 40), (4, 80), (5, 160), (6, 320), (7, 640), (8, 900), (9, 900)]
        {
            now += Duration::from_secs(1000);
            assert_eq!(breaker.note(false, now, now), Some(opened(trips, seconds)));
        }
        now += Duration::from_secs(1000);
        assert_eq!(breaker.note(true, now, now), Some(Change::Closed));
        assert!(!breaker.is_probing());
    }

    #[test]
    fn requests_that_were_under_way_when_it_opened_decide_nothing() {
        let (mut breaker, began) = (Breaker::after(0), Instant::now());
        let now = began + Duration::from_secs(1);
        feed(&mut breaker, "----------", now);
        assert_eq!(breaker.note(false, began, now), None);
        assert_eq!(breaker.note(true, began, now), None);
        assert!(breaker.is_probing());
    }
}
