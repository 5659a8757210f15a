//! Signals that do not end the process. What ends it is in [`crate::shutdown`].

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::telemetry::logging::DebugSwitch;

/// What they are waited for with. From its making on they do not end the process.
pub(super) struct Signals {
    hangup: Signal,
    user: Signal,
}

impl Signals {
    /// Begins to take them; what comes before [`Signals::run`] waits for it.
    pub(super) fn take() -> anyhow::Result<Self> {
        let take = |kind| signal(kind).context("signals cannot be taken");
        Ok(Self { hangup: take(SignalKind::hangup())?, user: take(SignalKind::user_defined1())? })
    }

    /// Does what they ask for, until told to stop.
    pub(super) async fn run(mut self, mut debug: DebugSwitch, stop: CancellationToken) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(()) = self.user.recv() => debug.turn(),
                Some(()) = self.hangup.recv() => tracing::info!(
                    "SIGHUP changes nothing: settings are read when a process starts. Start another one with the new settings \
                     and end this one with SIGTERM; what it has begun it finishes. SIGUSR1 turns debug logging on and off"
                ),
            }
        }
    }
}
