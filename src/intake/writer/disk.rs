//! Whether the disk can take what the database does not: known before it has to.
//!
//! Guarantees: a folder that was removed, a file system that became read-only or full, or one that does not answer is found
//! within [`LOOK`] and [`PATIENCE`]. What is looked at holds no lock, so that a disk that hangs delays nothing here. A folder that
//! is there again is taken again once nothing waits in what was removed; it is not made anew, for it may be a volume that is
//! not mounted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::flow::Flow;
use super::super::spool::{Spool, SpoolError};
use super::IntakeHealth;
use super::aside::Aside;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(5);

/// A disk that takes longer than this is broken.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the spool cannot take more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpoolTrouble {
    /// So many bytes wait, and that is all that may.
    Full { waiting: u64 },
    /// The disk has no room.
    DiskFull,
    /// It cannot be written at all.
    Broken,
}

impl SpoolTrouble {
    fn of(error: &SpoolError, waiting: u64) -> Option<Self> {
        match error {
            SpoolError::Full => Some(Self::Full { waiting }),
            SpoolError::DiskFull(_) => Some(Self::DiskFull),
            SpoolError::Io(_) => Some(Self::Broken),
            // The message's fault.
            SpoolError::TooLong => None,
        }
    }

    /// The trouble after it was found that a little can be written, while so much waits.
    fn after_a_look(self, now: u64) -> Option<Self> {
        match self {
            Self::Full { waiting } if now > 0 && now >= waiting => Some(self),
            _ => None,
        }
    }
}

/// What looks at the disk.
pub(super) struct DiskWatch {
    pub(super) spool: Arc<Mutex<Spool>>,
    pub(super) aside: Arc<Aside>,
    pub(super) flow: Arc<Flow>,
    pub(super) health: watch::Sender<IntakeHealth>,
}

impl DiskWatch {
    /// Looks again and again until told to end.
    pub(super) async fn run(self, ended: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = ended.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            tokio::select! {
                biased;
                () = ended.cancelled() => return,
                () = self.look() => {}
            }
            self.flow.told.tell_rest();
        }
    }

    async fn look(&self) {
        let probe = self.spool().probe();
        let mut probing = tokio::task::spawn_blocking(move || probe.run());
        let found = tokio::select! {
            found = &mut probing => found.unwrap_or_else(|error| Err(std::io::Error::other(error).into())),
            () = tokio::time::sleep(PATIENCE) => {
                self.note(&Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
                // One at a time: threads that hang are not piled up.
                return drop(probing.await);
            }
        };
        if found.is_err() && self.take_again().await {
            return;
        }
        self.note(&found);
    }

    /// Takes a place in the folder, if that is there, and nothing waits in the one that is not.
    async fn take_again(&self) -> bool {
        let (spool, aside) = (Arc::clone(&self.spool), Arc::clone(&self.aside));
        let taking = tokio::task::spawn_blocking(move || {
            let taken = spool.lock().unwrap_or_else(PoisonError::into_inner).take_again().unwrap_or(false);
            if taken {
                aside.let_go();
            }
            taken
        });
        taking.await.unwrap_or(false)
    }

    fn note(&self, found: &Result<(), SpoolError>) {
        let waiting = self.spool().waiting();
        self.health.send_if_modified(|health| {
            let before = health.disk;
            health.disk = match found {
                Ok(()) => before.and_then(|trouble| trouble.after_a_look(waiting)),
                Err(error) => SpoolTrouble::of(error, waiting).or(before),
            };
            health.disk != before
        });
    }

    fn spool(&self) -> std::sync::MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of writing messages there.
pub(super) fn note_written(
    health: &watch::Sender<IntakeHealth>,
    written: &Result<(), SpoolError>,
    waiting: u64,
) {
    health.send_if_modified(|health| {
        let before = health.disk;
        health.disk = match written {
            Ok(()) => None,
            Err(error) => SpoolTrouble::of(error, waiting).or(before),
        };
        health.disk != before
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_is_full_until_something_went_and_a_broken_one_until_it_can_be_written() {
        let full = SpoolTrouble::of(&SpoolError::Full, 100).unwrap();
        assert_eq!(
            [full.after_a_look(100), full.after_a_look(99), full.after_a_look(0)],
            [Some(full), None, None]
        );
        for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded] {
            assert_eq!(
                SpoolTrouble::of(&SpoolError::from(std::io::Error::from(kind)), 0),
                Some(SpoolTrouble::DiskFull)
            );
        }
        let broken = SpoolTrouble::of(&std::io::Error::other("").into(), 100).unwrap();
        assert_eq!((broken, broken.after_a_look(100)), (SpoolTrouble::Broken, None));
        assert_eq!(SpoolTrouble::of(&SpoolError::TooLong, 0), None);
    }
}
