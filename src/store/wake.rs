//! Telling other tasks and processes that there is something to do. A wake-up is a hint: whoever waits for one also
//! looks from time to time by itself.
//!
//! Notifications reach every session of the database, also those of a relay in another schema of it: each carries its
//! schema, and those of others wake nobody. One without comes from a process of the version before.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgNotification};
use sqlx::{PgConnection, PgPool};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Result, within};
use crate::model::fault::Fault;

const PARTNERS: &str = "relay_partner";
const DELIVERIES: &str = "relay_delivery";
const EVENTS: &str = "relay_event";
const TOKENS: &str = "relay_token";

/// New events are announced at most this often by a process, so that much traffic is few notifications.
const BETWEEN_ANNOUNCEMENTS: Duration = Duration::from_millis(100);

/// After so long without a wake-up the server is asked whether it is still there, and how long its answer may take.
const QUIET: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(5);

/// What can be waited for.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    /// Partners, their tokens or their watches changed.
    pub partners: Arc<Notify>,
    /// Deliveries became due.
    pub deliveries: Arc<Notify>,
    /// Events were committed.
    pub events: Arc<Notify>,
    /// Tokens of the relay open nothing any more.
    pub tokens: Arc<Notify>,
}

/// With the commit of this transaction, wakes the dispatchers of all processes.
pub async fn deliveries(conn: &mut PgConnection) -> Result<()> {
    notify(conn, DELIVERIES).await
}

/// Wakes the dispatchers of all processes now.
pub async fn deliveries_now(pool: &PgPool) -> Result<()> {
    sqlx::query!("select pg_notify($1, current_schema())", DELIVERIES).execute(pool).await?;
    Ok(())
}

/// With the commit of this transaction, has all processes look at the partners again.
pub async fn partners(conn: &mut PgConnection) -> Result<()> {
    notify(conn, PARTNERS).await
}

/// With the commit of this transaction, has all processes look at once whether the tokens in use still open something.
pub async fn tokens(conn: &mut PgConnection) -> Result<()> {
    notify(conn, TOKENS).await
}

async fn notify(conn: &mut PgConnection, channel: &str) -> Result<()> {
    sqlx::query!("select pg_notify($1, current_schema())", channel).execute(conn).await?;
    Ok(())
}

/// Tells all processes that this one has committed events, whenever `committed` says so, until told to stop.
///
/// Not part of the transaction that keeps the events: a notification makes every commit that carries one wait for its
/// turn, and costs the intake a round trip. One that is lost with a crash is made good by the listeners' own looking.
pub async fn announce_events(
    pool: PgPool,
    committed: Arc<Notify>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = committed.notified() => {}
        }
        let told = within(ANSWER, async {
            Ok(sqlx::query!("select pg_notify($1, current_schema())", EVENTS).execute(&pool).await?)
        });
        let told = told.await;
        if let Err(error) = told {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "new events are not announced; they are polled"
            );
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(BETWEEN_ANNOUNCEMENTS) => {}
        }
    }
}

/// Hears the wake-ups of all processes until told to stop. Loses some while Postgres is away; wakes everybody when it
/// is back.
pub async fn listen(pool: PgPool, wakes: Wakes, stop: CancellationToken) -> anyhow::Result<()> {
    let mut failing = Fault::default();
    loop {
        let heard = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            heard = listen_once(&pool, &wakes, &mut failing) => heard,
        };
        if let Err(error) = heard
            && failing.is(error.to_string())
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "wake-ups from Postgres are interrupted; polling goes on"
            );
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// The next wake-up. While there is none, the server is asked time and again whether it is still there.
async fn next(listener: &mut PgListener) -> Result<Option<PgNotification>> {
    loop {
        if let Ok(heard) = tokio::time::timeout(QUIET, listener.try_recv()).await {
            return Ok(heard?);
        }
        within(ANSWER, async { Ok(sqlx::query("select").execute(&mut *listener).await?) }).await?;
    }
}

async fn listen_once(pool: &PgPool, wakes: &Wakes, failing: &mut Fault) -> Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all([PARTNERS, DELIVERIES, EVENTS, TOKENS]).await?;
    let schema =
        sqlx::query_scalar!(r#"select current_schema()::text as "schema!""#).fetch_one(&mut listener).await?;
    if failing.is_over() {
        tracing::info!("wake-ups from Postgres are heard again");
    }
    loop {
        wakes.partners.notify_one();
        wakes.deliveries.notify_one();
        wakes.events.notify_one();
        wakes.tokens.notify_one();
        while let Some(notification) = next(&mut listener).await? {
            if !["", &schema].contains(&notification.payload()) {
                continue;
            }
            match notification.channel() {
                PARTNERS => wakes.partners.notify_one(),
                EVENTS => wakes.events.notify_one(),
                TOKENS => wakes.tokens.notify_one(),
                _ => wakes.deliveries.notify_one(),
            }
        }
    }
}
