//! What is owed besides what is heard, step by step: what a recovery is about, what an endpoint that was enabled,
//! disabled, deleted or taken out of its lanes leaves to do, and what nobody noted as due.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::model::fault::Fault;
use crate::store::due::{self, Sweep};
pub(super) use crate::store::recovery::Step;
use crate::store::{self, Result};

/// How long a step may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Between two steps that bring deliveries in line: live traffic goes first.
const BETWEEN: Duration = Duration::from_millis(10);

/// How often a recovery that waits for its deliveries is looked at, and how often it is looked for one.
const WHILE_RUNNING: Duration = Duration::from_millis(100);
const OTHERWISE: Duration = Duration::from_secs(1);

/// Batches of what a process of an earlier version wrote, each time it is looked for: as much as one writes in that time.
const ADOPTIONS: usize = 20;

/// Works on whatever there is until told to stop.
pub(super) async fn run(pool: PgPool, stop: CancellationToken) {
    let (mut sweep, mut swept_at, mut failing) = (Sweep::default(), None::<Instant>, Fault::default());
    loop {
        if swept_at.is_none_or(|at| at.elapsed() >= OTHERWISE) {
            swept_at = Some(Instant::now());
            if let Err(error) = store::within(DEADLINE, look_after(&pool, &mut sweep)).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "what is due and not noted waits for the database"
                );
            }
        }
        let stepped = store::within(DEADLINE, step(&pool)).await;
        match failing.news(&stepped) {
            Some(Ok(())) => tracing::info!("recoveries, and what endpoints that changed are owed, go on"),
            Some(Err(error)) => tracing::warn!(
                error = error as &dyn std::error::Error,
                "recoveries, and what endpoints that changed are owed, wait for the database"
            ),
            None => {}
        }
        let pause = match stepped {
            Ok(Step::Worked) => BETWEEN,
            Ok(Step::Waits) => WHILE_RUNNING,
            Ok(Step::Nothing) | Err(_) => OTHERWISE,
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What a process of an earlier version wrote, and some of what everybody did. `true`: nothing is left to look at.
pub(super) async fn look_after(pool: &PgPool, sweep: &mut Sweep) -> Result<bool> {
    let mut adopted = true;
    for _ in 0..ADOPTIONS {
        let mut tx = pool.begin().await?;
        adopted = due::adopt(&mut tx).await?;
        tx.commit().await?;
        if !adopted {
            break;
        }
    }
    let mut tx = pool.begin().await?;
    let swept = due::sweep(&mut tx, sweep).await?;
    tx.commit().await?;
    Ok(swept && !adopted)
}

/// Some deliveries of one endpoint, and one batch of one recovery. Neither waits for what the other cannot have.
pub(super) async fn step(pool: &PgPool) -> Result<Step> {
    let brought = async {
        let mut tx = pool.begin().await?;
        let brought = store::endpoint::in_line::step(&mut tx).await?;
        tx.commit().await?;
        Ok::<_, store::Error>(brought)
    };
    let brought = brought.await;
    let mut tx = pool.begin().await?;
    let step = store::recovery::step(&mut tx).await?;
    tx.commit().await?;
    Ok(if brought? { Step::Worked } else { step })
}
