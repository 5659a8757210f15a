//! One HTTP/1.1 connection to a receiver, and one request over it.
//!
//! Whoever uses the connection drives it: there is no task behind it, so an attempt that is given up closes its socket at
//! once and nothing is left running.

use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};

use super::connector::Stream;
use super::outcome::{BODY_READ, SendError, Stage};
use super::progress::Progress;
use super::stopwatch::{Stopwatch, Watched};
use super::tls::fault;

/// Most bytes of a response head, and of what is buffered of a body.
const MAX_BUFFER: usize = 64 * 1024;
/// Most headers of a response. What fits the buffer can have more only if its lines are next to empty.
const MAX_HEADERS: usize = 1_000;
/// Most interim answers before the answer. A receiver needs one at most; a stream of them costs the relay its CPU until
/// the deadline.
const MAX_INTERIM: usize = 16;
/// Longest wait for the body once the head is there. The status has decided by then, and what drips on holds a place that
/// other callbacks need: without a bound of its own, every 2xx could hold one until the total deadline.
pub(super) const MAX_BODY_TIME: Duration = Duration::from_secs(3);

pub(super) struct Connection {
    requests: http1::SendRequest<Full<Bytes>>,
    wire: Wire,
    watch: Stopwatch,
    pub(super) remote: IpAddr,
    pub(super) opened: Instant,
}

impl Connection {
    /// Gets ready to speak HTTP/1.1 over a stream. Nothing is sent yet.
    pub(super) async fn open(stream: Box<dyn Stream>, remote: IpAddr) -> Result<Self, SendError> {
        let mut http = http1::Builder::new();
        // Receivers are as they are: a folded line, a space before a colon or one line that is no header does not turn the
        // status that came with it into a failure. What such a line says is not used for anything.
        http.max_buf_size(MAX_BUFFER)
            .max_headers(MAX_HEADERS)
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .ignore_invalid_headers_in_responses(true);
        let watch = Stopwatch::default();
        let stream = TokioIo::new(Watched::new(stream, watch.clone()));
        let (requests, wire) = http.handshake(stream).await.map_err(|_| SendError::Protocol)?;
        Ok(Self { requests, wire: Wire(Some(Box::pin(wire))), watch, remote, opened: Instant::now() })
    }

    /// Whether another request can be sent. Reads what has come meanwhile: an end, or bytes nobody asked for.
    pub(super) fn is_reusable(&mut self) -> bool {
        self.wire.poll(&mut Context::from_waker(Waker::noop()));
        self.wire.0.is_some() && self.requests.is_ready() && !self.watch.is_mended()
    }

    /// Sends a request and reads the answer into `progress`. An error means that there is no status.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        progress: &mut Progress,
    ) -> Result<(), SendError> {
        progress.stage = Stage::Answer;
        progress.remote(self.remote);
        self.watch.reset();
        let (interim, request) = counting_interim(request);
        let answer = self.requests.send_request(request);
        let response = self.wire.drive(bounded(answer, &interim)).await?;
        progress.head(&response, self.watch.first_byte());
        self.read(response, progress).await;
        Ok(())
    }

    /// Reads what comes of the body in its time. What is not over by then costs the receiver its connection.
    async fn read(&mut self, response: Response<Incoming>, progress: &mut Progress) {
        if timeout(MAX_BODY_TIME, self.read_body(response.into_body(), progress)).await.is_err() {
            self.wire.close();
        }
    }

    /// Reads the body until it ends, breaks off or is too long. An unfinished body leaves the connection unusable.
    async fn read_body(&mut self, mut body: Incoming, progress: &mut Progress) {
        let mut read = 0;
        while read <= BODY_READ {
            match self.wire.drive(body.frame()).await {
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        read += bytes.len();
                        progress.body(bytes);
                    }
                }
                Some(Err(_)) => return,
                None => return progress.body_end(read),
            }
        }
    }
}

/// The request, and how many interim answers (1xx) have come to it.
fn counting_interim(mut request: Request<Full<Bytes>>) -> (Arc<AtomicUsize>, Request<Full<Bytes>>) {
    let interim = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&interim);
    hyper::ext::on_informational(&mut request, move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    (interim, request)
}

/// The answer, unless too much comes before it: hyper reads interim answers for as long as there are any.
async fn bounded<B>(
    answer: impl Future<Output = hyper::Result<Response<B>>>,
    interim: &AtomicUsize,
) -> Result<Response<B>, SendError> {
    let mut answer = pin!(answer);
    poll_fn(|cx| {
        if interim.load(Ordering::Relaxed) > MAX_INTERIM {
            return Poll::Ready(Err(SendError::Protocol));
        }
        answer.as_mut().poll(cx).map_err(|error| classify(&error))
    })
    .await
}

/// The part of hyper that reads and writes, until it ends. How it ended is told to the request that was under way.
struct Wire(Option<Pin<Box<Http>>>);

type Http = http1::Connection<TokioIo<Watched>, Full<Bytes>>;

impl Wire {
    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.0
            && connection.as_mut().poll(cx).is_ready()
        {
            // Dropped at once, so that nobody waits for what can come no more.
            self.close();
        }
    }

    /// Closes the socket at once.
    fn close(&mut self) {
        self.0 = None;
    }

    /// Waits for `future` while the wire moves.
    async fn drive<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            self.poll(cx);
            future.as_mut().poll(cx)
        })
        .await
    }
}

fn classify(error: &hyper::Error) -> SendError {
    if error.is_parse_too_large() {
        return SendError::TooManyHeaders;
    }
    if error.is_parse() {
        return SendError::Protocol;
    }
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    io.and_then(fault).unwrap_or(SendError::Reset)
}
