//! Gaps: all orders of their days are read, and those that were touched since are compared.
//!
//! Get Orders pages by offset over a list that may move, so pages overlap; what is read twice is compared once.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::Mutex;

use super::pass::{Because, Pass};
use super::{CALLS_AT_ONCE, Stop};
use crate::model::id::GapId;
use crate::model::order::Product;
use crate::model::reconcile::{CLOCK_TOLERANCE, SETTLING, repair_pause, windows};
use crate::store;
use crate::store::gap_repair::{self, Claim, ClosedGap};
use crate::store::order::reconcile::hasten_all;
use crate::transak::rest::{OrdersPage, OrdersQuery, RestError, Unreadable, history};

/// Orders of one page. The largest number that Transak answers with is not documented; 100 is what it takes by itself.
const PAGE: usize = 100;

/// The most pages of one window: a bound for an answer that never ends.
const MOST_PAGES: usize = 1000;

/// The most days asked for at once. Transak's own default is 90.
const WINDOW_DAYS: u64 = 30;

/// Nobody else begins with a claimed gap before. The partner's lease is what keeps others away meanwhile.
const CLAIM: TimeDelta = TimeDelta::minutes(1);

/// How far two clocks may differ at the end of a gap.
const END_TOLERANCE: TimeDelta = TimeDelta::seconds(5);

/// A repair under way.
struct Repair {
    /// Orders that did not change since need no look.
    since: DateTime<Utc>,
    because: Because,
    seen: Mutex<HashSet<String>>,
    /// What could not be read.
    troubles: Mutex<Vec<RestError>>,
}

impl Pass<'_> {
    /// Repairs the gaps that are due, all of them together, because they often share their days.
    pub(super) async fn due_gaps(&self) -> Result<(), Stop> {
        let now = self.clock.now();
        let claim = Claim { now, ended_by: now - SETTLING, until: now + CLAIM };
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        let gaps = gap_repair::claim(&mut conn, self.partner(), claim).await?;
        if gaps.is_empty() {
            return Ok(());
        }
        // Orders older than the days of the gap are known: they are looked at by their ids.
        if gaps.iter().any(|gap| gap.repairs == 1) {
            hasten_all(&mut conn, self.partner(), now).await?;
        }
        drop(conn);
        let outcome = self.repair(&gaps).await;
        match outcome {
            Ok(troubles) => match troubles.last() {
                None => self.repaired(&gaps).await,
                Some(error) => self.not_repaired(&gaps, *error).await,
            },
            Err(Stop::Rest(error)) => {
                self.not_repaired(&gaps, error).await?;
                Err(Stop::Rest(error))
            }
            Err(stop) => Err(stop),
        }
    }

    async fn repair(&self, gaps: &[ClosedGap]) -> Result<Vec<RestError>, Stop> {
        let now = self.clock.now();
        let since = gaps.iter().map(|gap| gap.started_at).min().unwrap_or(now);
        let settled = gaps.iter().map(|gap| gap.ended_at).max().unwrap_or(now) + END_TOLERANCE;
        let repair = Repair {
            since: since - CLOCK_TOLERANCE,
            because: Because::Gap { settled },
            seen: Mutex::default(),
            troubles: Mutex::default(),
        };
        let spans: Vec<_> = gaps.iter().map(|gap| (gap.started_at, gap.ended_at)).collect();
        for days in windows(&spans, WINDOW_DAYS) {
            for product in [Product::Buy, Product::Sell] {
                if let Err(error) = self.window(&repair, product, days).await? {
                    self.failed(error, None)?;
                    repair.troubles.lock().await.push(error);
                }
            }
        }
        Ok(repair.troubles.into_inner())
    }

    /// Reads all pages of one window. The inner error: they could not all be read.
    async fn window(
        &self,
        repair: &Repair,
        product: Product,
        days: (NaiveDate, NaiveDate),
    ) -> Result<Result<(), RestError>, Stop> {
        let mut skip = 0;
        for _ in 0..MOST_PAGES {
            self.hold().await?;
            let query = OrdersQuery { product, days, skip, limit: PAGE };
            let page = match self.session().orders(query).await {
                Ok(page) => page,
                Err(error) => return Ok(Err(error)),
            };
            self.answered();
            let (read, total) = (page.orders.len(), page.total);
            let fresh = self.page(repair, page).await?;
            let is_last = total.map_or(read < PAGE, |total| skip + read >= total);
            if read == 0 || is_last {
                return Ok(Ok(()));
            }
            if !fresh {
                break;
            }
            skip += read - read / 10;
        }
        // Either it goes round in circles or it never ends: nobody could say that everything was read.
        Ok(Err(Unreadable::OtherShape.into()))
    }

    /// Looks at the orders of a page. `false`: it held nothing that was not on the pages before.
    async fn page(&self, repair: &Repair, page: OrdersPage) -> Result<bool, Stop> {
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
        drop(seen);
        orders.retain(|order| order.is_touched_since(repair.since));
        let looks = stream::iter(orders).map(Ok).try_for_each_concurrent(CALLS_AT_ONCE, |order| async move {
            self.hold().await?;
            self.note(|summary| summary.orders += 1);
            let seen = self.look(&order, repair.because).await?;
            repair.troubles.lock().await.extend(seen.trouble);
            self.schedule_seen(&order.order_id, seen).await
        });
        looks.await?;
        Ok(fresh)
    }

    async fn repaired(&self, gaps: &[ClosedGap]) -> Result<(), Stop> {
        let ids: Vec<GapId> = gaps.iter().map(|gap| gap.gap_id).collect();
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        gap_repair::repaired(&mut conn, self.partner(), &ids, self.clock.now()).await?;
        self.note(|summary| summary.gaps_repaired += ids.len());
        metrics::counter!("relay_gaps_repaired_total").increment(ids.len() as u64);
        tracing::info!(partner.id = %self.partner(), gaps = ids.len(), "gaps of the stream are repaired");
        Ok(())
    }

    async fn not_repaired(&self, gaps: &[ClosedGap], error: RestError) -> Result<(), Stop> {
        let now = self.clock.now();
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        for gap in gaps {
            let times = u32::try_from(gap.repairs).unwrap_or(1);
            let pause = repair_pause(times, error.asked_pause(now));
            let next = now + TimeDelta::from_std(pause).unwrap_or(CLAIM);
            gap_repair::failed(&mut conn, self.partner(), gap.gap_id, (&error.to_string(), next)).await?;
        }
        self.note(|summary| summary.gaps_failed += gaps.len());
        tracing::warn!(partner.id = %self.partner(), gaps = gaps.len(), %error, "gaps of the stream are not repaired yet");
        Ok(())
    }
}
