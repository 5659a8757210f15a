//! The one client that calls the URLs of strangers.
//!
//! Guarantees: an attempt ends by its deadline, wherever it was, lookup included, and 3 s after the answer's head at the
//! latest; it holds at most 64 KiB of head and 64 KiB of body at a time; it never follows a redirect, uses a proxy, or unpacks a compressed body; it dials only
//! addresses that passed the [`AddressPolicy`], by http only where that is allowed today, and never the relay itself. What failed is an [`Attempt`] with an error
//! in it, not an `Err`: an attempt is a fact to be written down.
//! Does not guarantee: that a request is seen once. If a connection kept alive turns out to be dead or out of step, the
//! request is sent again on a new one within the same attempt; the receiver knows repeats by `webhook-id`.
//!
//! HTTP/1.1 only: one request at a time on a connection needs no flow control, no stream resets and no header tables,
//! which is where HTTP/2 clients have been flooded. It is written on hyper's connections and not on a ready-made client,
//! because none of those tells lookup, connect and handshake apart, says which address it spoke to when it failed, or
//! lets a deadline keep the status that had already arrived.

mod connection;
mod connector;
mod dial;
mod given;
mod mender;
mod outcome;
mod pool;
mod progress;
mod shortage;
mod stopwatch;
#[cfg(test)]
mod tests;
mod tls;

pub use outcome::{Attempt, BODY_KEPT, BODY_READ, Durations, HEADERS_KEPT, ResponseBody, SendError, Stage};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use self::connector::Connector;
use self::pool::{Key, Pool};
use self::progress::Progress;
use self::tls::TlsConfigs;
use crate::delivery::resolver::{Resolve, SystemResolver};
use crate::model::address::AddressPolicy;
use crate::model::callback_url::CallbackUrl;
use crate::model::delivery::MAX_TOTAL_DEADLINE;
use crate::model::own_address::OwnAddresses;
use crate::model::tls_identity::TlsIdentity;

/// Names the relay and its version to receivers.
const USER_AGENT: &str =
    concat!("transak-relay/", env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));

/// What the sender is told of its surroundings.
#[derive(Debug)]
pub struct SenderSettings {
    /// Which addresses may be dialled.
    pub addresses: AddressPolicy,
    /// Whether callbacks may go out in the clear. An `http:` URL may have been stored while they could.
    pub allow_http: bool,
    /// Where the relay's own processes listen.
    pub own: watch::Receiver<OwnAddresses>,
    /// Where addresses come from.
    pub resolver: Arc<dyn Resolve>,
}

/// Public addresses and https only, the system's resolver, and nothing known of an own port.
impl Default for SenderSettings {
    fn default() -> Self {
        let resolver = Arc::new(SystemResolver::default());
        let own = watch::Sender::default().subscribe();
        Self { addresses: AddressPolicy::default(), allow_http: false, own, resolver }
    }
}

/// One callback to make.
#[derive(Debug, Clone)]
pub struct CallbackRequest {
    /// Where to.
    pub url: CallbackUrl,
    /// The headers to send. Values marked sensitive are covered in the attempt. `host`, `content-length`,
    /// `accept-encoding` and `user-agent` are set here; `content-type` is JSON unless given.
    pub headers: HeaderMap,
    /// The body to post.
    pub body: Bytes,
    /// The total deadline, cut to [`MAX_TOTAL_DEADLINE`].
    pub timeout: Duration,
    /// The endpoint's own certificate or authority.
    pub identity: Option<Arc<TlsIdentity>>,
}

/// Makes callbacks. Share one: it keeps connections alive.
pub struct Sender {
    connector: Connector,
    pool: Pool,
}

impl Sender {
    /// A sender with no connections yet.
    ///
    /// # Errors
    /// If the system has no certificate authorities to trust.
    pub fn new(settings: SenderSettings) -> Result<Self, rustls::Error> {
        let connector = Connector { settings, tls: TlsConfigs::new()? };
        Ok(Self { connector, pool: Pool::default() })
    }

    /// Makes one attempt. Dropping the future closes its connection.
    pub async fn send(&self, mut request: CallbackRequest) -> Attempt {
        complete(&mut request);
        let mut progress = Progress::new(Instant::now(), &request.headers);
        let failure = match timeout(request.timeout, self.run(&request, &mut progress)).await {
            Ok(ended) => ended.err(),
            Err(_) => Some(SendError::Timeout(progress.stage)),
        };
        progress.finish(failure)
    }

    async fn run(&self, request: &CallbackRequest, progress: &mut Progress) -> Result<(), SendError> {
        if let Some(mut kept) = self.pool.take(&key(request)) {
            let answered = kept.exchange(http_request(request), progress).await;
            // Whatever ended it, closed by the receiver or what was left on it by the answer before, says nothing of this
            // request: a new connection decides. Nor does the word that no request came in time, which a receiver leaves
            // on a connection that was idle.
            if answered.is_ok() && progress.status() != Some(StatusCode::REQUEST_TIMEOUT.as_u16()) {
                self.pool.put(key(request), kept);
                return Ok(());
            }
            progress.forget_answer();
        }
        let mut fresh = self.connector.connect(request, progress).await?;
        fresh.exchange(http_request(request), progress).await?;
        self.pool.put(key(request), fresh);
        Ok(())
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("connector", &self.connector).finish_non_exhaustive()
    }
}

fn key(request: &CallbackRequest) -> Key {
    Key::new(&request.url, request.identity.as_deref())
}

/// Sets what the sender alone may say, over anything that stands there.
fn complete(request: &mut CallbackRequest) {
    request.timeout = request.timeout.min(MAX_TOTAL_DEADLINE);
    let headers = &mut request.headers;
    // A host was read from a URL, so its ASCII form is a header value.
    let host = HeaderValue::from_str(request.url.authority()).expect("an authority is printable ASCII");
    headers.insert(header::HOST, host);
    headers.insert(header::CONTENT_LENGTH, request.body.len().into());
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    // Nothing is unpacked here, so nothing packed is asked for.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    for framing in
        [header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE, header::EXPECT, header::TE]
    {
        headers.remove(framing);
    }
}

fn http_request(request: &CallbackRequest) -> Request<Full<Bytes>> {
    let mut http = Request::new(Full::new(request.body.clone()));
    *http.method_mut() = Method::POST;
    *http.uri_mut() = request.url.path_and_query().into();
    http.headers_mut().clone_from(&request.headers);
    http
}
