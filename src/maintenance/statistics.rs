//! Keeps Postgres informed of tables that grow faster than it looks by itself.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::store::{self, statistics};

/// How often it looks. A busy relay fills an empty database with thousands of events in this time.
const PERIOD: Duration = Duration::from_secs(1);

/// How long gathering may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Looks until told to stop. What fails is done by a later look, or by autovacuum.
pub async fn run(pool: PgPool, stop: CancellationToken) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        match store::within(PATIENCE, statistics::renew(&pool)).await {
            Ok(0) => {}
            Ok(tables) => tracing::debug!(tables, "statistics of tables that have grown were gathered"),
            Err(error) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                "statistics cannot be gathered right now"
            ),
        }
    }
}
