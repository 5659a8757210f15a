//! The client against a real WebSocket server on the loopback interface. Nothing sleeps: each step waits for what the
//! client sends or tells.

mod life;
mod oddities;

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data as OpData, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::*;
use crate::pusher::frame::{Data, PING, PONG, subscribe};
use crate::pusher::{Reason, State};

const GREETING: &str =
    r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\",\"activity_timeout\":120}"}"#;

/// A server, what the client told, and the levers of the test.
struct Bench {
    listener: TcpListener,
    told: mpsc::UnboundedReceiver<Notice>,
    wanted: watch::Sender<Arc<Channels>>,
    stop: CancellationToken,
}

type Peer = WebSocketStream<TcpStream>;

fn quick() -> Timing {
    Timing {
        backoff_floor: Duration::from_millis(1),
        backoff_ceiling: Duration::from_millis(2),
        fatal_probe: Duration::from_millis(3),
        close: Duration::from_millis(200),
        ..Timing::default()
    }
}

fn set(names: &[&str]) -> Arc<Channels> {
    Arc::new(names.iter().map(|name| name.parse().unwrap()).collect())
}

/// Runs the client and the script side by side until both are done.
async fn with_client<F: Future<Output = ()>>(
    timing: Timing,
    names: &[&str],
    script: impl FnOnce(Bench) -> F,
) {
    let socket = TcpSocket::new_v4().unwrap();
    // Small, so that a server that does not read is noticed soon.
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(16).unwrap();
    let base = Url::parse(&format!("ws://{}", listener.local_addr().unwrap())).unwrap();
    let (sink, told) = mpsc::unbounded_channel();
    let (wanted, receiver) = watch::channel(set(names));
    let stop = CancellationToken::new();
    let settings = Settings { timing, max_message_bytes: 1000, ..Settings::new(base, "KEY") };
    let client = run(settings, receiver, move |notice| drop(sink.send(notice)), stop.clone());
    let both = async { tokio::join!(client, script(Bench { listener, told, wanted, stop })) };
    let (ended, ()) = timeout(Duration::from_secs(30), both).await.expect("client and script come to an end");
    ended.unwrap();
}

impl Bench {
    async fn peer(&self) -> Peer {
        let (tcp, _) = self.listener.accept().await.unwrap();
        accept_async(tcp).await.unwrap()
    }

    /// A peer that has greeted and confirmed one channel.
    async fn serving(&mut self, name: &str) -> Peer {
        let mut peer = self.peer().await;
        peer.send(Message::text(GREETING)).await.unwrap();
        assert_eq!(heard(&mut peer).await, Message::text(subscribe(&name.parse().unwrap())));
        let confirmed = r#"{"event":"pusher_internal:subscription_succeeded","data":"{}","channel":"#;
        peer.send(Message::text(format!(r#"{confirmed}"{name}"}}"#))).await.unwrap();
        self.until(|notice| matches!(notice, Notice::Confirmed { .. })).await;
        peer
    }

    async fn told(&mut self) -> Notice {
        self.told.recv().await.expect("the client tells something")
    }

    async fn until(&mut self, wanted: impl Fn(&Notice) -> bool) -> Notice {
        loop {
            let notice = self.told().await;
            if wanted(&notice) {
                return notice;
            }
        }
    }
}

async fn heard(peer: &mut Peer) -> Message {
    peer.next().await.expect("the client is there").expect("and makes sense")
}

fn event(data: &str) -> Message {
    Message::text(format!(r#"{{"event":"ORDER_CREATED","channel":"A","data":"{data}"}}"#))
}

fn data(notice: Notice) -> Data {
    match notice {
        Notice::Event { data, .. } => data,
        other => panic!("not an event: {other:?}"),
    }
}

fn data_is(notice: &Notice, expected: &str) -> bool {
    matches!(notice, Notice::Event { data, .. } if data.as_str() == expected)
}

fn is_event(notice: &Notice) -> bool {
    matches!(notice, Notice::Event { .. })
}
