//! What the spool asks of a file system, one system call each, so that a test can crash between any two of them.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// The files of one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// What waits.
    Messages,
    /// What is about to take the place of [`Name::Messages`].
    Successor,
}

/// One place on disk. What is written may be lost, in any prefix, until it is synced; what is renamed, until the folder
/// is.
pub(super) trait Disk: Debug {
    /// How long the messages are.
    fn length(&self) -> io::Result<u64>;
    /// Refuses if the messages are no longer at their place: what is written then is gone with this process.
    fn is_in_place(&self) -> io::Result<()> {
        Ok(())
    }
    /// At most `most` bytes of the messages.
    fn read(&self, from: u64, most: u64) -> io::Result<Vec<u8>>;
    fn write(&mut self, name: Name, at: u64, bytes: &[u8]) -> io::Result<()>;
    fn cut(&mut self, name: Name, length: u64) -> io::Result<()>;
    fn sync(&mut self, name: Name) -> io::Result<()>;
    /// The successor becomes the messages.
    fn rename(&mut self) -> io::Result<()>;
    fn sync_folder(&mut self) -> io::Result<()>;
}

/// A folder of the real file system.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    messages: File,
    successor: Option<File>,
}

impl Folder {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let messages = open(&path, Name::Messages)?;
        Ok(Self { path, messages, successor: None })
    }

    pub(super) fn place(&self) -> io::Result<Place> {
        Ok(Place { path: self.path.clone(), messages: identity(&self.messages.metadata()?) })
    }

    fn file(&mut self, name: Name) -> io::Result<&mut File> {
        match name {
            Name::Messages => Ok(&mut self.messages),
            Name::Successor => match &mut self.successor {
                Some(file) => Ok(file),
                none => Ok(none.insert(open(&self.path, name)?)),
            },
        }
    }
}

/// Where messages are kept, and in which file.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    messages: (u64, u64),
}

impl Place {
    /// Refuses if the file there is not the one that is open.
    fn look(&self) -> io::Result<()> {
        if identity(&fs::metadata(self.path.join(file_name(Name::Messages)))?) == self.messages {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "the folder of the spool was removed or replaced"))
    }

    /// The same, and writes a little beside it.
    pub(super) fn probe(&self) -> io::Result<()> {
        self.look()?;
        let path = self.path.join("probe");
        let written = private().create(true).truncate(true).write(true).open(&path);
        let written = written.and_then(|mut file| file.write_all(&vec![0; PROBE_BYTES]));
        let removed = fs::remove_file(&path);
        written.and(removed)
    }
}

/// Some messages.
const PROBE_BYTES: usize = 64 << 10;

/// Which file it is.
fn identity(file: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (file.dev(), file.ino())
}

impl Disk for Folder {
    fn length(&self) -> io::Result<u64> {
        Ok(self.messages.metadata()?.len())
    }

    fn is_in_place(&self) -> io::Result<()> {
        self.place()?.look()
    }

    fn read(&self, from: u64, most: u64) -> io::Result<Vec<u8>> {
        let mut file = &self.messages;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write(&mut self, name: Name, at: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.file(name)?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)
    }

    fn cut(&mut self, name: Name, length: u64) -> io::Result<()> {
        self.file(name)?.set_len(length)
    }

    fn sync(&mut self, name: Name) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn rename(&mut self) -> io::Result<()> {
        let Some(successor) = self.successor.take() else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no successor"));
        };
        fs::rename(self.path.join(file_name(Name::Successor)), self.path.join(file_name(Name::Messages)))?;
        self.messages = successor;
        Ok(())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

fn file_name(name: Name) -> &'static str {
    match name {
        Name::Messages => "messages",
        Name::Successor => "messages.new",
    }
}

fn open(folder: &Path, name: Name) -> io::Result<File> {
    private().create(true).truncate(false).read(true).write(true).open(folder.join(file_name(name)))
}

/// What is heard is nobody else's business.
pub(super) fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}
