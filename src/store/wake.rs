//! Telling other tasks and processes that there is something to do. A wake-up is a hint: whoever waits for one also
//! looks from time to time by itself.

use std::sync::Arc;

use sqlx::postgres::PgListener;
use sqlx::{PgConnection, PgPool};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Result;

const PARTNERS: &str = "relay_partner";
const DELIVERIES: &str = "relay_delivery";

/// What can be waited for.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    /// Partners, their tokens or their watches changed.
    pub partners: Arc<Notify>,
    /// Deliveries became due.
    pub deliveries: Arc<Notify>,
}

/// With the commit of this transaction, wakes the dispatchers of all processes.
pub async fn deliveries(conn: &mut PgConnection) -> Result<()> {
    notify(conn, DELIVERIES).await
}

/// Wakes the dispatchers of all processes now.
pub async fn deliveries_now(pool: &PgPool) -> Result<()> {
    sqlx::query!("select pg_notify($1, '')", DELIVERIES).execute(pool).await?;
    Ok(())
}

/// With the commit of this transaction, has all processes look at the partners again.
pub async fn partners(conn: &mut PgConnection) -> Result<()> {
    notify(conn, PARTNERS).await
}

async fn notify(conn: &mut PgConnection, channel: &str) -> Result<()> {
    sqlx::query!("select pg_notify($1, '')", channel).execute(conn).await?;
    Ok(())
}

/// Hears the wake-ups of all processes until told to stop. Loses some while Postgres is away; wakes everybody when it
/// is back.
pub async fn listen(pool: PgPool, wakes: Wakes, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        let heard = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            heard = listen_once(&pool, &wakes) => heard,
        };
        if let Err(error) = heard {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "wake-ups from Postgres are interrupted; polling goes on"
            );
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
        }
    }
}

async fn listen_once(pool: &PgPool, wakes: &Wakes) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all([PARTNERS, DELIVERIES]).await?;
    loop {
        wakes.partners.notify_one();
        wakes.deliveries.notify_one();
        while let Some(notification) = listener.try_recv().await? {
            match notification.channel() {
                PARTNERS => wakes.partners.notify_one(),
                _ => wakes.deliveries.notify_one(),
            }
        }
    }
}
