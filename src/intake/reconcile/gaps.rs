//! Gaps: all orders of their days are read, and those that differ from what is kept are compared in detail.
//!
//! A list tells each order's status, times and history, so an order costs a call of its own only if something of it is
//! missing, or could be hidden: if it was under way in the gap. What a page tells is compared with one query. How far it
//! was read is written down after each page. Get Orders pages by offset over a list that may move, so pages overlap; what
//! is read twice is compared once.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sqlx::Connection as _;
use tokio::sync::Mutex;

use super::pass::{Because, Pass, Seen, Span};
use super::{CALLS_AT_ONCE, Stop};
use crate::model::order::Product;
use crate::model::reconcile::{CLOCK_TOLERANCE, SETTLING, repair_pause, windows};
use crate::store;
use crate::store::event::kept::{self, Kept};
use crate::store::gap_repair::{self, Position};
use crate::store::order::reconcile::hasten_all;
use crate::transak::rest::history::RestOrder;
use crate::transak::rest::{OrdersPage, OrdersQuery, RestError, Unreadable, history};

/// Orders of one page. The largest number that Transak answers with is not documented; 100 is what it takes by itself.
const PAGE: usize = 100;

/// The most pages of one window: a bound for an answer that never ends.
const MOST_PAGES: usize = 1000;

/// The most days asked for at once. Transak's own default is 90.
const WINDOW_DAYS: u64 = 30;

/// How far two clocks may differ at either end of a gap.
const EDGE: TimeDelta = TimeDelta::seconds(5);

/// A repair under way.
struct Repair {
    claimed: gap_repair::Repair,
    /// The gaps, as wide as clocks may differ.
    spans: Vec<Span>,
    /// Orders that did not change since need no look.
    since: DateTime<Utc>,
    seen: Mutex<HashSet<String>>,
    /// What could not be read, the first of it. Nothing after it counts as reached.
    trouble: Mutex<Option<RestError>>,
}

impl Repair {
    fn new(claimed: gap_repair::Repair) -> Self {
        let spans: Vec<Span> = claimed.spans.iter().map(|(from, to)| (*from - EDGE, *to + EDGE)).collect();
        let since = claimed.spans.iter().map(|(from, _)| *from).min().unwrap_or_default() - CLOCK_TOLERANCE;
        Self { claimed, spans, since, seen: Mutex::default(), trouble: Mutex::default() }
    }

    fn because(&self) -> Because<'_> {
        Because::Gap { spans: &self.spans }
    }

    async fn note(&self, trouble: RestError) {
        self.trouble.lock().await.get_or_insert(trouble);
    }
}

/// Orders of one product, of these days.
type Window = ((NaiveDate, NaiveDate), Product);

impl Pass<'_> {
    /// Repairs the gaps that are due, those together that are due together, because they often share their days.
    pub(super) async fn due_gaps(&self) -> Result<(), Stop> {
        while let Some(claimed) = self.claim().await? {
            let repair = Repair::new(claimed);
            match self.repair(&repair).await {
                Ok(()) => match *repair.trouble.lock().await {
                    None => self.repaired(&repair).await?,
                    Some(error) => self.not_repaired(&repair, error).await?,
                },
                Err(Stop::Rest(error)) => {
                    self.not_repaired(&repair, error).await?;
                    return Err(Stop::Rest(error));
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    async fn claim(&self) -> Result<Option<gap_repair::Repair>, Stop> {
        let now = self.clock.now();
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        let mut tx = conn.begin().await.map_err(store::Error::from)?;
        let claimed = gap_repair::claim(&mut tx, self.partner(), (now, now - SETTLING)).await?;
        // Orders older than the days of the gap are known: they are looked at by their ids.
        if claimed.as_ref().is_some_and(|repair| repair.tries == 1) {
            hasten_all(&mut tx, self.partner(), now).await?;
        }
        tx.commit().await.map_err(store::Error::from)?;
        Ok(claimed)
    }

    async fn repair(&self, repair: &Repair) -> Result<(), Stop> {
        let days = windows(&repair.claimed.spans, WINDOW_DAYS);
        let all = days.into_iter().flat_map(|days| [(days, Product::Buy), (days, Product::Sell)]);
        for (number, window) in (0..).zip(all) {
            let begun = repair.claimed.position;
            let skip = match number.cmp(&begun.window) {
                std::cmp::Ordering::Less => continue,
                std::cmp::Ordering::Equal => begun.skip,
                std::cmp::Ordering::Greater => 0,
            };
            if let Err(error) = self.window(repair, window, Position { window: number, skip }).await? {
                self.failed(error, None)?;
                repair.note(error).await;
            }
        }
        Ok(())
    }

    /// Reads the pages of one window from a position on. The inner error: they could not all be read.
    async fn window(
        &self,
        repair: &Repair,
        (days, product): Window,
        mut at: Position,
    ) -> Result<Result<(), RestError>, Stop> {
        for _ in 0..MOST_PAGES {
            let skip = usize::try_from(at.skip).unwrap_or_default();
            let page = match self.session().orders(OrdersQuery { product, days, skip, limit: PAGE }).await {
                Ok(page) => page,
                Err(error) => return Ok(Err(error)),
            };
            self.answered();
            let (read, total) = (page.orders.len(), page.total);
            let fresh = self.page(repair, page).await?;
            let is_last = total.map_or(read < PAGE, |total| skip + read >= total);
            if read == 0 || is_last {
                self.reached(repair, Position { window: at.window + 1, skip: 0 }).await?;
                return Ok(Ok(()));
            }
            if !fresh {
                break;
            }
            at.skip += i32::try_from(read - read / 10).unwrap_or(i32::MAX);
            self.reached(repair, at).await?;
        }
        // Either it goes round in circles or it never ends: nobody could say that everything was read.
        Ok(Err(Unreadable::OtherShape.into()))
    }

    async fn reached(&self, repair: &Repair, position: Position) -> Result<(), Stop> {
        if repair.trouble.lock().await.is_some() {
            return Ok(());
        }
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        Ok(gap_repair::reached(&mut conn, self.partner(), repair.claimed.repair_id, position).await?)
    }

    /// Looks at the orders of a page. `false`: it held nothing that was not on the pages before.
    async fn page(&self, repair: &Repair, page: OrdersPage) -> Result<bool, Stop> {
        let (orders, fresh) = self.unseen(repair, page).await;
        let touched: Vec<RestOrder> =
            orders.into_iter().filter(|order| order.is_touched_since(repair.since)).collect();
        if touched.is_empty() {
            return Ok(fresh);
        }
        let ids: Vec<&str> = touched.iter().map(|order| order.order_id.as_str()).collect();
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        let mut kept = kept::of_orders(&mut conn, self.partner(), &ids).await?;
        drop(conn);
        let mut looks = Vec::with_capacity(touched.len());
        for order in &touched {
            let kept = kept.remove(&order.order_id).unwrap_or_default();
            looks.push(self.look_again(repair, (order, kept)));
        }
        let seen: Vec<_> = stream::iter(looks).buffer_unordered(CALLS_AT_ONCE).try_collect().await?;
        self.schedule_seen(&seen).await?;
        Ok(fresh)
    }

    async fn look_again<'o>(
        &self,
        repair: &Repair,
        (order, kept): (&'o RestOrder, Vec<Kept>),
    ) -> Result<(&'o str, Seen), Stop> {
        self.note(|summary| summary.orders += 1);
        let seen = self.look(order, (repair.because(), kept)).await?;
        if let Some(trouble) = seen.trouble {
            repair.note(trouble).await;
        }
        Ok((&order.order_id, seen))
    }

    /// The orders of a page that were not on the pages before; and whether there was anything new on it.
    async fn unseen(&self, repair: &Repair, page: OrdersPage) -> (Vec<RestOrder>, bool) {
        let mut orders = Vec::with_capacity(page.orders.len());
        let mut fresh = false;
        let mut seen = repair.seen.lock().await;
        for raw in page.orders {
            match history::read(raw) {
                Ok(order) if seen.insert(order.order_id.clone()) => {
                    fresh = true;
                    orders.push(order);
                }
                Ok(_) => {}
                Err(_) => {
                    fresh = true;
                    self.count("other_shape", None);
                }
            }
        }
        (orders, fresh)
    }

    async fn repaired(&self, repair: &Repair) -> Result<(), Stop> {
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        let id = repair.claimed.repair_id;
        let gaps = gap_repair::repaired(&mut conn, self.partner(), id, self.clock.now()).await?;
        self.note(|summary| summary.gaps_repaired += usize::try_from(gaps).unwrap_or_default());
        metrics::counter!("relay_gaps_repaired_total").increment(gaps);
        tracing::info!(partner.id = %self.partner(), gaps, "gaps of the stream are repaired");
        Ok(())
    }

    async fn not_repaired(&self, repair: &Repair, error: RestError) -> Result<(), Stop> {
        let now = self.clock.now();
        let tries = u32::try_from(repair.claimed.tries).unwrap_or(1);
        let pause = TimeDelta::from_std(repair_pause(tries, error.asked_pause(now)));
        let next = now + pause.unwrap_or(TimeDelta::hours(1));
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        let id = repair.claimed.repair_id;
        let gaps = gap_repair::failed(&mut conn, self.partner(), id, (&error.to_string(), next)).await?;
        self.note(|summary| summary.gaps_failed += usize::try_from(gaps).unwrap_or_default());
        tracing::warn!(partner.id = %self.partner(), gaps, %error, "gaps of the stream are not repaired yet");
        Ok(())
    }
}
