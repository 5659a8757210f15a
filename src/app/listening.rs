//! The port of the HTTP interface, and which ports are the relay's own.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::model::own_address::{Listening, OwnAddresses};
use crate::store::{self, api_process};

/// Listens there, or says what to do.
pub(super) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let told = match error.kind() {
            ErrorKind::AddrInUse => format!("another process listens on {address}"),
            _ => format!("cannot listen on {address} ({error})"),
        };
        anyhow::anyhow!("{told}: choose another address with --listen (RELAY_LISTEN)")
    })
}

/// Which addresses are the relay's own, over all its processes.
pub(super) struct Presence {
    pool: PgPool,
    id: Uuid,
    network: String,
    /// Where this process listens, if it does.
    listening: Option<Listening>,
    shown: watch::Sender<OwnAddresses>,
}

/// How often a process says where it listens, and looks where the others do.
const BEAT: Duration = Duration::from_secs(5);

/// How long the tables may take.
const PATIENCE: Duration = Duration::from_secs(5);

impl Presence {
    /// Of a process that listens there, or nowhere.
    pub(super) fn new(pool: PgPool, bound: Option<SocketAddr>) -> Self {
        let (id, network) = (Uuid::now_v7(), network());
        let listening = bound.map(|bound| Listening::new(&network, bound.port(), reached_at(bound.ip())));
        let own = OwnAddresses { network: network.clone(), listening: listening.iter().cloned().collect() };
        Self { pool, id, network, listening, shown: watch::Sender::new(own) }
    }

    /// What is known of them.
    pub(super) fn own(&self) -> watch::Receiver<OwnAddresses> {
        self.shown.subscribe()
    }

    /// Says where this process is and looks where the others are; what was known of them stands while that cannot be asked.
    pub(super) async fn look(&self) {
        let looked = store::within(PATIENCE, async {
            let mut conn = self.pool.acquire().await?;
            if let Some(listening) = &self.listening {
                api_process::beat(&mut conn, self.id, listening).await?;
            }
            api_process::alive(&mut conn).await
        });
        match looked.await {
            Ok(mut listening) => {
                listening.extend(self.listening.clone());
                self.shown.send_replace(OwnAddresses { network: self.network.clone(), listening });
            }
            Err(error) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                "where the relay's processes listen cannot be asked right now"
            ),
        }
    }

    /// Does so until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep(BEAT) => self.look().await,
            }
        }
        // Otherwise its row is old soon.
        let left = async { api_process::leave(&mut *self.pool.acquire().await?, self.id).await };
        let _ = store::within(BEAT, left).await;
        Ok(())
    }
}

/// The network stack of this process: this start of this machine, and the namespace in it, which containers have of their
/// own. Where the system does not tell, no other process is taken to be in the same one.
fn network() -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let namespace = std::fs::read_link("/proc/self/ns/net");
    match (machine, namespace) {
        (Ok(machine), Ok(namespace)) => format!("{} {}", machine.trim(), namespace.display()),
        _ => Uuid::new_v4().to_string(),
    }
}

/// Where a process is reached that listens on this address: there, or, on all of them, from where it would speak.
fn reached_at(ip: IpAddr) -> Vec<IpAddr> {
    if !ip.is_unspecified() {
        return vec![ip];
    }
    // "Connecting" a datagram socket sends nothing; the addresses are those of documents.
    let spoken_from = |any: IpAddr, to: IpAddr| {
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((to, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let v4 = spoken_from(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
    let v6 = spoken_from(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
    v4.into_iter().chain(v6).collect()
}
