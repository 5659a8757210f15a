//! Where messages wait on disk while the database cannot take them.
//!
//! Guarantees: what [`Spool::append`] has answered is on disk (fsynced) and survives a crash; it is handed out again in
//! the order it was appended, after a crash too. A torn tail and flipped bits cost only the records they hit. The
//! folder never grows beyond its bound: then `append` refuses, loudly, and nothing is half written.
//! Does not guarantee: exactly once. A crash between committing a batch and noting its end hands that batch out again;
//! identity makes it the same events.
//!
//! Layout: the folder holds one sub-folder a process at a time (`0`, `1`, …), taken by a file lock that the system
//! gives back when the process dies; each holds `messages` and `done`, the offset up to which `messages` was handed out.

mod record;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Heard;

/// The most processes that share one spool folder.
const SLOTS: u32 = 64;

/// How often a lock is tried, and how long apart.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// How much of the file is read at once.
const READ_BYTES: u64 = 8 << 20;

/// Why a message was not spooled.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("the spool is full: raise RELAY_SPOOL_MAX_BYTES or bring the database back")]
    Full,
    #[error("the spool cannot be written: check the disk and the permissions of RELAY_SPOOL_DIR")]
    Io(#[from] io::Error),
}

/// One process's place on disk.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    place: PathBuf,
    messages: File,
    done_file: PathBuf,
    done: u64,
    length: u64,
    max_bytes: u64,
    // Held for as long as the spool is: its lock is what makes the place ours.
    _lock: File,
}

impl Spool {
    /// Takes the first free place in `folder`, with whatever an earlier process left there.
    pub fn open(folder: &Path, max_bytes: u64) -> io::Result<Self> {
        for slot in 0..SLOTS {
            if let Some(spool) = Self::take((folder, slot), max_bytes, LOCK_TRIES)? {
                return Ok(spool);
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "64 processes already use this spool folder"))
    }

    /// Takes another place in the same folder in which a process that is gone has left messages, if there is one.
    pub fn adopt(&self) -> io::Result<Option<Self>> {
        for slot in 0..SLOTS {
            let place = self.folder.join(slot.to_string());
            if place != self.place
                && place.join("messages").metadata().is_ok_and(|file| file.len() > 0)
                && let Some(spool) = Self::take((&self.folder, slot), self.max_bytes, 1)?
                && !spool.is_empty()
            {
                return Ok(Some(spool));
            }
        }
        Ok(None)
    }

    fn take((folder, slot): (&Path, u32), max_bytes: u64, tries: u32) -> io::Result<Option<Self>> {
        let place = folder.join(slot.to_string());
        fs::create_dir_all(&place)?;
        let lock = private().create(true).truncate(false).write(true).open(place.join("lock"))?;
        if !take_lock(&lock, tries)? {
            return Ok(None);
        }
        let messages =
            private().create(true).truncate(false).read(true).write(true).open(place.join("messages"))?;
        let length = messages.metadata()?.len();
        let done_file = place.join("done");
        let noted = fs::read_to_string(&done_file).ok().and_then(|text| text.trim().parse().ok());
        let done = noted.filter(|&done| done <= length).unwrap_or(0);
        let folder = folder.to_owned();
        Ok(Some(Self { folder, place, messages, done_file, done, length, max_bytes, _lock: lock }))
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.done >= self.length
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> u64 {
        self.length - self.done.min(self.length)
    }

    /// Appends messages and returns when they are on disk: all of them, or none.
    pub fn append<'a>(&mut self, messages: impl IntoIterator<Item = &'a Heard>) -> Result<(), SpoolError> {
        let mut records = Vec::new();
        messages.into_iter().for_each(|heard| record::write(heard, &mut records));
        let added = records.len() as u64;
        if self.length + added > self.max_bytes {
            return Err(SpoolError::Full);
        }
        self.messages.seek(SeekFrom::Start(self.length))?;
        let written = self.messages.write_all(&records).and_then(|()| self.messages.sync_data());
        if let Err(error) = written {
            // Cut off what may have been half written, so that the next record does not follow on from it.
            self.messages.set_len(self.length)?;
            return Err(error.into());
        }
        self.length += added;
        Ok(())
    }

    /// The oldest messages that wait, at most `most`, and where they end. Damaged records are passed over and counted.
    pub fn peek(&mut self, most: usize) -> io::Result<(Vec<Heard>, u64)> {
        self.messages.seek(SeekFrom::Start(self.done))?;
        let mut bytes = Vec::new();
        (&self.messages).take(READ_BYTES.min(self.bytes())).read_to_end(&mut bytes)?;
        let (mut messages, mut at) = (Vec::new(), 0);
        while messages.len() < most {
            match record::read(&bytes, at) {
                record::Read::Message(heard, next) => {
                    messages.push(*heard);
                    at = next;
                }
                record::Read::Damaged(next) => {
                    metrics::counter!("relay_spool_damaged_total").increment(1);
                    tracing::error!(
                        bytes = next - at,
                        "the spool is damaged; the messages around it are kept"
                    );
                    at = next;
                }
                record::Read::End => break,
            }
        }
        if messages.is_empty() {
            // Nothing but damage, or a torn tail, of which nobody was ever told that it was kept.
            return Ok((messages, self.done + bytes.len() as u64));
        }
        Ok((messages, self.done + at as u64))
    }

    /// Notes that everything before `end` is committed. An emptied spool gives its space back.
    pub fn advance(&mut self, end: u64) -> io::Result<()> {
        self.done = end;
        if self.is_empty() {
            self.messages.set_len(0)?;
            self.messages.sync_data()?;
            (self.done, self.length) = (0, 0);
        }
        fs::write(&self.done_file, self.done.to_string())
    }
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

fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

#[cfg(test)]
mod tests;
