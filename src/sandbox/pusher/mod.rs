//! A Pusher Channels server (protocol 7) for one app, small but true to the wire, with an in-process publish call.
//!
//! Guarantees: public channels by name; the handshake, error and close codes of Pusher's protocol documentation; an
//! event reaches every connection subscribed when it is published, in the order published. Told to, it breaks each of
//! these ([`Misbehaviour`], [`Garbage`]).
//! Does not do: private, presence and cache channels, client events, history (Pusher has none either), TLS.

mod hub;
mod misbehaviour;
mod session;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use hub::Counts;
use hub::Order;
pub use misbehaviour::{Garbage, Misbehaviour};
use session::Shared;

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The only app it knows.
    pub app_key: String,
    /// What clients are told as `activity_timeout` (whole seconds go over the wire).
    pub activity_timeout: Duration,
}

impl Settings {
    /// The activity timeout the real service announces.
    pub const ACTIVITY_TIMEOUT: Duration = Duration::from_mins(2);

    /// A server on a free port of 127.0.0.1 for this app.
    pub fn local(app_key: &str) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            app_key: app_key.to_owned(),
            activity_timeout: Self::ACTIVITY_TIMEOUT,
        }
    }
}

/// A running server. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub async fn start(settings: Settings) -> std::io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let addr = listener.local_addr()?;
        let Settings { app_key, activity_timeout, .. } = settings;
        let shared = Arc::new(Shared { hub: hub::Hub::default(), app_key, activity_timeout });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { addr, shared, tasks })
    }

    /// The address it listens on.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What stands in for `wss://ws-<cluster>.pusher.com`.
    pub fn url(&self) -> String {
        format!("ws://{}", self.addr)
    }

    /// Sends an event to all who are subscribed to `channel`; answers how many they are. `data` goes out as it is.
    pub fn publish(&self, channel: &str, event: &str, data: &str) -> usize {
        self.shared.hub.publish(channel, &wire::event(event, channel, data))
    }

    /// From the next connection on, be like this.
    pub fn misbehave(&self, how: Misbehaviour) {
        self.shared.hub.misbehave(how, None);
    }

    /// Be like this for the next `connections` connections only.
    pub fn misbehave_for(&self, connections: u32, how: Misbehaviour) {
        self.shared.hub.misbehave(how, Some(connections));
    }

    /// Sends a bad frame on every open connection; answers how many they are.
    pub fn send_garbage(&self, garbage: Garbage) -> usize {
        self.shared.hub.tell_all(&Order::Raw(garbage.frame()))
    }

    /// Closes every open connection: with this code, or, without one, by dropping the TCP connection.
    pub fn disconnect(&self, code: Option<u16>) -> usize {
        self.shared.hub.tell_all(&code.map_or(Order::Drop, Order::Close))
    }

    /// From now on the connection that has been open longest is dead air: it hears no event and is answered nothing.
    /// `false` if there is none.
    pub fn mute_oldest(&self) -> bool {
        self.shared.hub.tell_oldest(&Order::Mute)
    }

    /// What was counted; changes can be waited for.
    pub fn counts(&self) -> watch::Receiver<Counts> {
        self.shared.hub.counts()
    }

    /// Waits until `listeners` connections are subscribed to `channel`.
    pub async fn subscribed(&self, channel: &str, listeners: usize) {
        let mut counts = self.counts();
        // Ends only with the server, which we hold.
        let _counts = counts.wait_for(|_| self.shared.hub.listeners(channel) >= listeners).await;
    }

    /// Cuts every connection and frees the address.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut id = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    id += 1;
                    shared.hub.count(|counts| counts.connects += 1);
                    let _ = stream.set_nodelay(true);
                    connections.spawn(session::serve(stream, id, Arc::clone(&shared)));
                }
                // Out of file descriptors, say: others may end meanwhile.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

#[cfg(test)]
mod tests;
