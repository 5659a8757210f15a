//! One partner's turn: comparing its orders with Transak's record, and putting what is missing through the intake.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use secrecy::SecretString;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::lease::{Clock, Lease};
use super::plan::{Moment, Telling, compare, tell, visits};
use super::{Settings, Stop, Summary};
use crate::intake::{Fate, Form, Heard};
use crate::model::event::Source;
use crate::model::hops::Hops;
use crate::model::id::PartnerId;
use crate::model::reconcile::{Span, their_now};
use crate::model::status::Status;
use crate::store;
use crate::store::event::kept::{self, Kept};
use crate::transak::rest::history::{self, RestOrder};
use crate::transak::rest::{Account, RestError, Session};

/// So many calls in a row without an answer, and the partner is left alone for a while.
const PATIENCE: u32 = 3;

/// Messages of one order that wait for the same commit.
const KEPT_AT_ONCE: usize = 16;

/// Everything one partner's turn works with.
pub(super) struct Pass<'a> {
    pub(super) settings: &'a Settings,
    pub(super) account: Account,
    pub(super) token: SecretString,
    pub(super) lease: Lease,
    pub(super) clock: Clock,
    pub(super) summary: Mutex<Summary>,
    /// Calls in a row that nobody answered.
    pub(super) unanswered: AtomicU32,
    /// Some call was answered.
    pub(super) has_answers: AtomicBool,
    /// Until when something new of a gap, and of anything, may be begun; what is left waits for the next turn.
    pub(super) gaps_until: Instant,
    pub(super) until: Instant,
}

/// Why an order is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Because<'a> {
    /// Its time has come.
    Due,
    /// It may have changed in one of these gaps. What happened in them is told by nobody else any more.
    Gap { spans: &'a [Span] },
}

impl Because<'_> {
    /// Until when nobody else tells anything any more.
    fn settled(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Due => None,
            Self::Gap { spans } => spans.iter().map(|(_, to)| *to).max(),
        }
    }

    /// Whether REST is to tell what is kept as well: a message may hide behind one of the same status, if the order was
    /// under way in the gap. At a regular look it costs nothing.
    fn tells_all(self, order: &RestOrder) -> bool {
        match self {
            Self::Due => true,
            Self::Gap { spans } => spans.iter().any(|span| order.is_under_way_in(*span)),
        }
    }
}

/// What a look at an order came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// Something is left for another look, so much later.
    pub(super) young: Option<TimeDelta>,
    /// Not everything could be read.
    pub(super) trouble: Option<RestError>,
}

impl Pass<'_> {
    pub(super) fn partner(&self) -> PartnerId {
        self.account.partner_id
    }

    pub(super) fn session(&self) -> Session<'_> {
        self.settings.rest.session(&self.account, &self.token)
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Summary)) {
        change(&mut self.summary.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Counts what could not be used.
    pub(super) fn count(&self, kind: &'static str, order_id: Option<&str>) {
        metrics::counter!("relay_reconcile_errors_total", "kind" => kind).increment(1);
        self.note(|summary| summary.errors += 1);
        tracing::warn!(partner.id = %self.partner(), order.id = order_id, kind, "something of Transak's REST API cannot be used");
    }

    /// Counts a failed call, and gives the turn up if the next one would fail as well.
    pub(super) fn failed(&self, error: RestError, order_id: Option<&str>) -> Result<(), Stop> {
        self.count(error.kind(), order_id);
        match error {
            // A server that says for how long is not asked again to see whether it means it.
            RestError::Unavailable { retry_after: None } => {
                let unanswered = self.unanswered.fetch_add(1, Ordering::Relaxed) + 1;
                if unanswered >= PATIENCE { Err(error.into()) } else { Ok(()) }
            }
            _ if error.concerns_every_call() => Err(error.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn answered(&self) {
        self.unanswered.store(0, Ordering::Relaxed);
        self.has_answers.store(true, Ordering::Relaxed);
    }

    /// The turn has had its time: others wait for the place.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Gaps have had their part of it.
    pub(super) fn is_over_for_gaps(&self) -> bool {
        Instant::now() >= self.gaps_until
    }

    /// How far our clock is ahead of Transak's, as far as its answers tell.
    pub(super) fn ahead(&self) -> TimeDelta {
        self.settings.rest.ahead()
    }

    /// Compares one order with what is kept and puts what is missing through the intake.
    pub(super) async fn look(
        &self,
        order: &RestOrder,
        (because, mut kept): (Because<'_>, Vec<Kept>),
    ) -> Result<Seen, Stop> {
        let id = order.order_id.as_str();
        if order.partner_api_key.as_ref().is_some_and(|key| *key != self.account.api_key) {
            self.count("another_partner", Some(id));
            return Ok(Seen::default());
        }
        let moment = self.moment(because, &kept);
        let comparison = compare(order, &kept, &moment);
        for _ in 0..order.unreadable_rows {
            self.count("unreadable_row", Some(id));
        }
        let mut seen = Seen { young: comparison.young, trouble: None };
        let tells_all = because.tells_all(order);
        if !comparison.behind && !tells_all {
            return Ok(seen);
        }
        let untold = moment.settled.is_some() && tells_all && kept.iter().any(|event| !event.reconciled);
        if comparison.behind || untold {
            seen.trouble = self.tell_webhooks(order).await?;
            kept = self.kept(id).await?;
        }
        for telling in tell(order, &kept, &moment) {
            self.tell(order, telling).await?;
        }
        Ok(seen)
    }

    fn moment(&self, because: Because<'_>, kept: &[Kept]) -> Moment {
        let now = their_now(self.clock.now(), self.ahead());
        // Nobody will look again at an order that is not known: whatever there is of it is told now.
        let is_unknown = kept.is_empty() && matches!(because, Because::Gap { .. });
        let settled = if is_unknown { Some(DateTime::<Utc>::MAX_UTC) } else { because.settled() };
        Moment { now, settled }
    }

    /// The kept events of an order, oldest first.
    pub(super) async fn kept(&self, order_id: &str) -> Result<Vec<Kept>, Stop> {
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        let mut kept = kept::of_orders(&mut conn, self.partner(), &[order_id]).await?;
        Ok(kept.remove(order_id).unwrap_or_default())
    }

    /// Puts the messages that Transak sent of an order through the intake, as they were.
    ///
    /// A status that the order was in once has one change, whatever time a message gives it: what is told of it here and
    /// what is heard of it meanwhile is one event. Of one that the order came back to, each message is its own.
    async fn tell_webhooks(&self, order: &RestOrder) -> Result<Option<RestError>, Stop> {
        let order_id = order.order_id.as_str();
        let rows = match self.session().webhooks(order_id).await {
            Ok(rows) => rows,
            Err(error) => {
                self.failed(error, Some(order_id))?;
                return Ok((error != RestError::NotFound).then_some(error));
            }
        };
        self.answered();
        let (mut bodies, mut times) = (Vec::with_capacity(rows.len()), HashMap::<_, usize>::new());
        for row in &rows {
            match self.check(row, order_id) {
                Ok(status) => {
                    *times.entry(status.clone()).or_default() += 1;
                    bodies.push((status, Bytes::copy_from_slice(row.get().as_bytes())));
                }
                Err(kind) => self.count(kind, Some(order_id)),
            }
        }
        let keeps = bodies.into_iter().map(|(status, body)| {
            let is_one_change = times[&status] == 1 && visits(order, &status) <= 1;
            self.keep((if is_one_change { Form::History } else { Form::Rest }, None), body)
        });
        // In one commit, if they fit.
        stream::iter(keeps).buffered(KEPT_AT_ONCE).try_collect::<()>().await?;
        Ok(None)
    }

    /// Which status a row of Get Webhooks tells, or why it is none of this order's.
    fn check(&self, row: &RawValue, order_id: &str) -> Result<Status, &'static str> {
        let about = history::about(row);
        let (Some(id), Some(status)) = (about.order_id, about.status) else { return Err("unreadable_row") };
        if id != order_id {
            return Err("another_order");
        }
        if about.partner_api_key.is_some_and(|key| key != self.account.api_key) {
            return Err("another_partner");
        }
        Ok(status)
    }

    async fn tell(&self, order: &RestOrder, telling: Telling<'_>) -> Result<(), Stop> {
        let form = match telling {
            Telling::Visit(_) | Telling::Newest { again: true, .. } => Form::Rest,
            Telling::Row(_) | Telling::Newest { again: false, .. } => Form::History,
        };
        let (event, data) = match telling {
            Telling::Row(row) | Telling::Visit(row) => (row.event.as_deref(), order.as_of(row)),
            Telling::Newest { event, .. } => {
                (event, Some(Bytes::copy_from_slice(order.raw.get().as_bytes())))
            }
        };
        let Some(data) = data else { return Ok(()) };
        self.keep((form, event), data).await
    }

    async fn keep(&self, (form, event): (Form, Option<&str>), data: Bytes) -> Result<(), Stop> {
        let heard = Heard {
            partner_id: Some(self.partner()),
            source: Source::Reconcile,
            form,
            channel: None,
            event: event.map(str::to_owned),
            data,
            at: self.clock.now(),
            hops: Hops::default(),
            trace: None,
        };
        let fate = self.settings.intake.keep(heard).await?;
        if fate == Fate::New {
            metrics::counter!("relay_reconcile_found_total").increment(1);
            self.note(|summary| summary.found += 1);
        } else if fate == Fate::Quarantined {
            self.count("quarantined", None);
        }
        Ok(())
    }
}
