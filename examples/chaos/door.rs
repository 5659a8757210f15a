//! The way to Postgres: it can be shut, and it can fall silent, which nobody is told.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Clones are of the same door.
#[derive(Clone, Default)]
pub(crate) struct Door(Arc<Inner>);

#[derive(Default)]
struct Inner {
    port: Mutex<Option<u16>>,
    silences: AtomicUsize,
    swallows_all: AtomicBool,
}

impl Door {
    pub(crate) fn to(port: Option<u16>) -> Self {
        let door = Self::default();
        door.open(port);
        door
    }

    pub(crate) fn open(&self, port: Option<u16>) {
        *self.0.port.lock().expect("no panic") = port;
    }

    pub(crate) fn shut(&self) {
        self.open(None);
    }

    /// What goes over connections, those that there are and those that are made, is swallowed without a word.
    pub(crate) fn fall_silent(&self) {
        self.0.silences.fetch_add(1, Ordering::AcqRel);
        self.0.swallows_all.store(true, Ordering::Release);
    }

    /// New connections work. Those that there are stay silent.
    pub(crate) fn let_new_ones_through(&self) {
        self.0.silences.fetch_add(1, Ordering::AcqRel);
        self.0.swallows_all.store(false, Ordering::Release);
    }

    /// Lets connections through while the door is open. Answers where; `falls_silent`: also when it does.
    pub(crate) async fn keep(self, tasks: &mut JoinSet<()>, falls_silent: bool) -> anyhow::Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tasks.spawn(async move {
            let mut guests = JoinSet::new();
            while let Ok((guest, _)) = listener.accept().await {
                let Some(port) = *self.0.port.lock().expect("no panic") else { continue };
                guests.spawn(self.clone().carry(guest, port, falls_silent));
            }
        });
        Ok(port)
    }

    /// Ends when either side does.
    async fn carry(self, mut guest: TcpStream, port: u16, falls_silent: bool) {
        let began = self.0.silences.load(Ordering::Acquire);
        let Ok(mut host) = TcpStream::connect(("127.0.0.1", port)).await else { return };
        let (mut there, mut back) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        loop {
            let (count, bytes, to) = tokio::select! {
                read = guest.read(&mut there) => (read, &there, &mut host),
                read = host.read(&mut back) => (read, &back, &mut guest),
            };
            let silent = self.0.swallows_all.load(Ordering::Acquire)
                || self.0.silences.load(Ordering::Acquire) != began;
            match count {
                Ok(1..) if falls_silent && silent => {}
                // One side has ended and the other shall not hear of it.
                Ok(0) | Err(_) if falls_silent && silent => std::future::pending().await,
                Ok(count @ 1..) if to.write_all(&bytes[..count]).await.is_ok() => {}
                _ => return,
            }
        }
    }
}
