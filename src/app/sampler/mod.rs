//! The figures that are in the database, or that nobody counts by himself: looked at every few seconds and shown as gauges.
//!
//! Guarantees: what a look did not find is not shown any more. While the database cannot be asked, what was last found in it
//! is shown for [`BELIEVED`], so that alerts do not end because of an outage, and then no longer.
//!
//! Every process shows what is true of the whole database: take the maximum over processes, not the sum.

use std::time::Duration;

use chrono::Utc;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::{PgConnection, PgPool};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::intake::stream::StreamHealth;
use crate::intake::tokens::worries;
use crate::model::clock::{self, Ahead};
use crate::model::id::PartnerId;
use crate::pusher::State;
use crate::store;
use crate::store::figures::{self, Queue, Troubles};
use crate::telemetry::names::PARTNER;
use crate::telemetry::process;
use crate::telemetry::round::Round;

/// How often.
const PERIOD: Duration = Duration::from_secs(15);

/// A database that is slower than this is not asked for figures: it has more important things to do.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long what was found in the database is believed while nothing newer is.
const BELIEVED: Duration = Duration::from_mins(5);

/// The most partners that are named at once: when more are not heard, it is not each one's own trouble.
const MOST_NAMED: usize = 20;

/// What samples.
pub(super) struct Sampler {
    pub(super) pool: PgPool,
    pub(super) bounds: Bounds,
    /// Whether partners that nobody hears are named: whoever reads metrics learns who they are.
    pub(super) names_partners: bool,
    /// Absent where this process does not listen.
    pub(super) stream: Option<watch::Receiver<StreamHealth>>,
    pub(super) metrics: PrometheusHandle,
    /// What is shown.
    pub(super) found: watch::Sender<String>,
    /// What readiness wants to know of it.
    pub(super) queue: watch::Sender<Queue>,
    pub(super) clock: watch::Sender<Ahead>,
}

/// Bounds that are shown beside what they bound.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) spool_bytes: u64,
    /// How long something is held; `None`: for ever.
    pub(super) held: Option<Duration>,
}

/// What was last found in the database, and when.
#[derive(Debug, Default)]
struct Last(Option<(Instant, Round)>);

impl Last {
    /// What is shown of the database at this moment, after a look that found this or failed.
    fn after(&mut self, looked: Option<Round>, now: Instant) -> Round {
        if let Some(round) = looked {
            self.0 = Some((now, round));
        }
        self.0 = self.0.take().filter(|(found_at, _)| now - *found_at < BELIEVED);
        self.0.as_ref().map(|(_, round)| round.clone()).unwrap_or_default()
    }
}

impl Sampler {
    /// Samples until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = Last::default();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            // Histograms gather what nobody has scraped yet.
            self.metrics.run_upkeep();
            let looked = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                looked = store::within(PATIENCE, self.look_at_database()) => looked,
            };
            if let Err(error) = &looked {
                tracing::debug!(
                    error = error as &dyn std::error::Error,
                    "the database cannot be asked for figures"
                );
            }
            let mut here = self.look_at_process();
            here.show("relay_database_up", f64::from(u8::from(looked.is_ok())));
            let round = here.and(&last.after(looked.ok(), Instant::now()));
            self.found.send_replace(round.render());
        }
    }

    fn look_at_process(&self) -> Round {
        let mut round = Round::default();
        process::show(&mut round);
        let (size, idle) = (self.pool.size(), self.pool.num_idle());
        let idle = i64::try_from(idle).unwrap_or(0);
        round.show_of("relay_pool_connections", ("state", "idle"), count(idle));
        let used = (i64::from(size) - idle).max(0);
        round.show_of("relay_pool_connections", ("state", "used"), count(used));
        round.show("relay_pool_connections_max", f64::from(self.pool.options().get_max_connections()));
        round
            .show("relay_spool_max_bytes", count(i64::try_from(self.bounds.spool_bytes).unwrap_or(i64::MAX)));
        let clock = *self.clock.borrow();
        round.show_of("relay_clock_ahead_seconds", ("of", "database"), clock.of_database);
        let Some(stream) = &self.stream else { return round };
        round.show_of("relay_clock_ahead_seconds", ("of", "transak"), clock.of_transak);
        let health = stream.borrow();
        let connected = matches!(health.state, Some(State::Connected { .. }));
        round.show("relay_stream_connected", f64::from(u8::from(connected)));
        round.show("relay_stream_stands_by", f64::from(u8::from(health.stands_by)));
        round.show("relay_stream_channels", count(i64::try_from(health.confirmed.len()).unwrap_or(0)));
        if let Some(at) = health.last_event_at {
            round.show("relay_stream_last_heard_timestamp_seconds", count(at.timestamp_millis()) / 1e3);
        }
        round
    }

    async fn look_at_database(&self) -> store::Result<Round> {
        let mut round = Round::default();
        let mut conn = self.pool.acquire().await?;
        let asked = Utc::now();
        let theirs = figures::clock(&mut conn).await?;
        let ahead = clock::ahead((asked, Utc::now()), theirs);
        self.clock.send_modify(|clock| clock.of_database = ahead);
        let queue = figures::queue(&mut conn).await?;
        show_queue(&mut round, &queue);
        self.queue.send_replace(queue);
        self.show_troubles(&mut round, &figures::troubles(&mut conn).await?);
        self.show_partners(&mut round, &mut conn).await?;
        show_server(&mut round, &mut conn).await?;
        drop(conn);
        let worrying = worries(&self.pool, Utc::now()).await?.len();
        round.show("relay_access_tokens_worrying", count(i64::try_from(worrying).unwrap_or(i64::MAX)));
        Ok(round)
    }

    async fn show_partners(&self, round: &mut Round, conn: &mut PgConnection) -> store::Result<()> {
        self.show_unheard(round, figures::unheard(conn).await?);
        let without = figures::without_token(conn).await?;
        round.show("relay_reconcile_partners_without_token", count(without));
        if let Some(end) = figures::first_token_end(conn).await? {
            round.show("relay_access_token_expiry_timestamp_seconds", count(end.timestamp()));
        }
        Ok(())
    }

    /// One figure; or, where partners are named, one of each that is not heard.
    fn show_unheard(&self, round: &mut Round, mut unheard: Vec<(PartnerId, f64)>) {
        if !self.names_partners {
            let longest = unheard.iter().map(|(_, seconds)| *seconds).fold(0.0, f64::max);
            return round.show("relay_partner_unheard_seconds", longest);
        }
        unheard.sort_by(|one, other| other.1.total_cmp(&one.1));
        for (partner, seconds) in unheard.iter().take(MOST_NAMED) {
            let partner = (PARTNER, &*partner.to_string());
            round.show_of("relay_partner_unheard_seconds", partner, *seconds);
        }
    }

    fn show_troubles(&self, round: &mut Round, troubles: &Troubles) {
        round.show("relay_quarantine_messages", count(troubles.quarantined));
        round.show("relay_gaps_open", count(troubles.gaps_open));
        round.show("relay_gaps_open_seconds", troubles.gaps_open_seconds);
        round.show("relay_gaps_unrepaired", count(troubles.gaps_unrepaired));
        round.show("relay_endpoints_holding", count(troubles.endpoints_holding));
        for (state, endpoints) in [
            ("answering", troubles.endpoints_answering),
            ("failing", troubles.endpoints_failing),
            ("paused", troubles.endpoints_paused),
            ("disabled", troubles.endpoints_disabled),
        ] {
            round.show_of("relay_endpoints", ("state", state), count(endpoints));
        }
        if let (Some(bound), Some(held)) = (self.bounds.held, troubles.oldest_held_seconds) {
            round.show("relay_held_ends_seconds", bound.as_secs_f64() - held);
        }
    }
}

fn show_queue(round: &mut Round, queue: &Queue) {
    round.show("relay_queue_due", count(queue.due));
    round.show("relay_queue_held", count(queue.held));
    round.show("relay_queue_oldest_due_seconds", queue.oldest_due_seconds);
    round.show("relay_queue_oldest_stuck_seconds", queue.oldest_stuck_seconds);
}

async fn show_server(round: &mut Round, conn: &mut PgConnection) -> store::Result<()> {
    let server = figures::server(conn).await?;
    round.show("relay_database_bytes", count(server.bytes));
    round.show("relay_database_oldest_transaction_seconds", server.oldest_transaction_seconds);
    round.show("relay_database_default_partition_rows", count(server.default_partition_rows));
    for (table, dead) in figures::dead_rows(conn).await? {
        round.show_of("relay_database_dead_rows", ("table", &table), count(dead));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; counts of rows and bytes fit exactly")]
fn count(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;
