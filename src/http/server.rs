//! Connections: accepted, bounded in time, and ended with the process.
//!
//! Guarantees: a connection that does not send a whole request head in time is closed, whether it says nothing, says it
//! slowly, or idles between two requests; when the process stops, answers under way are finished.
//! Does not guarantee a bound on the number of connections: that is the operating system's limit of open files.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// How long a client may take to send the head of a request, also of the next one on the same connection.
pub const HEAD: Duration = Duration::from_secs(30);

/// How long a client may leave what it was sent unacknowledged, or take nothing.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// What an HTTP/2 connection begins with.
const HTTP2: &[u8] = b"PRI";

/// How long to wait when the system has no more connections to give.
const EXHAUSTED: Duration = Duration::from_secs(1);

/// Accepts connections until `stop`, then finishes the answers under way.
pub async fn serve(listener: TcpListener, router: Router, (head, stop): (Duration, CancellationToken)) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            (stream, peer) = accept(&listener) => {
                connections.spawn(connection(stream, (router.clone(), peer), (head, stop.clone())));
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "no connection can be accepted");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection to its end. What goes wrong with it concerns nobody else.
async fn connection(
    stream: TcpStream,
    (router, peer): (Router, SocketAddr),
    (head, stop): (Duration, CancellationToken),
) {
    cut_off_the_silent(&stream);
    // What is written goes out at once: an event of a live feed must not wait for the acknowledgement of the one before.
    // Where the system refuses, it is only slower.
    let _refused = stream.set_nodelay(true);
    let mut begin = [0; HTTP2.len()];
    let said = tokio::select! {
        said = tokio::time::timeout(head, stream.peek(&mut begin)) => said,
        () = stop.cancelled() => return,
    };
    let Ok(Ok(1..)) = said else { return };
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(
                router.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {}),
            )
        }
    });
    let stream = TokioIo::new(stream);
    // The two have no trait in common.
    macro_rules! serve_until_stopped {
        ($serving:expr) => {{
            let mut serving = std::pin::pin!($serving);
            let ended = tokio::select! {
                ended = serving.as_mut() => Some(ended),
                () = stop.cancelled() => None,
            };
            if ended.is_none() {
                serving.as_mut().graceful_shutdown();
                let _ended = serving.await;
            }
        }};
    }
    if begin == HTTP2 {
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new()).keep_alive_interval(head).keep_alive_timeout(head);
        serve_until_stopped!(http.serve_connection(stream, service));
    } else {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(head);
        serve_until_stopped!(http.serve_connection(stream, service));
    }
}

/// A client that neither takes nor acknowledges what it is sent is cut off by the kernel; only Linux can.
fn cut_off_the_silent(connection: &TcpStream) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(connection).set_tcp_user_timeout(Some(LONGEST_SILENCE)) {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "a connection has no deadline for its peer"
        );
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (connection, LONGEST_SILENCE);
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// What a connection that sends this is answered until it is closed.
    async fn answered(sent: &str, head: Duration) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string()));
        let stop = CancellationToken::new();
        let mut server = JoinSet::new();
        server.spawn(serve(listener, router, (head, stop.clone())));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        stop.cancel();
        server.join_next().await.unwrap().unwrap();
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
}
