//! Clients that say little, too much, or come in crowds.

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// A server on a port of its own, until it is dropped.
struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl Server {
    async fn start(head: Duration, bounds: Bounds) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string()));
        let (stop, mut task) = (CancellationToken::new(), JoinSet::new());
        task.spawn(serve(listener, router, Serving { head, bounds, stop: stop.clone() }));
        Self { address, stop, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn end(mut self) {
        self.stop.cancel();
        self.task.join_next().await.unwrap().unwrap();
    }
}

/// More than any test here needs.
fn ample() -> Bounds {
    Bounds::of_open_files(1024, Vec::new())
}

/// What comes until the server closes the connection.
async fn rest(client: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    rest
}

/// What a connection that sends this is answered until it is closed.
async fn answered(sent: &str, head: Duration) -> String {
    let server = Server::start(head, ample()).await;
    let mut client = server.connect().await;
    client.write_all(sent.as_bytes()).await.unwrap();
    let answer = String::from_utf8(rest(&mut client).await).unwrap();
    server.end().await;
    answer
}

#[tokio::test]
async fn a_client_that_says_nothing_or_half_of_a_head_is_cut_off() {
    for sent in ["", "G", "P", "GET / HTTP/1.1\r\nhost: x\r\n"] {
        let answer = answered(sent, Duration::from_millis(50)).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{sent}: {answer}");
    }
}

#[tokio::test]
async fn a_request_is_answered_and_an_idle_connection_closed() {
    // Long enough for the slowest machine to send one line.
    let answer = answered("GET / HTTP/1.1\r\nhost: x\r\n\r\n", Duration::from_secs(5)).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed_although_it_answers_pings() {
    let server = Server::start(Duration::from_millis(50), ample()).await;
    let (mut requests, connection) = hyper::client::conn::http2::handshake::<_, _, Body>(
        TokioExecutor::new(),
        TokioIo::new(server.connect().await),
    )
    .await
    .unwrap();
    let asked = async move {
        let request = Request::get("http://x/").body(Body::empty()).unwrap();
        let status = requests.send_request(request).await.unwrap().status();
        // The handle is kept, so that the client does not close the connection itself.
        (status, requests)
    };
    let (ended, (status, _requests)) = tokio::join!(connection, asked);
    assert_eq!(status, 200);
    assert!(ended.is_ok(), "the server said goodbye: {ended:?}");
    server.end().await;
}

#[tokio::test]
async fn a_crowd_of_silent_connections_makes_room_for_who_asks() {
    let bounds = Bounds { in_all: 2, per_address: 9, proxies: Vec::new() };
    let server = Server::start(Duration::from_mins(1), bounds).await;
    let mut crowd = Vec::new();
    for _ in 0..5 {
        crowd.push(server.connect().await);
    }
    let mut client = server.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(rest(&mut client).await.starts_with(b"HTTP/1.1 200"));
    assert_eq!(rest(&mut crowd[0]).await, b"", "the oldest had to go");
    server.end().await;
}

#[tokio::test]
async fn one_address_does_not_take_every_place() {
    let bounds = Bounds { in_all: 9, per_address: 1, proxies: Vec::new() };
    let server = Server::start(Duration::from_mins(1), bounds).await;
    let mut first = server.connect().await;
    first.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut begin = [0; 12];
    first.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    assert_eq!(rest(&mut server.connect().await).await, b"");
    server.end().await;
}

#[tokio::test]
async fn a_request_that_does_not_say_once_for_which_host_it_is_is_refused() {
    for (hosts, version, status) in [
        ("", "1.1", 400),
        ("host: a\r\nhost: a\r\n", "1.1", 400),
        ("host: a\r\n", "1.1", 200),
        ("host: [::1]:8080\r\n", "1.1", 200),
        ("host: 127.0.0.1:8080\r\n", "1.1", 200),
        ("host:\r\n", "1.1", 400),
        ("host: a b\r\n", "1.1", 400),
        ("host: c@d\r\n", "1.1", 400),
        ("host: a/b\r\n", "1.1", 400),
        ("host: :80\r\n", "1.1", 400),
        ("", "1.0", 200),
    ] {
        let sent = format!("GET / HTTP/{version}\r\n{hosts}connection: close\r\n\r\n");
        let answer = answered(&sent, Duration::from_secs(5)).await;
        assert!(answer.starts_with(&format!("HTTP/{version} {status}")), "{sent:?}: {answer}");
        let is_safe = answer.contains("content-security-policy: ") && answer.contains("x-frame-options: ");
        assert_eq!(is_safe, status == 400, "what is answered without the router too: {answer}");
    }
}
