//! Periodic, idempotent duties that keep the database small: partitions are made ahead of time and dropped when they
//! are over; what is older than retention and needed by nobody is deleted.
//!
//! Guarantees: one process at a time does it; every step is bounded, so that nobody waits for it for long; an order that
//! is not over is kept for two years after it was last heard of, and whatever is still owed to an endpoint however old it
//! is, unless it is held for one that was disabled and forgotten. A step that would wait for a lock is
//! put off, and the others are done: a dump, or any other reader, may hold one for hours. A step that fails is done by a
//! later run.
//! Does not guarantee: that something is gone at the minute it is old enough.

mod forgotten;
mod leftovers;
mod old;
pub mod statistics;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use crate::model::fault::Fault;
use crate::model::partition::{self, Partition, Span};
use crate::store::maintenance_lock::Turn;
use crate::store::partition::{self as tables, TABLES, Table};
use crate::store::retention::Cutoff;
use crate::store::{self, idempotency, retention};

/// How often it is done, unless retention is so short that this would be too seldom.
const PERIOD: Duration = Duration::from_mins(1);

/// How long it may take; what is left waits for the next run.
const LONGEST: Duration = Duration::from_mins(10);

/// How often the default partitions are searched for what is over. They are empty, or nearly so.
const DRAIN_PERIOD: Duration = Duration::from_hours(1);

/// An order that is not over and of which nothing was heard for so long will not be heard of again: Transak's end within
/// days.
const ABANDONED: TimeDelta = TimeDelta::days(730);

/// How long it can be shown that an order was erased. Backups from before must be gone by then.
const ERASURES_KEPT: TimeDelta = TimeDelta::days(1_096);

/// How many orders or events one statement looks at.
const BATCH: i64 = 1_000;

/// The most statements of one kind in one run: what is left waits for the next.
const BATCHES: usize = 500;

/// A partition of which more rows than this are still needed is not dropped yet: moving that much would lock its table
/// for too long.
const MOST_MOVED: usize = 10_000;

/// What one run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Partitions made.
    pub made: u64,
    /// Partitions dropped.
    pub dropped: u64,
    /// Orders deleted, with all that belongs to them.
    pub orders: u64,
    /// Events of no order deleted.
    pub events: u64,
    /// Deliveries given up because they were held for too long.
    pub given_up: u64,
    /// Other rows deleted: messages in quarantine, gaps, watches, idempotency keys, expired secrets, rows of default
    /// partitions.
    pub rows: u64,
    /// Tables of which a partition was neither made nor dropped, and partners of whom nothing was deleted, because somebody
    /// else holds a lock.
    pub put_off: u64,
}

/// What keeps the database small.
#[derive(Debug)]
pub struct Maintenance {
    pool: PgPool,
    /// How long things are kept; `None`: for ever.
    retention: Option<Duration>,
    /// How long something is held for a disabled endpoint; `None`: for ever.
    held: Option<Duration>,
    drained_at: Option<DateTime<Utc>>,
    /// Whether it was said that something is put off.
    told: bool,
    failing: Fault,
}

impl Maintenance {
    /// `retention`: how long what is over is kept; `None`: for ever.
    pub fn new(pool: PgPool, retention: Option<Duration>) -> Self {
        Self { pool, retention, held: None, drained_at: None, told: false, failing: Fault::default() }
    }

    /// The same, and what is held for disabled endpoints is given up after so long.
    #[must_use]
    pub fn holding_for(self, held: Option<Duration>) -> Self {
        Self { held, ..self }
    }

    /// Does everything that is due at the moment `now`; `None` if another process is at it.
    ///
    /// # Errors
    /// The database is not available, or a step could not be done; later steps are not tried.
    pub async fn run_once(&mut self, now: DateTime<Utc>) -> store::Result<Option<Report>> {
        let Some(mut turn) = Turn::take(&self.pool).await? else { return Ok(None) };
        let done = self.all_duties(turn.session(), now).await;
        turn.end().await?;
        done.map(Some)
    }

    /// Makes the partitions that are missing at the moment `now`; nothing if another process is at it. Those that
    /// somebody's lock keeps from being made are made later: until then the default partition takes what is theirs.
    ///
    /// # Errors
    /// The database is not available.
    pub async fn make_partitions(&self, now: DateTime<Utc>) -> store::Result<()> {
        let Some(mut turn) = Turn::take(&self.pool).await? else { return Ok(()) };
        let mut report = Report::default();
        let made = make_missing(turn.session(), (Span::of_retention(self.retention), now), &mut report).await;
        turn.end().await?;
        made
    }

    /// Does it again and again until told to stop.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let period = self.retention.map_or(PERIOD, |kept| (kept / 10).clamp(Duration::from_secs(1), PERIOD));
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            let run = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                run = store::within(LONGEST, self.run_once(Utc::now())) => run,
            };
            self.tell(run);
        }
    }

    async fn all_duties(&mut self, conn: &mut PgConnection, now: DateTime<Utc>) -> store::Result<Report> {
        let mut report = Report::default();
        make_missing(conn, (Span::of_retention(self.retention), now), &mut report).await?;
        report.rows += idempotency::forget_old(conn).await?;
        report.rows += retention::drop_expired_secrets(conn, now).await?;
        if let Some(bound) = self.held {
            report.given_up = forgotten::give_up(conn, bound, now).await?;
        }
        let kept = self.retention.and_then(|kept| TimeDelta::from_std(kept).ok());
        let Some(cutoff) = kept.and_then(|kept| now.checked_sub_signed(kept)) else { return Ok(report) };
        let cutoff = cutoffs(now, cutoff);
        old::delete_old(conn, cutoff, &mut report).await?;
        report.rows += leftovers::delete(conn, cutoff).await?;
        let cutoff = cutoff.over;
        for table in TABLES {
            drop_over(conn, (table, cutoff), &mut report).await?;
        }
        if self.drained_at.is_none_or(|at| now - at >= self.drain_period()) {
            for table in TABLES {
                report.rows += drain_default(conn, table, cutoff).await?;
            }
            self.drained_at = Some(now);
        }
        Ok(report)
    }

    fn drain_period(&self) -> TimeDelta {
        let period = self.retention.map_or(DRAIN_PERIOD, |kept| (kept / 10).min(DRAIN_PERIOD));
        TimeDelta::from_std(period).unwrap_or(TimeDelta::MAX)
    }

    fn tell(&mut self, run: store::Result<Option<Report>>) {
        match run {
            Ok(None) => {}
            Ok(Some(report)) => {
                self.failing = Fault::default();
                count(report);
                if report.put_off > 0 && !self.told {
                    tracing::warn!(
                        tables = report.put_off,
                        "another session, a dump perhaps, holds locks: partitions are made and dropped later"
                    );
                }
                self.told = report.put_off > 0;
            }
            Err(error) => {
                metrics::counter!("relay_maintenance_runs_total", "outcome" => "failed").increment(1);
                if self.failing.is(error.to_string()) {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the database cannot be tidied right now"
                    );
                }
            }
        }
    }
}

fn count(report: Report) {
    let outcome = if report.put_off > 0 { "put_off" } else { "done" };
    metrics::counter!("relay_maintenance_runs_total", "outcome" => outcome).increment(1);
    // Also when something was put off: a dump that takes hours is no reason to wake anybody.
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
    metrics::gauge!("relay_maintenance_last_success_timestamp_seconds").set(Utc::now().timestamp() as f64);
    metrics::counter!("relay_retention_orders_total").increment(report.orders);
    metrics::counter!("relay_retention_partitions_total").increment(report.dropped);
    if (Report { put_off: 0, ..report }) != Report::default() {
        tracing::info!(
            partitions_made = report.made,
            partitions_dropped = report.dropped,
            orders = report.orders,
            events = report.events,
            given_up = report.given_up,
            rows = report.rows,
            "the database was tidied"
        );
    }
}

async fn make_missing(
    conn: &mut PgConnection,
    (span, now): (Span, DateTime<Utc>),
    report: &mut Report,
) -> store::Result<()> {
    for table in TABLES {
        let existing = tables::list(conn, table).await?;
        for missing in partition::missing(&existing, span, now) {
            match tables::make(conn, table, &missing).await {
                Ok(made) => report.made += u64::from(made),
                Err(error) if error.is_lock_timeout() => {
                    report.put_off += 1;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Nothing goes earlier than what is over.
fn cutoffs(now: DateTime<Utc>, over: DateTime<Utc>) -> Cutoff {
    let before = |kept: TimeDelta| now.checked_sub_signed(kept).map_or(over, |then| then.min(over));
    Cutoff { over, abandoned: before(ABANDONED), erasures: before(ERASURES_KEPT) }
}

async fn drop_over(
    conn: &mut PgConnection,
    (table, cutoff): (Table, DateTime<Utc>),
    report: &mut Report,
) -> store::Result<()> {
    let mut over: Vec<Partition> = tables::list(conn, table).await?;
    over.retain(|partition| partition.is_over(cutoff));
    for partition in over {
        let Some(needed) = tables::needed(conn, (table, &partition), MOST_MOVED).await? else {
            tracing::warn!(
                table = table.name(),
                "a partition that is over is not dropped: too much in it is still needed"
            );
            break;
        };
        match tables::drop(conn, (table, &partition), &needed).await {
            Ok(()) => report.dropped += 1,
            Err(error) if error.is_lock_timeout() => {
                report.put_off += 1;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn drain_default(conn: &mut PgConnection, table: Table, cutoff: DateTime<Utc>) -> store::Result<u64> {
    let mut deleted = 0;
    for _ in 0..BATCHES {
        let gone = tables::drain_default(conn, table, (cutoff, BATCH)).await?;
        deleted += gone;
        if gone == 0 {
            break;
        }
    }
    Ok(deleted)
}
