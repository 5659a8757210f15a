//! Ownership of tasks: who runs, how they are told to stop, and what the process exits with.
//!
//! Guarantees: every task started here is awaited; a task that ends before it was told to stops the whole process
//! with an error, because a relay that only half runs looks healthy and loses events.
//! Does not guarantee: that a task which ignores its stop token ends; it is aborted when the grace is over.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// How long tasks may take to finish what they have begun after the stop token fired.
pub const GRACE: Duration = Duration::from_secs(25);

/// A set of named tasks with one stop token.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<(&'static str, anyhow::Result<()>)>,
    stop: CancellationToken,
}

impl Tasks {
    /// The token every task selects on first.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task that is expected to run until the stop token fires.
    pub fn spawn<F>(&mut self, name: &'static str, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.set.spawn(async move { (name, task.await) });
    }

    /// Runs until `interrupt` completes or a task ends early, then stops the others and waits for them.
    ///
    /// # Errors
    /// The first failure: a task that returned an error, panicked, or ended without being told to.
    pub async fn run_until(mut self, interrupt: impl Future<Output = ()>) -> anyhow::Result<()> {
        let early = tokio::select! {
            () = interrupt => None,
            Some(ended) = self.set.join_next() => Some(early_end(ended)),
        };
        self.stop.cancel();
        let drained = tokio::time::timeout(GRACE, self.drain()).await;
        if drained.is_err() {
            tracing::warn!(
                grace_ms = GRACE.as_millis(),
                "tasks still ran when the grace was over; they are aborted"
            );
            self.set.abort_all();
        }
        match (early, drained) {
            (Some(error), _) | (None, Ok(Err(error))) => Err(error),
            _ => Ok(()),
        }
    }

    async fn drain(&mut self) -> anyhow::Result<()> {
        let mut first = Ok(());
        while let Some(ended) = self.set.join_next().await {
            let result = flatten(ended);
            if first.is_ok() {
                first = result;
            }
        }
        first
    }
}

fn flatten(ended: Result<(&'static str, anyhow::Result<()>), JoinError>) -> anyhow::Result<()> {
    match ended {
        Ok((name, result)) => result.map_err(|error| error.context(format!("task `{name}` failed"))),
        Err(error) => Err(anyhow::Error::new(error).context("a task panicked")),
    }
}

fn early_end(ended: Result<(&'static str, anyhow::Result<()>), JoinError>) -> anyhow::Error {
    let name = ended.as_ref().map_or("?", |(name, _)| *name);
    flatten(ended).err().unwrap_or_else(|| anyhow::anyhow!("task `{name}` ended without being told to"))
}

/// Completes on SIGINT or SIGTERM, also one that came after the call and before anybody waited: whoever is told that the
/// process runs may end it at once. A second signal ends the process at once.
pub fn interrupted() -> impl Future<Output = ()> {
    let first = signals();
    async move {
        wait_for(first).await;
        second_ends_at_once();
    }
}

fn second_ends_at_once() {
    tracing::info!("stopping: a second signal ends the process at once");
    #[expect(
        clippy::disallowed_methods,
        reason = "it lives exactly as long as the process and owns nothing"
    )]
    tokio::spawn(async {
        wait_for(signals()).await;
        std::process::exit(130);
    });
}

/// From here on they do not end the process by themselves.
fn signals() -> Option<(Signal, Signal)> {
    signal(SignalKind::interrupt()).ok().zip(signal(SignalKind::terminate()).ok())
}

async fn wait_for(signals: Option<(Signal, Signal)>) {
    let Some((mut int, mut term)) = signals else { return std::future::pending().await };
    tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
}
