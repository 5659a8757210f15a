//! Where messages wait on disk while the database cannot take them.
//!
//! Guarantees: what [`Spool::append`] has answered is on disk (fsynced, its folder too) and survives a crash at every
//! byte; it is handed out again in the order it was appended, after a crash too, until it is settled. A torn tail and
//! flipped bits cost only the records they hit. What waits never grows beyond its bound: then `append` refuses, loudly,
//! and nothing is half written. What is settled counts no longer, and takes at most as much room again, or 1 MiB.
//! Does not guarantee: exactly once. A crash between committing a batch and noting its end hands that batch out again;
//! identity makes it the same events.
//!
//! Layout: the folder holds one sub-folder for each place (`0`, `1`, …), taken by a file lock that the system gives back
//! when the process dies; each holds `messages`, with the notes of what is settled in between. Versions before noted
//! that in a file of its own, `done`, which could outlive what it was about: it is not believed, so that what they left
//! is handed out from the beginning.

mod disk;
mod log;
mod record;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use self::disk::{Disk as _, Folder, Place, private};
use self::log::{Log, WORTH_A_FILE};
use super::Heard;

/// The most places in one spool folder.
const SLOTS: u32 = 64;

/// How often a lock is tried, and how long apart.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why a message was not spooled.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("the spool is full: raise RELAY_SPOOL_MAX_BYTES or bring the database back")]
    Full,
    #[error("a message is too long for the spool")]
    TooLong,
    #[error("the disk of the spool is full: make room on it, or bring the database back")]
    DiskFull(#[source] io::Error),
    #[error("the spool cannot be written: check the disk and the permissions of RELAY_SPOOL_DIR")]
    Io(#[source] io::Error),
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(error),
            _ => Self::Io(error),
        }
    }
}

/// A look at whether a place can be written, which needs no hold of it.
#[derive(Debug)]
pub(super) struct Probe(io::Result<Place>);

impl Probe {
    /// Writes a little.
    pub(super) fn run(self) -> Result<(), SpoolError> {
        Ok(self.0?.probe()?)
    }
}

/// A place on disk.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    place: PathBuf,
    log: Log<Folder>,
    max_bytes: u64,
    /// What waits in all places of this process, and how much of it this place has counted.
    waiting: Arc<AtomicU64>,
    counted: u64,
    // Held for as long as the spool is: its lock is what makes the place ours.
    _lock: File,
}

impl Spool {
    /// Takes the first free place in `folder`, with whatever an earlier process left there. At most `max_bytes` wait in
    /// it and in the places that are taken from it.
    pub fn open(folder: &Path, max_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Self::take_first(folder, &(max_bytes, Arc::default()))
    }

    /// The most bytes that may wait in all places of this process together.
    pub const fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// What waits in all places of this process together.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Acquire)
    }

    pub(super) fn probe(&self) -> Probe {
        Probe(self.log.disk().place())
    }

    /// Takes a place anew where this one was removed, if the folder is there and nothing waits here. `false`: not.
    pub(super) fn take_again(&mut self) -> io::Result<bool> {
        if self.log.disk().is_in_place().is_ok() || !self.is_empty() || !self.folder.is_dir() {
            return Ok(false);
        }
        *self = self.beside()?;
        Ok(true)
    }

    /// Takes one more place in the same folder.
    pub fn beside(&self) -> io::Result<Self> {
        Self::take_first(&self.folder, &(self.max_bytes, Arc::clone(&self.waiting)))
    }

    /// Takes another place in the same folder in which a process that is gone has left messages, if there is one.
    pub fn adopt(&self) -> io::Result<Option<Self>> {
        for slot in 0..SLOTS {
            let place = self.folder.join(slot.to_string());
            if place != self.place
                && place.join("messages").metadata().is_ok_and(|file| file.len() > 0)
                && let Some(spool) =
                    Self::take((&self.folder, slot), (self.max_bytes, Arc::clone(&self.waiting)), 1)?
                && !spool.is_empty()
            {
                return Ok(Some(spool));
            }
        }
        Ok(None)
    }

    fn take_first(folder: &Path, bound: &(u64, Arc<AtomicU64>)) -> io::Result<Self> {
        for slot in 0..SLOTS {
            if let Some(spool) = Self::take((folder, slot), bound.clone(), LOCK_TRIES)? {
                return Ok(spool);
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "all 64 places of this spool folder are in use"))
    }

    fn take(
        (folder, slot): (&Path, u32),
        (max_bytes, waiting): (u64, Arc<AtomicU64>),
        tries: u32,
    ) -> io::Result<Option<Self>> {
        let place = folder.join(slot.to_string());
        fs::create_dir_all(&place)?;
        let lock = private().create(true).truncate(false).write(true).open(place.join("lock"))?;
        if !take_lock(&lock, tries)? {
            return Ok(None);
        }
        File::open(folder)?.sync_all()?;
        let log = Log::open(Folder::open(place.clone())?, WORTH_A_FILE)?;
        // What a version before noted is not believed; should it come back, it begins from the beginning as well.
        let _ = fs::remove_file(place.join("done"));
        let folder = folder.to_owned();
        let mut spool = Self { folder, place, log, max_bytes, waiting, counted: 0, _lock: lock };
        spool.count();
        Ok(Some(spool))
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.log.bytes() == 0
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Appends messages and returns when they are on disk: all of them, or none.
    pub fn append<'a>(&mut self, messages: impl IntoIterator<Item = &'a Heard>) -> Result<(), SpoolError> {
        let records = records(messages)?;
        if self.waiting.load(Ordering::Acquire) + records.len() as u64 > self.max_bytes {
            return Err(SpoolError::Full);
        }
        let appended = self.log.append(&records);
        self.count();
        Ok(appended?)
    }

    /// The same for messages of another place of this process, which are about to be settled there: there is room.
    pub(super) fn take_over<'a>(
        &mut self,
        messages: impl IntoIterator<Item = &'a Heard>,
    ) -> Result<(), SpoolError> {
        let appended = self.log.append(&records(messages)?);
        self.count();
        Ok(appended?)
    }

    /// The oldest messages that wait, at most `most`, and where they end. Damaged records are passed over and counted.
    pub fn peek(&mut self, most: usize) -> io::Result<(Vec<Heard>, u64)> {
        self.log.peek(most)
    }

    /// Notes that everything before `end` is settled. An emptied spool gives its space back.
    ///
    /// If that cannot be written, it is not handed out again for as long as this process lives.
    pub fn advance(&mut self, end: u64) -> io::Result<()> {
        let settled = self.log.settle(end, &[]);
        self.count();
        settled
    }

    /// The same, but these of them go to the end: they wait on. If that cannot be written, nothing is settled.
    pub fn turn<'a>(
        &mut self,
        end: u64,
        again: impl IntoIterator<Item = &'a Heard>,
    ) -> Result<(), SpoolError> {
        let settled = self.log.settle(end, &records(again)?);
        self.count();
        Ok(settled?)
    }

    fn count(&mut self) {
        let now = self.log.bytes();
        self.waiting.fetch_add(now, Ordering::AcqRel);
        self.waiting.fetch_sub(std::mem::replace(&mut self.counted, now), Ordering::AcqRel);
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.counted, Ordering::AcqRel);
    }
}

fn records<'a>(messages: impl IntoIterator<Item = &'a Heard>) -> Result<Vec<u8>, SpoolError> {
    let mut records = Vec::new();
    for heard in messages {
        let before = records.len();
        record::write(heard, &mut records);
        if records.len() - before > record::LONGEST {
            return Err(SpoolError::TooLong);
        }
    }
    Ok(records)
}

/// A process that another thread is just starting holds our locks too, for the moment until it has become its own
/// program; so a lock that is taken is tried again before it is believed.
fn take_lock(lock: &File, tries: u32) -> io::Result<bool> {
    for again in (0..tries).rev() {
        match lock.try_lock() {
            Ok(()) => return Ok(true),
            Err(fs::TryLockError::WouldBlock) if again > 0 => std::thread::sleep(LOCK_PAUSE),
            Err(fs::TryLockError::WouldBlock) => {}
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
