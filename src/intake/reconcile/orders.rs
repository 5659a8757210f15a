//! Orders whose time has come: each is read by its id and compared.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::pass::{Because, Pass, Seen};
use super::{CALLS_AT_ONCE, Stop};
use crate::model::reconcile::{next_for_unknown, next_reconcile};
use crate::model::status::Status;
use crate::store;
use crate::store::order::reconcile::{self, Look, Standing};
use crate::transak::rest::{RestError, Unreadable, history};

/// The most orders of one turn, so that other partners get theirs.
const MOST: i64 = 100;

/// What was learnt of an order's id.
#[derive(Debug, Clone, Copy)]
pub(super) enum Known {
    /// Transak knows it.
    Yes(Seen),
    /// Transak says that it does not.
    No,
}

impl Pass<'_> {
    /// Looks at the orders that are due, while there is time. `true`: there may be more.
    pub(super) async fn due_orders(&self) -> Result<bool, Stop> {
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        let due = reconcile::due(&mut conn, self.partner(), self.clock.now(), MOST).await?;
        drop(conn);
        let more = i64::try_from(due.len()).is_ok_and(|found| found >= MOST);
        let (begun, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        let mut looks = Vec::with_capacity(due.len());
        for id in &due {
            looks.push(async {
                // One at least, so that every turn brings something.
                if begun.swap(true, Ordering::Relaxed) && self.is_over() {
                    is_over.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                self.due_order(id).await
            });
        }
        each(looks).await?;
        Ok(more || is_over.load(Ordering::Relaxed))
    }

    async fn due_order(&self, order_id: &str) -> Result<(), Stop> {
        self.note(|summary| summary.orders += 1);
        let looked = self.read_and_look(order_id, Because::Due).await;
        let known = match &looked {
            Ok(known) => known,
            // The next turn begins with another order, so that one that is never answered for holds up nobody.
            Err(Stop::Rest(_)) => &Known::Yes(Seen::default()),
            Err(_) => return looked.map(|_| ()),
        };
        self.schedule(&[(order_id, *known)]).await?;
        looked.map(|_| ())
    }

    /// Asks for an order by its id and compares it.
    pub(super) async fn read_and_look(&self, order_id: &str, because: Because<'_>) -> Result<Known, Stop> {
        let read = self.session().order(order_id).await;
        let read = read.and_then(|raw| history::read(raw).map_err(|_| Unreadable::OtherShape.into()));
        match read {
            Ok(order) => {
                self.answered();
                let kept = self.kept(&order.order_id).await?;
                Ok(Known::Yes(self.look(&order, (because, kept)).await?))
            }
            Err(error) => {
                self.failed(error, Some(order_id))?;
                let unread = Seen { young: None, trouble: Some(error) };
                Ok(if error == RestError::NotFound { Known::No } else { Known::Yes(unread) })
            }
        }
    }

    /// Sets when each order is looked at next.
    pub(super) async fn schedule(&self, looked: &[(&str, Known)]) -> Result<(), Stop> {
        let now = self.clock.now();
        let ids: Vec<&str> = looked.iter().map(|(id, _)| *id).collect();
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        let standings = reconcile::standings(&mut conn, self.partner(), &ids).await?;
        let known: HashMap<&str, Known> = looked.iter().copied().collect();
        let looks = standings.iter().filter_map(|standing| {
            Some(self.next_look(standing, *known.get(standing.order_id.as_str())?, now))
        });
        Ok(reconcile::schedule(&mut conn, self.partner(), &looks.collect::<Vec<_>>()).await?)
    }

    fn next_look<'s>(&self, standing: &'s Standing, known: Known, now: DateTime<Utc>) -> Look<'s> {
        let order_id = standing.order_id.as_str();
        let every = self.settings.every;
        match known {
            Known::No => {
                let since = standing.not_found_since.unwrap_or(now);
                // What was heard of it since then speaks against the answer.
                let next_at = next_for_unknown(since.max(standing.status_at), now, every);
                Look { order_id, next_at, not_found_since: Some(since) }
            }
            Known::Yes(seen) => {
                let usual =
                    || next_reconcile(&Status::parse(&standing.status)?, standing.status_at, now, every);
                let next_at = seen.young.map_or_else(usual, |wait| Some(now + wait));
                // An answer that could not be used says nothing about whether the order is known.
                let not_found_since = standing.not_found_since.filter(|_| seen.trouble.is_some());
                Look { order_id, next_at, not_found_since }
            }
        }
    }
}

/// Does these works, a few at once. Once one fails no other is begun, but what is under way goes on to its end: the same
/// few that fail each time would otherwise cut off the same others each time.
pub(super) async fn each(works: Vec<impl Future<Output = Result<(), Stop>>>) -> Result<(), Stop> {
    let (mut works, mut under_way, mut stopped) = (works.into_iter(), FuturesUnordered::new(), Ok(()));
    loop {
        if stopped.is_ok() {
            under_way.extend(works.by_ref().take(CALLS_AT_ONCE - under_way.len()));
        }
        match under_way.next().await {
            None => return stopped,
            Some(outcome) => stopped = stopped.and(outcome),
        }
    }
}
