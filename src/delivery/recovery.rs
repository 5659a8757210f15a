//! Recoveries: owing again what an endpoint missed, batch by batch.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

pub(super) use crate::store::recovery::Step;
use crate::store::{self, Result};

/// How often a recovery that waits for its deliveries is looked at, and how often it is looked for one.
const WHILE_RUNNING: Duration = Duration::from_millis(100);
const OTHERWISE: Duration = Duration::from_secs(1);

/// Works on whatever recoveries there are until told to stop.
pub(super) async fn run(pool: PgPool, stop: CancellationToken) {
    loop {
        let pause = match step(&pool).await {
            Ok(Step::Worked) => Duration::ZERO,
            Ok(Step::Waits) => WHILE_RUNNING,
            Ok(Step::Nothing) => OTHERWISE,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a recovery cannot go on right now");
                OTHERWISE
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One batch of one recovery.
pub(super) async fn step(pool: &PgPool) -> Result<Step> {
    let mut tx = pool.begin().await?;
    let step = store::recovery::step(&mut tx).await?;
    tx.commit().await?;
    Ok(step)
}
