//! Orders whose time has come: each is read by its id and compared.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::pass::{Because, Pass, Seen};
use super::{CALLS_AT_ONCE, Stop};
use crate::model::reconcile::{YOUNG, next_for_unknown, next_reconcile};
use crate::model::status::Status;
use crate::store;
use crate::store::order::reconcile::{self, Standing};
use crate::transak::rest::{RestError, Unreadable, history};

/// The most orders of one turn, so that other partners get theirs.
const MOST: i64 = 100;

/// What was learnt of an order's id.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// Transak knows it.
    Yes(Seen),
    /// Transak says that it does not.
    No,
}

impl Pass<'_> {
    /// Looks at the orders that are due. `true`: there may be more.
    pub(super) async fn due_orders(&self) -> Result<bool, Stop> {
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        let due = reconcile::due(&mut conn, self.partner(), self.clock.now(), MOST).await?;
        drop(conn);
        let more = i64::try_from(due.len()).is_ok_and(|found| found >= MOST);
        stream::iter(due).map(Ok).try_for_each_concurrent(CALLS_AT_ONCE, |id| self.due_order(id)).await?;
        Ok(more)
    }

    async fn due_order(&self, order_id: String) -> Result<(), Stop> {
        self.note(|summary| summary.orders += 1);
        let looked = self.read_and_look(&order_id).await;
        let known = match &looked {
            Ok(known) => known,
            // The next turn begins with another order, so that one that is never answered for holds up nobody.
            Err(Stop::Rest(_)) => &Known::Yes(Seen::default()),
            Err(_) => return looked.map(|_| ()),
        };
        self.schedule(&[(&order_id, *known)]).await?;
        looked.map(|_| ())
    }

    async fn read_and_look(&self, order_id: &str) -> Result<Known, Stop> {
        let read = self.session().order(order_id).await;
        let read = read.and_then(|raw| history::read(raw).map_err(|_| Unreadable::OtherShape.into()));
        match read {
            Ok(order) => {
                self.answered();
                let kept = self.kept(&order.order_id).await?;
                Ok(Known::Yes(self.look(&order, (Because::Due, kept)).await?))
            }
            Err(error) => {
                self.failed(error, Some(order_id))?;
                Ok(if error == RestError::NotFound { Known::No } else { Known::Yes(Seen::default()) })
            }
        }
    }

    /// Sets when each order is looked at next.
    async fn schedule(&self, looked: &[(&str, Known)]) -> Result<(), Stop> {
        let now = self.clock.now();
        let ids: Vec<&str> = looked.iter().map(|(id, _)| *id).collect();
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        let standings = reconcile::standings(&mut conn, self.partner(), &ids).await?;
        let known: HashMap<&str, Known> = looked.iter().copied().collect();
        let next = standings.iter().filter_map(|standing| {
            let id = standing.order_id.as_str();
            Some((id, self.next_look(standing, *known.get(id)?, now)))
        });
        Ok(reconcile::schedule(&mut conn, self.partner(), &next.collect::<Vec<_>>()).await?)
    }

    fn next_look(&self, standing: &Standing, known: Known, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match known {
            Known::No => next_for_unknown(standing.status_at, now),
            Known::Yes(Seen { young: true, .. }) => Some(now + YOUNG),
            Known::Yes(_) => Status::parse(&standing.status)
                .and_then(|status| next_reconcile(&status, standing.status_at, now, self.settings.every)),
        }
    }

    /// Sets when orders that were looked at for another reason are looked at next.
    pub(super) async fn schedule_seen(&self, seen: &[(&str, Seen)]) -> Result<(), Stop> {
        let looked: Vec<_> = seen.iter().map(|(id, seen)| (*id, Known::Yes(*seen))).collect();
        self.schedule(&looked).await
    }
}
