//! Why a process is not ready, from what its tasks say of themselves.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::http::health::Trouble;
use crate::intake::directory::Watch;
use crate::intake::stream::StreamHealth;
use crate::intake::{Intake, IntakeHealth};
use crate::pusher::State;
use crate::store::figures::Queue;

/// How often the signs that nobody announces are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Messages that wait longer than this while none is taken: a commit that takes longer goes to the spool instead.
const STALLED: Duration = Duration::from_secs(15);

/// A delivery that is due for longer than this at an endpoint to which nobody sends: it should take a second.
const STUCK: Duration = Duration::from_mins(2);

/// What readiness is told by.
#[derive(Clone)]
pub(super) struct Signs {
    pub(super) stream: Option<watch::Receiver<StreamHealth>>,
    pub(super) intake: Option<(Intake, watch::Receiver<IntakeHealth>)>,
    /// What is owed; absent where this process does not send.
    pub(super) queue: Option<watch::Receiver<Queue>>,
    pub(super) directory: Watch,
}

/// Notices that a queue is not emptied.
#[derive(Debug, Clone, Copy)]
struct Progress {
    batches: u64,
    since: Instant,
}

impl Progress {
    fn begin(now: Instant) -> Self {
        Self { batches: 0, since: now }
    }

    /// Whether messages wait and nothing has been taken for [`STALLED`].
    fn is_stalled(&mut self, waiting: usize, batches: u64, now: Instant) -> bool {
        if waiting == 0 || batches != self.batches {
            *self = Self { batches, since: now };
        }
        now - self.since >= STALLED
    }
}

/// Keeps the list of troubles up to date.
pub(super) async fn watch_signs(
    mut signs: Signs,
    troubles: watch::Sender<Vec<Trouble>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut progress = Progress::begin(Instant::now());
    loop {
        let now = list(&signs, &mut progress);
        troubles.send_if_modified(|before| {
            let differs = *before != now;
            *before = now;
            differs
        });
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = changed(&mut signs.stream) => {}
            () = tokio::time::sleep(LOOK) => {}
            changed = signs.directory.changed() => if changed.is_err() { break },
        }
    }
    stop.cancelled().await;
    troubles.send_replace(vec![trouble("stopping", "the process is stopping".to_owned())]);
    Ok(())
}

async fn changed<T>(sign: &mut Option<watch::Receiver<T>>) {
    let changed = match sign {
        Some(sign) => sign.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending::<()>().await;
    }
}

fn list(signs: &Signs, progress: &mut Progress) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    if let Some(stream) = &signs.stream {
        troubles.extend(stream_trouble(&stream.borrow(), &signs.directory.borrow().clone()));
    }
    if let Some((intake, health)) = &signs.intake {
        troubles.extend(intake_trouble((intake.waiting(), Instant::now()), &health.borrow(), progress));
    }
    if let Some(queue) = &signs.queue {
        troubles.extend(queue_trouble(&queue.borrow()));
    }
    troubles
}

fn intake_trouble(
    (waiting, now): (usize, Instant),
    health: &IntakeHealth,
    progress: &mut Progress,
) -> Option<Trouble> {
    if progress.is_stalled(waiting, health.batches, now) {
        return Some(trouble(
            "intake_stalled",
            format!(
                "{waiting} messages were heard and none has been written for {} seconds",
                STALLED.as_secs()
            ),
        ));
    }
    (health.spooled_bytes > 0).then(|| {
        let detail = "messages wait on disk because the database cannot take them";
        trouble("spool_in_use", detail.to_owned())
    })
}

fn queue_trouble(queue: &Queue) -> Option<Trouble> {
    let seconds = queue.oldest_stuck_seconds;
    (seconds >= STUCK.as_secs_f64()).then(|| {
        let detail =
            format!("a delivery has been due for {seconds:.0} seconds and nobody sends to its endpoint");
        trouble("deliveries_ageing", detail)
    })
}

fn stream_trouble(
    stream: &StreamHealth,
    directory: &Arc<crate::intake::directory::Directory>,
) -> Option<Trouble> {
    let wanted = directory.channels().len();
    match stream.state {
        _ if stream.stands_by => None,
        Some(State::Connected { .. }) if stream.confirmed >= wanted => None,
        Some(State::Connected { .. }) => {
            let waiting = wanted - stream.confirmed;
            Some(trouble(
                "stream_subscribing",
                format!("{waiting} of {wanted} channels are not confirmed yet"),
            ))
        }
        Some(state) => Some(trouble("stream_down", state.to_string())),
        None => Some(trouble("stream_down", "the stream has not connected yet".to_owned())),
    }
}

fn trouble(code: &'static str, detail: String) -> Trouble {
    Trouble { code, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(troubles: impl IntoIterator<Item = Trouble>) -> Vec<&'static str> {
        troubles.into_iter().map(|trouble| trouble.code).collect()
    }

    #[test]
    fn messages_that_wait_while_nothing_is_taken_are_a_stalled_intake() {
        let began = Instant::now();
        let mut progress = Progress::begin(began);
        let health = IntakeHealth { batches: 7, ..IntakeHealth::default() };
        assert_eq!(codes(intake_trouble((3, began), &health, &mut progress)), [""; 0]);
        let later = began + STALLED;
        assert_eq!(codes(intake_trouble((3, later), &health, &mut progress)), ["intake_stalled"]);
        let moving = IntakeHealth { batches: 8, ..health };
        assert_eq!(codes(intake_trouble((3, later), &moving, &mut progress)), [""; 0], "one batch was taken");
    }

    #[test]
    fn an_intake_with_nothing_to_do_is_not_stalled() {
        let began = Instant::now();
        let mut progress = Progress::begin(began);
        let (idle, later) = (IntakeHealth::default(), began + 10 * STALLED);
        assert_eq!(codes(intake_trouble((0, later), &idle, &mut progress)), [""; 0]);
        assert_eq!(codes(intake_trouble((1, later), &idle, &mut progress)), [""; 0], "it waits since now");
    }

    #[test]
    fn a_spool_in_use_is_told() {
        let health = IntakeHealth { spooled_bytes: 1, ..IntakeHealth::default() };
        let mut progress = Progress::begin(Instant::now());
        assert_eq!(codes(intake_trouble((0, Instant::now()), &health, &mut progress)), ["spool_in_use"]);
    }

    #[test]
    fn due_deliveries_that_nobody_sends_are_told_and_a_long_queue_that_is_being_sent_is_not() {
        let stuck = Queue { oldest_stuck_seconds: STUCK.as_secs_f64(), ..Queue::default() };
        assert_eq!(codes(queue_trouble(&stuck)), ["deliveries_ageing"]);
        let busy = Queue { due: 100_000, oldest_due_seconds: 1e4, ..Queue::default() };
        assert_eq!(codes(queue_trouble(&busy)), [""; 0]);
    }
}
