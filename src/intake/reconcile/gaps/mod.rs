//! Gaps: what may have changed in them is read, and what differs from what is kept is compared in detail.
//!
//! First the orders of a gap's own days, as Transak lists them; then, by their ids, the orders under way that those lists
//! did not show; then the orders of the days before, the newest first, because an order that changed in the gap may have
//! been made long before it. What was read and what is left is written down as it goes. A gap is called repaired when
//! nothing is left; until then its reason says what stands in the way.

mod by_id;
mod list;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Connection as _;
use tokio::sync::Mutex;

use super::Stop;
use super::pass::{Because, Pass};
use crate::model::id::{GapId, PartnerId};
use crate::model::order::Product;
use crate::model::reconcile::{
    CLOCK_TOLERANCE, Dates, SETTLING, Span, are_among, by_their_clock, days_before, days_of, repair_pause,
};
use crate::store;
use crate::store::gap_repair::days::{self, List, Reached};
use crate::store::gap_repair::{self, Failure, orders};
use crate::transak::rest::RestError;

/// The most days asked for at once.
const WINDOW_DAYS: u64 = 30;

/// How far two clocks may differ at either end of a gap without anybody's saying so.
const EDGE: TimeDelta = TimeDelta::seconds(5);

/// A repair under way.
struct Repair {
    claimed: gap_repair::Repair,
    /// The gaps, as wide as clocks may differ.
    spans: Vec<Span>,
    /// The lists that were read, or how far.
    reached: Vec<(List, Reached)>,
    /// Orders that this turn has compared.
    looked: Mutex<HashSet<String>>,
    /// What could not be read, the first of it.
    trouble: Mutex<Option<RestError>>,
    /// Something was read that need not be read again.
    progressed: AtomicBool,
}

impl Repair {
    fn because(&self) -> Because<'_> {
        Because::Gap { spans: &self.spans }
    }

    async fn note(&self, trouble: RestError) {
        self.trouble.lock().await.get_or_insert(trouble);
    }

    fn has_progressed(&self) -> bool {
        self.progressed.load(Ordering::Relaxed)
    }

    fn progress(&self) {
        self.progressed.store(true, Ordering::Relaxed);
    }

    /// Orders that did not change since, by the times that Transak writes, need no look.
    fn since(&self, ahead: TimeDelta) -> DateTime<Utc> {
        let begins = self.spans.iter().map(|span| by_their_clock(*span, ahead).0);
        begins.min().unwrap_or_default() - CLOCK_TOLERANCE
    }

    /// How far a list was read; `None`: it has not been begun.
    fn reached(&self, list: List) -> Option<Reached> {
        let whole = self
            .reached
            .iter()
            .filter(|(other, reached)| other.product == list.product && *reached == Reached::Whole);
        let whole: Vec<Dates> = whole.map(|(other, _)| other.days).collect();
        if are_among(list.days, &whole) {
            return Some(Reached::Whole);
        }
        self.reached.iter().find(|(other, _)| *other == list).map(|(_, reached)| reached.clone())
    }
}

/// How far a repair came in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// Everything was tried.
    ToTheEnd,
    /// The turn has had its time.
    SomeWay,
    /// A call failed.
    Nowhere,
}

impl Pass<'_> {
    /// Repairs the gaps that are due, those together that are due together, because they often share their days; while
    /// there is time. `true`: there is more to do.
    pub(super) async fn due_gaps(&self) -> Result<bool, Stop> {
        loop {
            let Some(repair) = self.claim().await? else { return Ok(false) };
            let came = match self.repair(&repair).await {
                Ok(came) => came,
                Err(Stop::Rest(error)) => {
                    self.not_repaired(&repair, error).await?;
                    return Err(Stop::Rest(error));
                }
                Err(stop) => return Err(stop),
            };
            let trouble = *repair.trouble.lock().await;
            match (came, trouble) {
                (Came::ToTheEnd, None) => self.repaired(&repair).await?,
                // What has come some way goes on at once, also if something stands in the way of its end.
                (Came::SomeWay, trouble) if trouble.is_none() || repair.has_progressed() => return Ok(true),
                (_, Some(error)) => self.not_repaired(&repair, error).await?,
                (_, None) => return Ok(true),
            }
            if self.is_over_for_gaps() {
                return Ok(true);
            }
        }
    }

    async fn claim(&self) -> Result<Option<Repair>, Stop> {
        let now = self.clock.now();
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        let mut tx = conn.begin().await.map_err(store::Error::from)?;
        // Whoever wrote the gap down may have another clock than the database.
        let ended_by = now.max(Utc::now()) - SETTLING;
        let Some(claimed) = gap_repair::claim(&mut tx, self.partner(), (now, ended_by)).await? else {
            return Ok(None);
        };
        let key = (self.partner(), claimed.repair_id);
        let reached = days::reached(&mut tx, key.0, key.1).await?;
        if claimed.is_new
            && let Some((first_day, _)) = days_before(&claimed.spans, WINDOW_DAYS).last()
        {
            orders::put_known(&mut tx, key, *first_day).await?;
        }
        tx.commit().await.map_err(store::Error::from)?;
        let spans = claimed.spans.iter().map(|(from, to)| (*from - EDGE, *to + EDGE)).collect();
        let (looked, trouble) = (Mutex::default(), Mutex::default());
        Ok(Some(Repair { claimed, spans, reached, looked, trouble, progressed: AtomicBool::default() }))
    }

    async fn repair(&self, repair: &Repair) -> Result<Came, Stop> {
        let (near, far) =
            (days_of(&repair.claimed.spans, WINDOW_DAYS), days_before(&repair.claimed.spans, WINDOW_DAYS));
        let all_read = self.lists(repair, near).await? == Came::ToTheEnd
            && self.by_id(repair).await? == Came::ToTheEnd
            && self.lists(repair, far).await? == Came::ToTheEnd;
        Ok(if all_read { Came::ToTheEnd } else { Came::SomeWay })
    }

    async fn lists(&self, repair: &Repair, windows: Vec<Dates>) -> Result<Came, Stop> {
        let lists = windows
            .into_iter()
            .flat_map(|days| [Product::Buy, Product::Sell].map(|product| List { product, days }));
        for list in lists {
            let place = match repair.reached(list) {
                Some(Reached::Whole) => continue,
                Some(Reached::Place(place)) => Some(place),
                None => None,
            };
            match self.list(repair, list, place).await? {
                Came::SomeWay => return Ok(Came::SomeWay),
                Came::ToTheEnd if self.is_over_for_gaps() => return Ok(Came::SomeWay),
                // One that fails each time must not use up the time of the others each time.
                Came::ToTheEnd | Came::Nowhere => {}
            }
        }
        Ok(Came::ToTheEnd)
    }

    fn key(&self, repair: &Repair) -> (PartnerId, GapId) {
        (self.partner(), repair.claimed.repair_id)
    }

    async fn repaired(&self, repair: &Repair) -> Result<(), Stop> {
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        let (partner, id) = self.key(repair);
        let gaps = gap_repair::repaired(&mut conn, partner, id, self.clock.now()).await?;
        self.note(|summary| summary.gaps_repaired += usize::try_from(gaps).unwrap_or_default());
        metrics::counter!("relay_gaps_repaired_total").increment(gaps);
        tracing::info!(partner.id = %partner, gaps, "gaps of the stream are repaired");
        Ok(())
    }

    async fn not_repaired(&self, repair: &Repair, error: RestError) -> Result<(), Stop> {
        let now = self.clock.now();
        let before = if repair.has_progressed() { 0 } else { repair.claimed.fruitless };
        let fruitless = before.saturating_add(1);
        let pause = TimeDelta::from_std(repair_pause(fruitless, error.asked_pause(now)));
        let next_at = now + pause.unwrap_or(TimeDelta::hours(1));
        let (partner, id) = self.key(repair);
        let reason = error.to_string();
        let failure = Failure { error: &reason, next_at, fruitless };
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        let gaps = gap_repair::failed(&mut conn, partner, id, failure).await?;
        self.note(|summary| summary.gaps_failed += usize::try_from(gaps).unwrap_or_default());
        tracing::warn!(partner.id = %partner, gaps, %error, "gaps of the stream are not repaired yet");
        Ok(())
    }
}
