//! Reading one of Transak's lists of orders for a repair: the orders of some days.
//!
//! A list tells each order's status, times and history, so an order costs a call of its own only if something of it is
//! missing, or could be hidden: if it was under way in the gap. What a page tells is compared with one query. How far the
//! list was read is written down after each page, together with the orders that could not be read.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Mutex;

use super::{Came, Repair};
use crate::intake::reconcile::Stop;
use crate::intake::reconcile::orders::{Known, each};
use crate::intake::reconcile::pass::{Pass, Seen};
use crate::model::id::{GapId, PartnerId};
use crate::model::pages::{Next, Pages, Place, Why};
use crate::store;
use crate::store::event::kept::{self, Kept};
use crate::store::gap_repair::days::{self, List, Reached};
use crate::store::gap_repair::orders::{self, Listed};
use crate::transak::rest::history::RestOrder;
use crate::transak::rest::{OrdersPage, OrdersQuery, RestError, Unreadable, history};

/// Orders of one page. The largest number that Transak answers with is not documented; 100 is what it takes by itself.
const PAGE: usize = 100;

/// What a page held, by id.
#[derive(Debug, Default)]
struct Sorted {
    /// Orders that can be compared.
    orders: Vec<RestOrder>,
    /// Orders of another shape, to be asked for.
    unread: Vec<String>,
    /// There are orders that nobody could ask for.
    has_nameless: bool,
    /// What stands for each row.
    rows: Vec<String>,
}

/// What a look at some orders came to.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// They need not be asked for any more.
    done: Vec<String>,
    /// They could not be read.
    left: Vec<String>,
    /// Transak says that it does not know them, which is not believed yet.
    unknown: Vec<String>,
}

impl Pass<'_> {
    /// Reads a list from a place on, or from its beginning, a page at least. What cannot be read is noted.
    pub(super) async fn list(&self, repair: &Repair, list: List, place: Option<Place>) -> Result<Came, Stop> {
        let mut pages = place.map_or_else(|| Pages::new(PAGE), Pages::resume);
        // Behind an order that nobody can ask for the list is read, but is read again the next time.
        let mut is_kept = true;
        loop {
            let query =
                OrdersQuery { product: list.product, days: list.days, skip: pages.skip(), limit: PAGE };
            let page = match self.session().orders(query).await {
                Ok(page) => page,
                Err(error) => {
                    repair.note(error).await;
                    self.failed(error, None)?;
                    return Ok(Came::Nowhere);
                }
            };
            self.answered();
            let (total, sorted) = (page.total, sort(page));
            let rows = sorted.rows.clone();
            if sorted.has_nameless {
                is_kept = false;
                self.nameless(repair).await;
            }
            let looks = self.compare_page(repair, sorted).await?;
            let next = pages.take(rows, total);
            let reached = match next {
                Next::Ask => Reached::Place(pages.place().clone()),
                Next::Done => Reached::Whole,
                // It is read anew: what was seen of it is no place to go on from.
                Next::Given(_) => Reached::Place(Pages::new(PAGE).place().clone()),
            };
            self.write_down(repair, (list, Some(reached).filter(|_| is_kept)), &looks).await?;
            match next {
                Next::Ask if self.is_over_for_gaps() => {
                    repair.progress();
                    return Ok(Came::SomeWay);
                }
                Next::Ask => {}
                Next::Done => return Ok(Came::ToTheEnd),
                Next::Given(why) => {
                    self.give_up(repair, why).await;
                    return Ok(Came::ToTheEnd);
                }
            }
        }
    }

    async fn give_up(&self, repair: &Repair, why: Why) {
        let error = RestError::from(match why {
            Why::Moves => Unreadable::ListMoves,
            Why::TooShort => Unreadable::ListTooShort,
        });
        self.count(error.kind(), None);
        repair.note(error).await;
    }

    async fn nameless(&self, repair: &Repair) {
        let error = RestError::from(Unreadable::NamelessOrder);
        self.count(error.kind(), None);
        repair.note(error).await;
    }

    /// Compares the orders of a page that this turn has not compared yet and that may have changed in the gap.
    async fn compare_page(&self, repair: &Repair, page: Sorted) -> Result<Looks, Stop> {
        let since = repair.since(self.ahead());
        let (mut touched, mut unread, mut looks) = (Vec::new(), page.unread, Looks::default());
        {
            let mut looked = repair.looked.lock().await;
            unread.retain(|id| looked.insert(id.clone()));
            for order in page.orders {
                if looked.insert(order.order_id.clone()) {
                    let is_touched = order.is_touched_since(since);
                    if is_touched { touched.push(order) } else { looks.done.push(order.order_id) }
                }
            }
        }
        let ids: Vec<&str> = touched.iter().map(|order| order.order_id.as_str()).collect();
        let mut kept = if ids.is_empty() {
            HashMap::new()
        } else {
            let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
            kept::of_orders(&mut conn, self.partner(), &ids).await?
        };
        let seen = Mutex::new(Vec::with_capacity(touched.len()));
        let mut works = Vec::with_capacity(touched.len());
        for order in &touched {
            let (kept, seen) = (kept.remove(&order.order_id).unwrap_or_default(), &seen);
            works.push(async move {
                let known = self.compare_listed(repair, (order, kept)).await?;
                seen.lock().await.push((order.order_id.as_str(), known));
                Ok(())
            });
        }
        each(works).await?;
        let seen = seen.into_inner();
        self.schedule(&seen).await?;
        for (id, known) in seen {
            looks.sort(id, known, false);
        }
        let unread: Vec<_> =
            unread.into_iter().map(|order_id| Listed { order_id, unknown_since: None }).collect();
        let (asked, outcome) = self.ask(repair, &unread).await?;
        outcome?;
        looks.add(asked);
        Ok(looks)
    }

    async fn compare_listed(
        &self,
        repair: &Repair,
        (order, kept): (&RestOrder, Vec<Kept>),
    ) -> Result<Known, Stop> {
        self.note(|summary| summary.orders += 1);
        let seen = self.look(order, (repair.because(), kept)).await?;
        if let Some(trouble) = seen.trouble {
            repair.note(trouble).await;
        }
        Ok(Known::Yes(seen))
    }

    /// Writes down how far a list was read, and which of its orders are still to be asked for, together: what is not
    /// written down is read again.
    async fn write_down(
        &self,
        repair: &Repair,
        (list, reached): (List, Option<Reached>),
        looks: &Looks,
    ) -> Result<(), Stop> {
        let key = self.key(repair);
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        let mut tx = conn.begin().await.map_err(store::Error::from)?;
        looks.write(&mut tx, key, self.clock.now()).await?;
        if let Some(reached) = &reached {
            days::reach(&mut tx, key, list, reached).await?;
        }
        tx.commit().await.map_err(store::Error::from)?;
        if reached == Some(Reached::Whole) {
            repair.progress();
        }
        Ok(())
    }
}

impl Looks {
    /// `is_believed`: should Transak say that it does not know it, so it is.
    pub(super) fn sort(&mut self, id: &str, known: Known, is_believed: bool) {
        let place = match known {
            Known::No if !is_believed => &mut self.unknown,
            Known::Yes(Seen { trouble: Some(_), .. }) => &mut self.left,
            Known::Yes(_) | Known::No => &mut self.done,
        };
        place.push(id.to_owned());
    }

    fn add(&mut self, other: Self) {
        self.done.extend(other.done);
        self.left.extend(other.left);
        self.unknown.extend(other.unknown);
    }

    /// Some were read.
    pub(super) fn has_done(&self) -> bool {
        !self.done.is_empty()
    }

    /// Writes down what is left and what is not.
    pub(super) async fn write(
        &self,
        conn: &mut PgConnection,
        key: (PartnerId, GapId),
        now: DateTime<Utc>,
    ) -> store::Result<()> {
        if !self.done.is_empty() {
            orders::take_off(conn, key, &self.done).await?;
        }
        for (ids, unknown_at) in [(&self.left, None), (&self.unknown, Some(now))] {
            if !ids.is_empty() {
                orders::put(conn, key, ids, unknown_at).await?;
            }
        }
        Ok(())
    }
}

/// Reads what a page holds.
fn sort(page: OrdersPage) -> Sorted {
    let mut sorted = Sorted::default();
    for raw in page.orders {
        let id = history::id(&raw).map(|id| id.as_str().to_owned());
        let row = id.clone().unwrap_or_else(|| {
            let mut hasher = DefaultHasher::new();
            raw.get().hash(&mut hasher);
            format!("?{:x}", hasher.finish())
        });
        sorted.rows.push(row);
        match (history::read(raw), id) {
            (Ok(order), _) => sorted.orders.push(order),
            (Err(_), Some(id)) => sorted.unread.push(id),
            (Err(_), None) => sorted.has_nameless = true,
        }
    }
    sorted
}
