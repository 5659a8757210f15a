//! Why a process is not ready, from what its tasks say of themselves.

mod stream;

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::http::health::Trouble;
use crate::intake::directory::Watch;
use crate::intake::stream::StreamHealth;
use crate::intake::{Intake, IntakeHealth, SpoolTrouble};
use crate::model::clock::Ahead;
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
    /// When anything last arrived on its connection.
    pub(super) pulse: Option<watch::Receiver<Option<Instant>>>,
    pub(super) intake: Option<(Intake, watch::Receiver<IntakeHealth>)>,
    /// What is owed; absent where this process does not send.
    pub(super) queue: Option<watch::Receiver<Queue>>,
    pub(super) directory: Watch,
    pub(super) clock: watch::Receiver<Ahead>,
    /// This process has the master keys that the database is used with.
    pub(super) key_fits: watch::Receiver<bool>,
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
            if differs {
                log_changes(before, &now);
            }
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

/// A line when something begins or ends to be wrong, not for each change of its words.
fn log_changes(before: &[Trouble], now: &[Trouble]) {
    let is_in = |list: &[Trouble], one: &Trouble| list.iter().any(|other| other.code == one.code);
    for begun in now.iter().filter(|one| !is_in(before, one)) {
        tracing::warn!(reason = begun.code, detail = begun.detail, "not ready");
    }
    for over in before.iter().filter(|one| !is_in(now, one)) {
        tracing::info!(reason = over.code, "no longer a reason to be not ready");
    }
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
        let silence = signs.pulse.as_ref().and_then(|pulse| *pulse.borrow()).map(|heard| heard.elapsed());
        let directory = signs.directory.borrow().clone();
        troubles.extend(stream::trouble(&stream.borrow(), silence.unwrap_or_default(), &directory));
    }
    if let Some((intake, health)) = &signs.intake {
        troubles.extend(intake_trouble((intake.waiting(), Instant::now()), &health.borrow(), progress));
        troubles.extend(health.borrow().disk.map(spool_trouble));
    }
    if let Some(queue) = &signs.queue {
        troubles.extend(queue_trouble(&queue.borrow()));
    }
    troubles.extend(clock_trouble(&signs.clock.borrow()));
    if !*signs.key_fits.borrow() {
        let detail = "the database is used with a master key that this process does not have";
        troubles.push(trouble("other_master_key", detail.to_owned()));
    }
    troubles
}

fn clock_trouble(clock: &Ahead) -> Option<Trouble> {
    let (whose, ahead) = clock.wrong().next()?;
    let side = if ahead > 0.0 { "ahead of" } else { "behind" };
    let detail = format!(
        "this machine's clock is {:.0} seconds {side} {whose}, and receivers refuse what it signs: set it by NTP",
        ahead.abs()
    );
    Some(trouble("clock_off", detail))
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
        let cause = health.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
        let detail = format!("messages wait on disk because the database cannot take them{cause}");
        trouble("spool_in_use", detail)
    })
}

/// What would be lost if the database were away, or is.
fn spool_trouble(found: SpoolTrouble) -> Trouble {
    let (code, detail) = match found {
        SpoolTrouble::Full { .. } => (
            "spool_full",
            "as much waits on disk as may: bring the database back, or raise RELAY_SPOOL_MAX_BYTES",
        ),
        SpoolTrouble::DiskFull => {
            ("spool_full", "the disk of RELAY_SPOOL_DIR is full: what the database does not take is lost")
        }
        SpoolTrouble::Broken => (
            "spool_broken",
            "RELAY_SPOOL_DIR was removed or cannot be written: what the database does not take is lost; once the folder is \
             there again it is used again",
        ),
    };
    trouble(code, detail.to_owned())
}

fn queue_trouble(queue: &Queue) -> Option<Trouble> {
    let seconds = queue.oldest_stuck_seconds;
    (seconds >= STUCK.as_secs_f64()).then(|| {
        let detail = format!(
            "deliveries are due and no dispatcher has looked at their endpoint for {seconds:.0} seconds"
        );
        trouble("deliveries_ageing", detail)
    })
}

fn trouble(code: &'static str, detail: String) -> Trouble {
    Trouble { code, detail }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(super) fn codes(troubles: impl IntoIterator<Item = Trouble>) -> Vec<&'static str> {
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
    fn a_clock_that_is_an_hour_off_is_told() {
        assert_eq!(codes(clock_trouble(&Ahead { of_transak: -3600.0, of_database: 0.0 })), ["clock_off"]);
        assert_eq!(codes(clock_trouble(&Ahead { of_transak: 2.0, of_database: -2.0 })), [""; 0]);
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
        let health = IntakeHealth { cause: Some("SQLSTATE 53100 disk_full".to_owned()), ..health };
        let told = intake_trouble((0, Instant::now()), &health, &mut progress).unwrap();
        assert!(told.detail.ends_with("take them: SQLSTATE 53100 disk_full"), "{told:?}");
    }

    #[test]
    fn a_spool_that_cannot_take_more_is_told_by_what_has_to_be_done() {
        let told = [SpoolTrouble::Full { waiting: 1 }, SpoolTrouble::DiskFull, SpoolTrouble::Broken];
        assert_eq!(codes(told.map(spool_trouble)), ["spool_full", "spool_full", "spool_broken"]);
    }

    #[test]
    fn due_deliveries_that_nobody_sends_are_told_and_a_long_queue_that_is_being_sent_is_not() {
        let stuck = Queue { oldest_stuck_seconds: STUCK.as_secs_f64(), ..Queue::default() };
        assert_eq!(codes(queue_trouble(&stuck)), ["deliveries_ageing"]);
        let busy = Queue { due: 100_000, oldest_due_seconds: 1e4, ..Queue::default() };
        assert_eq!(codes(queue_trouble(&busy)), [""; 0]);
    }
}
