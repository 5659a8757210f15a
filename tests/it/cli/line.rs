//! A line between the program and a relay that a test cuts and mends.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::soon::soon;

/// Passes bytes on while it is whole; cut, it drops every connection and takes none.
pub(super) struct Line {
    pub(super) url: String,
    whole: watch::Sender<bool>,
    passed: watch::Receiver<u64>,
    _tasks: JoinSet<()>,
}

impl Line {
    pub(super) async fn to(relay: &str) -> Self {
        let relay: SocketAddr = relay.trim_start_matches("http://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (whole, passed) = (watch::Sender::new(true), watch::Sender::new(0));
        let (state, counted) = (whole.subscribe(), passed.subscribe());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                if *state.borrow() {
                    connections.spawn(pass(client, relay, (state.clone(), passed.clone())));
                }
            }
        });
        Self { url, whole, passed: counted, _tasks: tasks }
    }

    /// Waits until the relay has answered something more than `before`; how much by now.
    pub(super) async fn answered(&mut self, before: u64) -> u64 {
        *soon(self.passed.wait_for(|&passed| passed > before)).await.unwrap()
    }

    pub(super) fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub(super) fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn pass(
    mut client: TcpStream,
    relay: SocketAddr,
    (mut whole, passed): (watch::Receiver<bool>, watch::Sender<u64>),
) {
    let mut relay = TcpStream::connect(relay).await.unwrap();
    let (mut asked, mut answered) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            () = async { drop(whole.wait_for(|whole| !whole).await) } => return,
            read = client.read(&mut asked) => match read {
                Ok(length) if length > 0 => relay.write_all(&asked[..length]).await.unwrap(),
                _ => return,
            },
            read = relay.read(&mut answered) => match read {
                Ok(length) if length > 0 => {
                    if client.write_all(&answered[..length]).await.is_err() {
                        return;
                    }
                    passed.send_modify(|passed| *passed += length as u64);
                }
                _ => return,
            },
        }
    }
}
