//! One file of messages that wait and notes of what is settled, such that every state a crash can leave is a valid one.
//!
//! A note stands in the same file as what it is about, behind it: it cannot outlive it. What is settled gives its space
//! back when nothing waits any more, by one cut, or when it is more than what waits: what waits is written into a second
//! file, without the notes, whose offsets would mean something else there, and that file takes the place of the first.

use std::io;
use std::ops::Range;

use super::disk::{Disk, Name};
use super::record::{self, LONGEST, Read};
use crate::intake::Heard;

/// How much of the file is read at once: any record that begins in the first half of it is whole.
const READ_BYTES: u64 = 2 * (LONGEST as u64 + 64);

/// Settled bytes are not worth a second file before there are so many.
pub(super) const WORTH_A_FILE: u64 = 1 << 20;

/// The file.
#[derive(Debug)]
pub(super) struct Log<D> {
    disk: D,
    /// Everything before is settled.
    settled: u64,
    /// Where the last message ends.
    last: u64,
    length: u64,
    worth_a_file: u64,
    /// Behind `length` there may stand what was refused, or the folder may not be on disk yet.
    is_uncertain: bool,
}

impl<D: Disk> Log<D> {
    /// Reads what an earlier process has left.
    pub(super) fn open(disk: D, worth_a_file: u64) -> io::Result<Self> {
        let length = disk.length()?;
        let mut log = Self { disk, settled: 0, last: 0, length, worth_a_file, is_uncertain: true };
        let mut from = 0;
        while from < length {
            let bytes = log.read(from)?;
            for (read, place) in records(&bytes) {
                let end = from + place.end as u64;
                match read {
                    Read::Message(..) => log.last = end,
                    // A note is of what stands before it.
                    Read::Settled(before, _) if before < end => log.settled = before,
                    _ => {}
                }
            }
            from += passed(&bytes);
        }
        if log.length > 0 && log.bytes() == 0 {
            // A crash came between the last note and the cut.
            log.empty()?;
        }
        Ok(log)
    }

    pub(super) const fn disk(&self) -> &D {
        &self.disk
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> u64 {
        if self.settled >= self.last { 0 } else { self.length - self.settled }
    }

    /// Appends messages and returns when they are on disk: all of them, or none.
    pub(super) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        self.disk.is_in_place()?;
        self.add(records)?;
        self.last = self.length;
        Ok(())
    }

    /// The oldest messages that wait, at most `most`, and where they end. Damaged records are passed over and counted.
    pub(super) fn peek(&mut self, most: usize) -> io::Result<(Vec<Heard>, u64)> {
        let bytes = self.read(self.settled)?;
        let (mut messages, mut end) = (Vec::new(), 0);
        for (read, place) in records(&bytes) {
            if messages.len() >= most {
                break;
            }
            match read {
                Read::Message(heard, _) => messages.push(*heard),
                Read::Damaged(_) => {
                    metrics::counter!("relay_spool_damaged_total").increment(1);
                    tracing::error!(
                        bytes = place.len(),
                        "the spool is damaged; the messages around it are kept"
                    );
                }
                Read::Settled(..) | Read::End => {}
            }
            end = place.end as u64;
        }
        if messages.is_empty() {
            // Nothing but damage, or a torn tail, of which nobody was ever told that it was kept.
            end = passed(&bytes);
        }
        Ok((messages, self.settled + end))
    }

    /// Notes that everything before `end` is settled, except for `again`, which goes to the end. Both, or neither.
    ///
    /// If that cannot be written, what has no `again` counts as settled all the same for as long as this lives: a broken
    /// disk must not have the same messages handed out time and again.
    pub(super) fn settle(&mut self, end: u64, again: &[u8]) -> io::Result<()> {
        if !again.is_empty() {
            let mut records = again.to_vec();
            record::write_settled(end, &mut records);
            let before = self.length;
            self.add(&records)?;
            self.last = before + again.len() as u64;
            self.settled = end;
            self.give_back();
            return Ok(());
        }
        self.settled = end;
        if self.bytes() == 0 {
            return self.empty();
        }
        let mut note = Vec::new();
        record::write_settled(end, &mut note);
        self.add(&note)?;
        self.give_back();
        Ok(())
    }

    fn empty(&mut self) -> io::Result<()> {
        self.be_certain()?;
        self.disk.cut(Name::Messages, 0)?;
        (self.settled, self.last, self.length) = (0, 0, 0);
        self.disk.sync(Name::Messages)
    }

    fn add(&mut self, records: &[u8]) -> io::Result<()> {
        self.be_certain()?;
        let written = self.disk.write(Name::Messages, self.length, records);
        if let Err(error) = written.and_then(|()| self.disk.sync(Name::Messages)) {
            // Cut off what may have been half written, so that the next record does not follow on from it.
            self.is_uncertain = self.disk.cut(Name::Messages, self.length).is_err();
            return Err(error);
        }
        self.length += records.len() as u64;
        Ok(())
    }

    /// Before anything is written: what failed earlier must not come back, neither behind what is written now nor in a
    /// file that this one has replaced.
    fn be_certain(&mut self) -> io::Result<()> {
        if self.is_uncertain {
            self.disk.cut(Name::Messages, self.length)?;
            self.disk.sync_folder()?;
            self.is_uncertain = false;
        }
        Ok(())
    }

    /// Gives the space of what is settled back, if it is worth it. If that fails, the old file stands.
    fn give_back(&mut self) {
        if self.settled < self.worth_a_file || self.settled < self.length - self.settled {
            return;
        }
        if let Err(error) = self.succeed() {
            tracing::warn!(error = &error as &dyn std::error::Error, "the spool cannot give space back");
        }
    }

    /// Writes what waits into a second file, which takes the place of the first.
    fn succeed(&mut self) -> io::Result<()> {
        self.disk.cut(Name::Successor, 0)?;
        let (mut from, mut length) = (self.settled, 0);
        while from < self.length {
            let bytes = self.read(from)?;
            let mut messages = Vec::new();
            for (read, place) in records(&bytes) {
                if matches!(read, Read::Message(..)) {
                    messages.extend_from_slice(&bytes[place]);
                }
            }
            self.disk.write(Name::Successor, length, &messages)?;
            length += messages.len() as u64;
            from += passed(&bytes);
        }
        self.disk.sync(Name::Successor)?;
        // Until the folder is on disk, a crash brings the old file back.
        self.is_uncertain = true;
        self.disk.rename()?;
        (self.settled, self.last, self.length) = (0, length, length);
        self.disk.sync_folder()?;
        self.is_uncertain = false;
        Ok(())
    }

    fn read(&self, from: u64) -> io::Result<Vec<u8>> {
        let bytes = self.disk.read(from, READ_BYTES.min(self.length - from))?;
        if bytes.is_empty() && from < self.length {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the spool's file was cut by somebody else",
            ));
        }
        Ok(bytes)
    }
}

/// The records of what was read, and where each stands.
fn records(bytes: &[u8]) -> impl Iterator<Item = (Read, Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (read, from) = (record::read(bytes, at), at);
        at = match read {
            Read::Message(_, next) | Read::Settled(_, next) | Read::Damaged(next) => next,
            Read::End => return None,
        };
        Some((read, from..at))
    })
}

/// How much of what was read needs no second look. What begins in the second half may not be whole.
fn passed(bytes: &[u8]) -> u64 {
    if (bytes.len() as u64) < READ_BYTES {
        return bytes.len() as u64;
    }
    let ends = records(bytes).map(|(_, place)| place.end);
    (ends.last().unwrap_or_default() as u64).max(READ_BYTES / 2)
}
