//! Being alive: as long as others see it, the endpoints this process sends to are its own.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use crate::model::fault::Fault;
use crate::model::queue::{HandOver, Leased};
use crate::store::dispatcher::{self, DEAD_AFTER, DispatcherId};
use crate::store::{self, Result};

/// How often it says so.
const BEAT: Duration = Duration::from_secs(1);

/// For how long after a heartbeat began nothing can have been taken from this process: by then it has stopped starting
/// requests.
const SAFE: Duration = Duration::from_secs(10);
const _: () = assert!(SAFE.as_secs() < DEAD_AFTER.as_secs());

/// Keeps one dispatcher alive in the eyes of the others.
pub(super) struct Presence {
    pool: PgPool,
    pub(super) id: DispatcherId,
    /// The session that holds the lock.
    session: Option<PgConnection>,
}

impl Presence {
    pub(super) fn new(pool: PgPool) -> Self {
        Self { pool, id: DispatcherId::new(), session: None }
    }

    /// Beats until told to stop, then gives every endpoint back.
    pub(super) async fn run(
        mut self,
        (queues, leasing): (HandOver, &tokio::sync::Mutex<()>),
        stop: CancellationToken,
    ) {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = Fault::default();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = beat.tick() => {}
            }
            let guard = leasing.lock().await;
            let beaten = tokio::time::timeout(SAFE, self.beat(&queues)).await;
            drop(guard);
            match beaten {
                Ok(beaten) => match failing.news(&beaten) {
                    Some(Ok(())) => tracing::info!("the dispatcher says again that it is alive"),
                    Some(Err(error)) => tracing::warn!(
                        error = error as &dyn std::error::Error,
                        "the dispatcher cannot say that it is alive; it pauses soon"
                    ),
                    None => {}
                },
                // A statement was cut off: the session is of no more use.
                Err(_) => self.session = None,
            }
            queues.touch();
        }
        // The session ends with this, and with it the lock, whatever becomes of the statement.
        let _ = tokio::time::timeout(BEAT, dispatcher::leave(&self.pool, self.id)).await;
    }

    /// One heartbeat: the dead are buried, idle endpoints let go, and the queues told what is this process's.
    ///
    /// No claim may run meanwhile.
    pub(super) async fn beat(&mut self, queues: &HandOver) -> Result<()> {
        let began = Instant::now();
        let leases = match self.beat_once().await {
            Ok(leases) => leases,
            Err(error) => {
                self.session = None;
                return Err(error);
            }
        };
        let idle = queues.with(|queues| {
            queues.hold(&leases, began);
            queues.ours_until(began + SAFE);
            queues.let_go(began)
        });
        if !idle.is_empty() {
            dispatcher::let_go(&self.pool, self.id, &idle).await?;
        }
        Ok(())
    }

    async fn beat_once(&mut self) -> Result<Vec<Leased>> {
        let session = if let Some(session) = &mut self.session {
            session
        } else {
            let mut session = self.pool.acquire().await?.detach();
            dispatcher::take_lock(&mut session, self.id).await?;
            self.session.insert(session)
        };
        dispatcher::beat(session, self.id).await?;
        let dead = dispatcher::bury_the_dead(session, self.id).await?;
        if dead > 0 {
            tracing::warn!(dead, "dispatchers have died; their endpoints are taken over");
            store::wake::deliveries(session).await?;
        }
        dispatcher::leases(session, self.id).await
    }

    /// Ends as if killed: nothing is said to anybody. For tests.
    pub(super) async fn vanish(&mut self) {
        if let Some(session) = self.session.take() {
            let _ = session.close().await;
        }
    }
}
