//! The client against a real WebSocket server on the loopback interface. Nothing sleeps: each step waits for what the
//! client sends or tells.

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
use crate::pusher::frame::{Data, subscribe};
use crate::pusher::{Reason, State};

const GREETING: &str =
    r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\",\"activity_timeout\":120}"}"#;

/// A server, what the client told, and the levers of the test.
struct Bench {
    listener: TcpListener,
    told: mpsc::UnboundedReceiver<Notice>,
    wanted: watch::Sender<Arc<BTreeSet<Channel>>>,
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

fn set(names: &[&str]) -> Arc<BTreeSet<Channel>> {
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

#[tokio::test]
async fn from_the_first_connection_to_the_last_goodbye() {
    with_client(quick(), &["A"], async |mut bench| {
        let mut peer = bench.serving("A").await;
        peer.send(event("one")).await.unwrap();
        assert_eq!(data(bench.told().await), Data::Text("one".to_owned()));
        bench.wanted.send_replace(set(&["A", "B"]));
        assert_eq!(heard(&mut peer).await, Message::text(subscribe(&"B".parse().unwrap())));
        bench.stop.cancel();
        let Message::Close(Some(close)) = heard(&mut peer).await else { panic!("no close") };
        assert_eq!(u16::from(close.code), 1000);
        assert!(peer.next().await.is_none(), "the connection ends");
        assert!(matches!(bench.told().await, Notice::Lost { reason: Reason::Stopped, .. }));
        assert_eq!(bench.told().await, Notice::State(State::Stopped));
        assert_eq!(bench.told.recv().await, None);
    })
    .await;
}

#[tokio::test]
async fn the_request_names_app_protocol_client_and_version() {
    with_client(quick(), &[], async |bench| {
        let (mut tcp, _) = bench.listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = tcp.read(&mut request).await.unwrap();
        let request = String::from_utf8(request[..length].to_vec()).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let line =
            format!("GET /app/KEY?protocol=7&client=rust-transak-relay&version={version} HTTP/1.1\r\n");
        assert!(request.starts_with(&line), "{request}");
        bench.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn a_websocket_ping_is_answered_with_its_own_payload() {
    with_client(quick(), &["A"], async |mut bench| {
        let mut peer = bench.serving("A").await;
        peer.send(Message::Ping(Bytes::from_static(b"are you there"))).await.unwrap();
        assert_eq!(heard(&mut peer).await, Message::Pong(Bytes::from_static(b"are you there")));
        bench.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_read_is_handed_over_and_the_connection_stays() {
    with_client(quick(), &["A"], async |mut bench| {
        let mut peer = bench.serving("A").await;
        let not_utf8 = Frame::message(Bytes::from_static(b"\xff{}"), OpCode::Data(OpData::Text), true);
        let long = [b'x'; 5000];
        peer.send(Message::Frame(not_utf8)).await.unwrap();
        peer.send(Message::binary(&b"{\"event\":\"E\",\"channel\":\"A\"}"[..])).await.unwrap();
        peer.send(Message::text(String::from_utf8(long.to_vec()).unwrap())).await.unwrap();
        peer.send(Message::text("not JSON")).await.unwrap();
        peer.send(event("still here")).await.unwrap();
        for expected in [&b"\xff{}"[..], b"{\"event\":\"E\",\"channel\":\"A\"}", &long[..1000], b"not JSON"] {
            let Notice::Unreadable { raw, .. } = bench.told().await else { panic!("not unreadable") };
            assert_eq!(raw, expected);
        }
        assert_eq!(data(bench.told().await), Data::Text("still here".to_owned()));
        bench.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn a_lost_connection_is_replaced_and_subscribed_anew() {
    with_client(quick(), &["A"], async |mut bench| {
        drop(bench.serving("A").await);
        assert!(matches!(bench.told().await, Notice::Lost { reason: Reason::Dropped, .. }));
        assert!(matches!(bench.told().await, Notice::State(State::BackingOff { .. })));
        let mut peer = bench.serving("A").await;
        peer.close(Some(CloseFrame { code: 4200.into(), reason: "deploy".into() })).await.unwrap();
        assert!(matches!(bench.told().await, Notice::Lost { reason: Reason::Code(4200), .. }));
        let mut peer = bench.serving("A").await;
        peer.send(event("back")).await.unwrap();
        assert_eq!(data(bench.until(is_event).await), Data::Text("back".to_owned()));
        bench.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn an_error_before_a_bare_drop_is_believed_and_a_later_probe_heals_it() {
    with_client(quick(), &["A"], async |mut bench| {
        let mut peer = bench.serving("A").await;
        peer.send(Message::text(r#"{"event":"pusher:error","data":{"code":4003,"message":"off"}}"#))
            .await
            .unwrap();
        drop(peer);
        bench.until(|notice| matches!(notice, Notice::State(State::Fatal { code: 4003, .. }))).await;
        let _peer = bench.peer().await.send(Message::text(GREETING)).await;
        assert!(matches!(bench.told().await, Notice::State(State::Connected { .. })), "fatal until greeted");
        bench.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn a_server_that_demands_tls_gets_it() {
    with_client(quick(), &[], async |bench| {
        let mut peer = bench.peer().await;
        peer.close(Some(CloseFrame { code: 4000.into(), reason: "TLS only".into() })).await.unwrap();
        let (mut tcp, _) = bench.listener.accept().await.unwrap();
        assert_eq!(tcp.read_u8().await.unwrap(), 22, "a TLS handshake record");
        bench.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn a_refused_upgrade_is_backed_off_from() {
    with_client(quick(), &[], async |mut bench| {
        let (mut tcp, _) = bench.listener.accept().await.unwrap();
        tcp.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let down = |notice: &Notice| {
            matches!(notice, Notice::State(State::BackingOff { reason: Reason::NotConnected, .. }))
        };
        bench.until(down).await;
        bench.peer().await;
        bench.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_read_is_still_heard() {
    let names: Vec<_> = (0..15_000).map(|n| format!("{n:0>160}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).chain(["A"]).collect();
    let timing = Timing { burst: usize::MAX, ..quick() };
    with_client(timing, &names, async |mut bench| {
        let mut peer = bench.peer().await;
        peer.send(Message::text(GREETING)).await.unwrap();
        bench.until(|notice| matches!(notice, Notice::State(State::Connected { .. }))).await;
        for n in 0..1000 {
            peer.send(event(&n.to_string())).await.unwrap();
        }
        for n in 0..1000 {
            assert_eq!(data(bench.told().await), Data::Text(n.to_string()));
        }
        bench.stop.cancel();
        drop(peer);
    })
    .await;
}

#[tokio::test]
async fn stopping_hears_the_server_out_but_does_not_wait_for_it_for_ever() {
    with_client(quick(), &["A"], async |mut bench| {
        let mut peer = bench.serving("A").await;
        bench.stop.cancel();
        peer.get_ref().readable().await.unwrap();
        peer.send(event("last words")).await.unwrap();
        assert_eq!(data(bench.told().await), Data::Text("last words".to_owned()));
        bench.until(|notice| *notice == Notice::State(State::Stopped)).await;
    })
    .await;
}

#[tokio::test]
async fn what_arrives_and_what_is_lost_is_counted_under_a_fixed_set_of_labels() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _installed = metrics::set_default_local_recorder(&recorder);
    with_client(quick(), &["A"], async |mut bench| {
        let mut peer = bench.serving("A").await;
        for text in
            ["not JSON", r#"{"event":"no-one-knows-me","channel":"A"}"#, r#"{"event":"E","channel":"B"}"#]
        {
            peer.send(Message::text(text)).await.unwrap();
        }
        peer.send(event("d")).await.unwrap();
        bench.until(|notice| data_is(notice, "d")).await;
        drop(peer);
        bench.serving("A").await;
        bench.stop.cancel();
    })
    .await;
    let counted = recorder.handle().render();
    for line in [
        r#"relay_stream_frames_total{kind="connection_established"} 2"#,
        r#"relay_stream_frames_total{kind="unreadable"} 1"#,
        r#"relay_stream_frames_total{kind="other"} 1"#,
        r#"relay_stream_frames_total{kind="not_subscribed"} 1"#,
        r#"relay_stream_frames_total{kind="ORDER_CREATED"} 1"#,
        r#"relay_stream_reconnects_total{reason="dropped"} 1"#,
        "relay_stream_unreadable_frames_total 1",
    ] {
        assert!(counted.contains(line), "{line} in {counted}");
    }
    assert!(!counted.contains("no-one"), "{counted}");
}

#[tokio::test]
async fn a_url_of_another_kind_is_an_error_at_the_start() {
    for base in ["https://ws-ap2.pusher.com", "mailto:a@b"] {
        let settings = Settings::new(Url::parse(base).unwrap(), "KEY");
        let (_wanted, receiver) = watch::channel(set(&[]));
        assert!(run(settings, receiver, |_| (), CancellationToken::new()).await.is_err(), "{base}");
    }
}
