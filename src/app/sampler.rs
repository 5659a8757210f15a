//! The figures that are in the database, or that nobody counts by himself: read every few seconds and shown as gauges.
//!
//! Every process shows what is true of the whole database: take the maximum over processes, not the sum.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use metrics::gauge;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::intake::stream::StreamHealth;
use crate::intake::tokens::worries;
use crate::model::clock::{self, Ahead};
use crate::model::id::PartnerId;
use crate::pusher::State;
use crate::store;
use crate::store::figures::{self, Queue};

/// How often.
const PERIOD: Duration = Duration::from_secs(15);

/// A database that is slower than this is not asked for figures: it has more important things to do.
const PATIENCE: Duration = Duration::from_secs(5);

/// What samples.
pub(super) struct Sampler {
    pub(super) pool: PgPool,
    /// Absent where this process does not listen.
    pub(super) stream: Option<watch::Receiver<StreamHealth>>,
    pub(super) metrics: PrometheusHandle,
    /// What readiness wants to know of it.
    pub(super) queue: watch::Sender<Queue>,
    pub(super) clock: watch::Sender<Ahead>,
    /// The partners that were shown as unheard: shown as heard once they are, or are gone.
    pub(super) unheard: Mutex<HashMap<PartnerId, f64>>,
}

impl Sampler {
    /// Samples until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            // Histograms gather what nobody has scraped yet.
            self.metrics.run_upkeep();
            self.show_process();
            let sampled = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                sampled = tokio::time::timeout(PATIENCE, self.show_database()) => sampled,
            };
            let up = matches!(sampled, Ok(Ok(())));
            gauge!("relay_database_up").set(f64::from(u8::from(up)));
            if let Ok(Err(error)) = sampled {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the database cannot be asked for figures"
                );
            }
        }
    }

    fn show_process(&self) {
        let (size, idle) = (self.pool.size(), self.pool.num_idle());
        gauge!("relay_pool_connections", "state" => "idle").set(count(i64::try_from(idle).unwrap_or(0)));
        let used = i64::from(size) - i64::try_from(idle).unwrap_or(0);
        gauge!("relay_pool_connections", "state" => "used").set(count(used.max(0)));
        let most = self.pool.options().get_max_connections();
        gauge!("relay_pool_connections_max").set(f64::from(most));
        let Some(stream) = &self.stream else { return };
        let health = stream.borrow();
        let connected = matches!(health.state, Some(State::Connected { .. }));
        gauge!("relay_stream_connected").set(f64::from(u8::from(connected)));
        gauge!("relay_stream_stands_by").set(f64::from(u8::from(health.stands_by)));
        gauge!("relay_stream_channels").set(count(i64::try_from(health.confirmed.len()).unwrap_or(0)));
    }

    async fn show_database(&self) -> store::Result<()> {
        let mut conn = self.pool.acquire().await?;
        let asked = Utc::now();
        let theirs = figures::clock(&mut conn).await?;
        let ahead = clock::ahead((asked, Utc::now()), theirs);
        gauge!("relay_clock_ahead_seconds", "of" => "database").set(ahead);
        self.clock.send_modify(|clock| clock.of_database = ahead);
        let queue = figures::queue(&mut conn).await?;
        gauge!("relay_queue_due").set(count(queue.due));
        gauge!("relay_queue_held").set(count(queue.held));
        gauge!("relay_queue_oldest_due_seconds").set(queue.oldest_due_seconds);
        gauge!("relay_queue_oldest_stuck_seconds").set(queue.oldest_stuck_seconds);
        self.queue.send_replace(queue);
        show_troubles(&figures::troubles(&mut conn).await?);
        self.show_unheard(figures::unheard(&mut conn).await?);
        let server = figures::server(&mut conn).await?;
        gauge!("relay_database_bytes").set(count(server.bytes));
        gauge!("relay_database_oldest_transaction_seconds").set(server.oldest_transaction_seconds);
        gauge!("relay_database_default_partition_rows").set(count(server.default_partition_rows));
        for (table, dead) in figures::dead_rows(&mut conn).await? {
            gauge!("relay_database_dead_rows", "table" => table).set(count(dead));
        }
        let worries = worries(&self.pool, Utc::now()).await?.len();
        gauge!("relay_access_tokens_worrying").set(count(i64::try_from(worries).unwrap_or(i64::MAX)));
        for (partner, end) in figures::token_ends(&mut conn).await? {
            gauge!("relay_access_token_expiry_timestamp_seconds", "partner" => partner.to_string())
                .set(count(end.timestamp()));
        }
        Ok(())
    }
}

impl Sampler {
    /// Only partners that are or were unheard have a series.
    fn show_unheard(&self, now: Vec<(PartnerId, f64)>) {
        let mut shown = self.unheard.lock().unwrap_or_else(PoisonError::into_inner);
        shown.values_mut().for_each(|seconds| *seconds = 0.0);
        shown.extend(now);
        for (partner, seconds) in shown.iter() {
            gauge!("relay_partner_unheard_seconds", "partner" => partner.to_string()).set(*seconds);
        }
        shown.retain(|_, seconds| *seconds > 0.0);
    }
}

fn show_troubles(troubles: &figures::Troubles) {
    gauge!("relay_quarantine_messages").set(count(troubles.quarantined));
    gauge!("relay_gaps_open").set(count(troubles.gaps_open));
    gauge!("relay_gaps_open_seconds").set(troubles.gaps_open_seconds);
    gauge!("relay_gaps_unrepaired").set(count(troubles.gaps_unrepaired));
    for (state, endpoints) in [
        ("answering", troubles.endpoints_answering),
        ("failing", troubles.endpoints_failing),
        ("paused", troubles.endpoints_paused),
        ("disabled", troubles.endpoints_disabled),
    ] {
        gauge!("relay_endpoints", "state" => state).set(count(endpoints));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; counts of rows and bytes fit exactly")]
fn count(value: i64) -> f64 {
    value as f64
}
