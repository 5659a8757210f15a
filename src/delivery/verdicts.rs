//! One batch of results and everything that follows from it, written in one transaction: what becomes of the deliveries,
//! of their lanes, of their endpoints, and what the partner is told of it. A batch of successes that nothing follows
//! from, as nearly all are, is one statement.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};

use super::finisher::{Done, Tried};
use crate::model::announcement::{self, Announcement, GivenUp};
use crate::model::attempt::AttemptRecord;
use crate::model::breaker::Change;
use crate::model::delivery::{DeliveryState, Job};
use crate::model::id::{DeliveryId, PartnerId};
use crate::model::queue::Place;
use crate::model::retry::Verdict;
use crate::store::delivery::claim::release;
use crate::store::delivery::finish::{Finished, Written, finish};
use crate::store::delivery::lane;
use crate::store::delivery::succeed::succeed;
use crate::store::endpoint::health;
use crate::store::event::announce::announce;
use crate::store::session::Session;
use crate::store::{self, attempt};

const GONE: &str = "the endpoint answered 410 Gone";
const HOPELESS: &str = "the endpoint has only failed for 5 days";

/// A batch, sorted by what is to be done.
#[derive(Debug, Default)]
struct Verdicts<'a> {
    tried: Vec<&'a Tried>,
    finished: Vec<Finished<'a>>,
    attempts: Vec<(&'a Job, &'a AttemptRecord)>,
    unsent: Vec<(&'a Job, Duration)>,
    out_of_lane: Vec<&'a Job>,
    failing: BTreeSet<Place>,
    gone: BTreeSet<Place>,
    answering: BTreeSet<Place>,
}

impl<'a> Verdicts<'a> {
    fn of(batch: &'a [Done]) -> Self {
        let mut sorted = Self::default();
        for done in batch {
            match done {
                Done::Tried(tried) => sorted.add(tried),
                Done::Orphaned(job) => sorted.finished.push(Finished {
                    job,
                    state: DeliveryState::Cancelled,
                    is_over: true,
                    retry_after: None,
                    asked: None,
                    status_code: None,
                }),
                Done::Unsent(job, wait) => sorted.unsent.push((job, *wait)),
                Done::OutOfLane(job) => sorted.out_of_lane.push(job),
            }
        }
        sorted
    }

    /// Whether everything was answered with 2xx and nothing follows from it.
    fn is_plain(&self) -> bool {
        let consequences =
            self.failing.len() + self.answering.len() + self.unsent.len() + self.out_of_lane.len();
        consequences == 0
            && self.finished.len() == self.tried.len()
            && self.tried.iter().all(|tried| tried.is_plain() && !tried.job.in_lane)
    }

    /// The endpoints that something is written about.
    fn concerned(&self) -> Vec<Place> {
        let changed = self.tried.iter().filter(|tried| tried.effect.change.is_some());
        let changed = changed.map(|tried| (tried.job.partner_id, tried.job.endpoint_id));
        changed.chain(self.failing.iter().copied()).chain(self.answering.iter().copied()).collect()
    }

    /// The orders of the deliveries that stand in a lane, or are to.
    fn laned(&self) -> impl Iterator<Item = (PartnerId, &str)> {
        let finished = self.finished.iter().map(|one| one.job).filter(|job| job.in_lane);
        let jobs = finished.chain(self.out_of_lane.iter().copied());
        jobs.filter_map(|job| Some((job.partner_id, job.told.order_id.as_deref()?)))
    }

    fn add(&mut self, tried: &'a Tried) {
        let job = &tried.job;
        let place: Place = (job.partner_id, job.endpoint_id);
        let (state, retry_after) = match tried.verdict {
            Verdict::Succeeded => (DeliveryState::Succeeded, None),
            Verdict::Retry { after } => (DeliveryState::Pending, Some(after)),
            // Nobody has to see to a test that failed: whoever asked for it was told.
            Verdict::Exhausted | Verdict::Gone if announcement::is_test(&job.told.event) => {
                (DeliveryState::Cancelled, None)
            }
            Verdict::Exhausted | Verdict::Gone => (DeliveryState::Exhausted, None),
        };
        match tried.verdict {
            Verdict::Succeeded if tried.effect.first_success => drop(self.answering.insert(place)),
            Verdict::Succeeded => {}
            Verdict::Gone => drop((self.failing.insert(place), self.gone.insert(place))),
            Verdict::Retry { .. } | Verdict::Exhausted => drop(self.failing.insert(place)),
        }
        self.finished.push(Finished {
            job,
            state,
            is_over: false,
            retry_after,
            asked: tried.asked,
            status_code: status_code(&tried.attempt),
        });
        self.attempts.push((job, &tried.attempt));
        self.tried.push(tried);
    }
}

fn status_code(attempt: &AttemptRecord) -> Option<i16> {
    attempt.status_code.and_then(|code| i16::try_from(code).ok())
}

/// Writes a batch. Answers how many results came too late, after their lease had passed to another.
pub(super) async fn write(session: &Session, batch: &[Done]) -> store::Result<usize> {
    let mut conn = session.take().await?;
    let written = write_in(&mut conn, batch).await;
    conn.keep_after(&written);
    written
}

async fn write_in(conn: &mut PgConnection, batch: &[Done]) -> store::Result<usize> {
    let mut batch = Verdicts::of(batch);
    if batch.is_plain() {
        let finished = succeed(&mut *conn, &batch.attempts).await?;
        if finished.len() == batch.finished.len() {
            return Ok(0);
        }
        // The others came too late, stand in a lane that somebody waits in, or were asked for again.
        batch.finished.retain(|one| !finished.contains(&one.job.delivery_id));
        batch.attempts.clear();
    }
    let mut tx = conn.begin().await?;
    let late = write_all(&mut tx, &batch).await?;
    tx.commit().await?;
    Ok(late)
}

async fn write_all(tx: &mut PgConnection, batch: &Verdicts<'_>) -> store::Result<usize> {
    // First of all the endpoints that are written about are locked, then the orders of lanes, as everybody does it: what
    // is to be tried again is held if its endpoint is being disabled.
    health::lock(tx, &batch.concerned()).await?;
    lane::lock(tx, batch.laned()).await?;
    let failing: Vec<Place> = batch.failing.iter().copied().collect();
    let hopeless = if failing.is_empty() { Vec::new() } else { health::mark_failing(tx, &failing).await? };
    let written = if batch.finished.is_empty() { Vec::new() } else { finish(tx, &batch.finished).await? };
    if !batch.attempts.is_empty() {
        attempt::write::insert(tx, &batch.attempts).await?;
    }
    if !batch.unsent.is_empty() {
        release(tx, &batch.unsent).await?;
    }
    let mut lanes: Vec<_> = written.iter().filter_map(|one| one.left_lane.clone()).collect();
    if !batch.out_of_lane.is_empty() {
        lanes.extend(lane::enter(tx, &batch.out_of_lane).await?);
    }
    lane::advance(tx, &lanes).await?;
    let mut news = exhausted(batch, &written);
    judge_endpoints(tx, batch, &hopeless, &mut news).await?;
    announce(tx, &news).await?;
    Ok(batch.finished.len() - written.len())
}

/// What is told of deliveries that were given up by this batch.
fn exhausted(batch: &Verdicts<'_>, written: &[Written]) -> Vec<Announcement> {
    let given_up = written.iter().filter(|one| one.state == DeliveryState::Exhausted);
    let given_up: HashMap<DeliveryId, bool> =
        given_up.map(|one| (one.delivery_id, one.left_lane.is_some())).collect();
    let tried = batch.tried.iter().filter(|tried| !announcement::is_own(&tried.job.told.event));
    tried
        .filter_map(|tried| {
            let released_lane = given_up.get(&tried.job.delivery_id)?;
            Some(Announcement::exhausted(&its_end(tried, *released_lane)))
        })
        .collect()
}

fn its_end(tried: &Tried, released_lane: bool) -> GivenUp {
    let job = &tried.job;
    GivenUp {
        partner_id: job.partner_id,
        endpoint_id: job.endpoint_id,
        delivery_id: job.delivery_id,
        event_id: job.told.event_id,
        event: job.told.event.clone(),
        order_id: job.told.order_id.clone(),
        attempts: job.attempts,
        last_status_code: status_code(&tried.attempt),
        released_lane,
        reason: None,
    }
}

async fn judge_endpoints(
    tx: &mut PgConnection,
    batch: &Verdicts<'_>,
    hopeless: &[Place],
    news: &mut Vec<Announcement>,
) -> store::Result<()> {
    if !batch.answering.is_empty() {
        health::mark_answering(tx, &batch.answering.iter().copied().collect::<Vec<_>>()).await?;
    }
    for tried in &batch.tried {
        let Some(change) = tried.effect.change else { continue };
        let place: Place = (tried.job.partner_id, tried.job.endpoint_id);
        health::mark_breaker(tx, place, change).await?;
        if matches!(change, Change::Closed { .. }) {
            news.push(Announcement::recovered(place));
        }
        tracing::warn!(endpoint.id = %place.1, ?change, "an endpoint's breaker changed");
    }
    let reasons =
        batch.gone.iter().map(|place| (place, GONE)).chain(hopeless.iter().map(|place| (place, HOPELESS)));
    for (&place, reason) in reasons {
        // One that succeeded in this very batch has not only failed.
        let answers = reason == HOPELESS && batch.answering.contains(&place);
        if !answers && health::disable(tx, place, reason).await? {
            tracing::warn!(partner.id = %place.0, endpoint.id = %place.1, reason, "an endpoint is disabled");
            news.push(Announcement::disabled(place, reason));
        }
    }
    Ok(())
}
