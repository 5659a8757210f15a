//! A file system in memory that can fail or lose its power at any system call, and then has any of the contents that a
//! real one might have.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::super::disk::{Disk, Name};

/// When something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Never,
    /// The system call with this number, from 0, and all that follow do not happen.
    PowerLost(usize),
    /// This one fails: a write half done, everything else not at all. What follows works.
    Fails(usize),
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

#[derive(Debug, Clone, Default)]
struct File {
    on_disk: Vec<u8>,
    pending: Vec<Change>,
}

impl File {
    fn content(&self) -> Vec<u8> {
        self.after(self.pending.len(), None)
    }

    /// With so many of the pending changes, and so many bytes of one more.
    fn after(&self, changes: usize, torn: Option<usize>) -> Vec<u8> {
        let mut content = self.on_disk.clone();
        for change in &self.pending[..changes] {
            apply(&mut content, change);
        }
        if let (Some(bytes), Some(Change::Write(at, data))) = (torn, self.pending.get(changes)) {
            apply(&mut content, &Change::Write(*at, data[..bytes].to_vec()));
        }
        content
    }

    /// Everything that may be left of it.
    fn remains(&self, every_byte: bool) -> Vec<Vec<u8>> {
        let mut remains = Vec::new();
        for changes in 0..=self.pending.len() {
            remains.push(self.after(changes, None));
            if let Some(Change::Write(_, data)) = self.pending.get(changes) {
                let length = data.len();
                let some = [1, 3, 12, 16, length / 2, length.saturating_sub(16), length.saturating_sub(1)];
                let torn: Vec<usize> = if every_byte {
                    (1..length).collect()
                } else {
                    some.into_iter().filter(|&at| at < length).collect()
                };
                remains.extend(torn.into_iter().map(|bytes| self.after(changes, Some(bytes))));
            }
        }
        remains.sort();
        remains.dedup();
        remains
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Cut(length) => content.resize(usize::try_from(*length).unwrap(), 0),
        Change::Write(at, data) => {
            let at = usize::try_from(*at).unwrap();
            content.resize(content.len().max(at + data.len()), 0);
            content[at..at + data.len()].copy_from_slice(data);
        }
    }
}

type Names = BTreeMap<Name, usize>;

/// The file system.
#[derive(Debug, Clone)]
pub(super) struct FakeDisk {
    files: Vec<File>,
    names: Names,
    /// The names as they were at each change since the folder was last on disk, that moment first.
    past_names: Vec<Names>,
    pub(super) calls: usize,
    pub(super) fault: Fault,
}

impl FakeDisk {
    /// With messages as a crash may have left them.
    pub(super) fn holding(messages: Vec<u8>) -> Shared {
        let past_names = if messages.is_empty() { vec![Names::new()] } else { Vec::new() };
        let files = vec![File { on_disk: messages, pending: Vec::new() }];
        let names = Names::from([(Name::Messages, 0)]);
        Rc::new(RefCell::new(Self { files, names, past_names, calls: 0, fault: Fault::Never }))
    }

    pub(super) fn has_lost_power(&self) -> bool {
        matches!(self.fault, Fault::PowerLost(at) if self.calls > at)
    }

    /// Everything that the messages may be after a loss of power at this moment.
    pub(super) fn remains(&self, every_byte: bool) -> Vec<Vec<u8>> {
        let mut remains = Vec::new();
        for names in self.past_names.iter().chain([&self.names]) {
            match names.get(&Name::Messages) {
                Some(&file) => remains.extend(self.files[file].remains(every_byte)),
                None => remains.push(Vec::new()),
            }
        }
        remains.sort();
        remains.dedup();
        remains
    }

    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.fault {
            Fault::PowerLost(at) if self.calls > at => Err(io::ErrorKind::BrokenPipe.into()),
            Fault::Fails(at) if self.calls == at + 1 => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn file(&mut self, name: Name) -> &mut File {
        if !self.names.contains_key(&name) {
            self.files.push(File::default());
            self.past_names.push(self.names.clone());
            self.names.insert(name, self.files.len() - 1);
        }
        &mut self.files[self.names[&name]]
    }

    fn messages(&self) -> Vec<u8> {
        self.files[self.names[&Name::Messages]].content()
    }
}

/// It stays when whoever writes on it ends.
pub(super) type Shared = Rc<RefCell<FakeDisk>>;

impl Disk for Shared {
    fn length(&self) -> io::Result<u64> {
        Ok(self.borrow().messages().len() as u64)
    }

    fn read(&self, from: u64, most: u64) -> io::Result<Vec<u8>> {
        let content = self.borrow().messages().into_iter().skip(usize::try_from(from).unwrap());
        Ok(content.take(usize::try_from(most).unwrap()).collect())
    }

    fn write(&mut self, name: Name, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.borrow_mut();
        let done = disk.call();
        let written = match (&done, disk.fault) {
            (Ok(()), _) => bytes,
            (Err(_), Fault::Fails(_)) => &bytes[..bytes.len() / 2],
            (Err(_), _) => return done,
        };
        disk.file(name).pending.push(Change::Write(at, written.to_vec()));
        done
    }

    fn cut(&mut self, name: Name, length: u64) -> io::Result<()> {
        let mut disk = self.borrow_mut();
        disk.call()?;
        disk.file(name).pending.push(Change::Cut(length));
        Ok(())
    }

    fn sync(&mut self, name: Name) -> io::Result<()> {
        let mut disk = self.borrow_mut();
        disk.call()?;
        let file = disk.file(name);
        (file.on_disk, file.pending) = (file.content(), Vec::new());
        Ok(())
    }

    fn rename(&mut self) -> io::Result<()> {
        let mut disk = self.borrow_mut();
        disk.call()?;
        let before = disk.names.clone();
        disk.past_names.push(before);
        let successor = disk.names.remove(&Name::Successor).unwrap();
        disk.names.insert(Name::Messages, successor);
        Ok(())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        let mut disk = self.borrow_mut();
        disk.call()?;
        disk.past_names.clear();
        Ok(())
    }
}
