//! Connections: accepted, bounded in number and time, and ended with the process.
//!
//! Guarantees: a connection that does not send a whole request head in time is closed, whether it says nothing, says it
//! slowly, or idles between two requests, over HTTP/2 too; there are never more than [`Bounds`] say; when the process stops,
//! answers under way are finished.

mod bounds;
mod quiet;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Request, Response, Version, header};
use axum::response::IntoResponse as _;
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

pub use self::bounds::Bounds;
use self::bounds::{Place, Places};
use self::quiet::{Answers, Held};
use super::problem::Problem;
use super::safety::tell_browsers;
use crate::model::fault::Fault;

/// How long a client may take to send the head of a request, also of the next one on the same connection.
pub const HEAD: Duration = Duration::from_secs(30);

/// How long a client may leave what it was sent unacknowledged, or take nothing.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// What an HTTP/2 connection begins with.
const HTTP2: &[u8] = b"PRI";

/// How long to wait when the system has no more connections to give.
const EXHAUSTED: Duration = Duration::from_secs(1);

/// How connections are served.
#[derive(Debug, Clone)]
pub struct Serving {
    /// How long a client may take to send the head of a request, or be without one.
    pub head: Duration,
    /// How many connections there may be.
    pub bounds: Bounds,
    /// Ends it all.
    pub stop: CancellationToken,
}

/// Accepts connections until told to stop, then finishes the answers under way.
pub async fn serve(listener: TcpListener, router: Router, serving: Serving) {
    let mut connections = JoinSet::new();
    let places = Places::new(serving.bounds);
    let (head, stop) = (serving.head, serving.stop);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            (stream, peer) = accept(&listener) => match places.take(peer.ip()) {
                Some(place) => {
                    let caller = Caller { peer, place: Arc::new(place) };
                    connections.spawn(connection(stream, (router.clone(), caller), (head, stop.clone())));
                }
                // Closed at once: there is no room to say why.
                None => metrics::counter!("relay_http_connections_refused_total").increment(1),
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Who is at the other end of a connection, and the place it has.
#[derive(Debug, Clone)]
struct Caller {
    peer: SocketAddr,
    place: Arc<Place>,
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut failing = Fault::default();
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                if failing.is(error.to_string()) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "no connection can be accepted"
                    );
                }
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
    (router, caller): (Router, Caller),
    (head, stop): (Duration, CancellationToken),
) {
    cut_off_the_silent(&stream);
    // What is written goes out at once: an event of a live feed must not wait for the acknowledgement of the one before.
    // Where the system refuses, it is only slower.
    let _refused = stream.set_nodelay(true);
    let unwanted = caller.place.unwanted.clone();
    let serving = async {
        let mut begin = [0; HTTP2.len()];
        let said = tokio::select! {
            said = tokio::time::timeout(head, stream.peek(&mut begin)) => said,
            () = stop.cancelled() => return,
        };
        match said {
            Ok(Ok(1..)) if begin == HTTP2 => serve_http2(stream, (router, caller), (head, stop)).await,
            Ok(Ok(1..)) => serve_http1(stream, (router, caller), (head, stop)).await,
            _ => {}
        }
    };
    tokio::select! {
        () = serving => {}
        () = unwanted.cancelled() => {}
    }
}

/// Answers a request. One that does not say once for whom it is may be read as another's by somebody on the way: RFC 9112,
/// section 3.2.
async fn answer(mut request: Request<Incoming>, (router, caller): (Router, Caller)) -> Response<Body> {
    caller.place.has_asked();
    let hosts: Vec<_> = request.headers().get_all(header::HOST).iter().collect();
    let wrong = match hosts[..] {
        [] if request.version() == Version::HTTP_11 => Some("must be given once"),
        [] => None,
        [host] if is_host(host) => None,
        [_] => Some("must be a name or an address, with a port or without"),
        _ => Some("must be given once"),
    };
    if let Some(wrong) = wrong {
        return tell_browsers(Problem::parameter("host", wrong).into_response()).await;
    }
    request.extensions_mut().insert(ConnectInfo(caller.peer));
    router.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {})
}

/// The two kinds of connection of hyper have no trait in common that is public, and `hyper_util`'s server, which hides
/// the difference, has no deadline for the first head: <https://github.com/hyperium/hyper/issues/3962>.
macro_rules! serve_until {
    ($end:expr, $serving:expr) => {{
        let mut serving = std::pin::pin!($serving);
        let ended = tokio::select! {
            ended = serving.as_mut() => Some(ended),
            () = $end => None,
        };
        if ended.is_none() {
            serving.as_mut().graceful_shutdown();
            let _ended = serving.await;
        }
    }};
}

/// A host and perhaps a port, and nobody's name before it.
fn is_host(value: &HeaderValue) -> bool {
    let authority = value.to_str().ok().and_then(|text| text.parse::<Authority>().ok());
    authority.is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
}

async fn serve_http1(stream: TcpStream, to: (Router, Caller), (head, stop): (Duration, CancellationToken)) {
    let service = service_fn(move |request| answer(request, to.clone()).map(Ok::<_, Infallible>));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head);
    serve_until!(stop.cancelled(), http.serve_connection(TokioIo::new(stream), service));
}

async fn serve_http2(stream: TcpStream, to: (Router, Caller), (head, stop): (Duration, CancellationToken)) {
    let answers = Answers::none();
    let under_way = answers.clone();
    let service = service_fn(move |request| {
        let (to, under_way) = (to.clone(), under_way.begin());
        async move {
            let counted = |body| Body::new(Held { body, _answer: under_way });
            Ok::<_, Infallible>(answer(request, to).await.map(counted))
        }
    });
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new()).keep_alive_interval(head).keep_alive_timeout(head);
    let end = async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = answers.quiet(head) => {}
        }
    };
    serve_until!(end, http.serve_connection(TokioIo::new(stream), service));
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
mod tests;
