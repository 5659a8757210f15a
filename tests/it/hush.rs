//! A path to Postgres that can fall silent: what goes over it is swallowed, and neither side is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The path. It ends when this is dropped.
pub(crate) struct Hush {
    address: SocketAddr,
    silences: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Hush {
    pub(crate) async fn before(options: &PgConnectOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (server, silences) = ((options.get_host().to_owned(), options.get_port()), Arc::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, Arc::clone(&silences)));
        Self { address, silences, _tasks: tasks }
    }

    pub(crate) fn options(&self, options: &PgConnectOptions) -> PgConnectOptions {
        options.clone().host("127.0.0.1").port(self.address.port())
    }

    /// The connections that there are fall silent; new ones do not.
    pub(crate) fn fall_silent(&self) {
        self.silences.fetch_add(1, Ordering::AcqRel);
    }
}

async fn accept(listener: TcpListener, server: (String, u16), silences: Arc<AtomicUsize>) {
    let mut guests = JoinSet::new();
    while let Ok((guest, _)) = listener.accept().await {
        guests.spawn(carry(guest, server.clone(), Arc::clone(&silences)));
    }
}

async fn carry(mut guest: TcpStream, server: (String, u16), silences: Arc<AtomicUsize>) {
    let began = silences.load(Ordering::Acquire);
    let Ok(mut host) = TcpStream::connect((server.0.as_str(), server.1)).await else { return };
    let (mut there, mut back) = ([0; 8192], [0; 8192]);
    loop {
        let (count, bytes, to) = tokio::select! {
            read = guest.read(&mut there) => (read, &there, &mut host),
            read = host.read(&mut back) => (read, &back, &mut guest),
        };
        let Some(count) = count.ok().filter(|count| *count > 0) else { return };
        if silences.load(Ordering::Acquire) == began && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
