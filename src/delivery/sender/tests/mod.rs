//! Receivers as strangers make them. Each is a bare socket that says what HTTP libraries would never say.

mod addresses;
mod clock;
mod giant;
mod hostile;
mod reuse;
mod tls;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;
use crate::delivery::resolver::Lookup;

/// For attempts that are expected to end by themselves: never reached unless something is broken.
const PATIENT: Duration = Duration::from_secs(10);
/// For attempts that are expected to be cut off.
const SHORT: Duration = Duration::from_millis(100);

/// A sender that may dial this machine.
fn sender() -> Sender {
    sender_with(SenderSettings { addresses: loopback(), ..in_the_clear() })
}

/// The usual settings, but for callbacks to `http:`, which most receivers here speak.
fn in_the_clear() -> SenderSettings {
    SenderSettings { allow_http: true, ..SenderSettings::default() }
}

fn sender_with(settings: SenderSettings) -> Sender {
    Sender::new(settings).unwrap()
}

fn loopback() -> AddressPolicy {
    AddressPolicy::new(vec!["127.0.0.0/8".parse().unwrap()])
}

/// A request to a URL that passed registration, or slipped through it.
fn request(url: &str, timeout: Duration) -> CallbackRequest {
    let url = CallbackUrl::from_stored(url).unwrap();
    CallbackRequest {
        url,
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
        timeout,
        identity: None,
    }
}

/// A listener that counts its connections and does with each what the test says.
struct Receiver {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Receiver {
    async fn new<F, Fut>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(stream));
            }
        });
        Self { address, accepted, _tasks: tasks }
    }

    /// Answers every request with these bytes and keeps the connection open.
    async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::new(move |mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                while read_request(&mut stream).await.is_some() {
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    fn url(&self) -> String {
        format!("http://{}/hook?k=v", self.address)
    }

    fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn attempt(receiver: &Receiver, timeout: Duration) -> Attempt {
    sender().send(request(&receiver.url(), timeout)).await
}

/// Serves one request by `answer`, which owns the socket from then on.
async fn after_request<F, Fut>(answer: F) -> Receiver
where
    F: Fn(TcpStream) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    Receiver::new(move |mut stream| {
        let answer = answer.clone();
        async move {
            if read_request(&mut stream).await.is_some() {
                answer(stream).await;
            }
        }
    })
    .await
}

fn body(attempt: &Attempt) -> &ResponseBody {
    attempt.response_body.as_ref().unwrap()
}

/// The next request's head, its two-byte body read too; nothing when the connection has ended.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n{}") {
        seen.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(seen).ok()
}

/// Waits until the other side has ended the connection, and swallows what still comes.
async fn wait_for_end(stream: &mut TcpStream) {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}

/// A name server that gives these answers one after another, then none.
#[derive(Debug)]
struct Answers(Mutex<VecDeque<Vec<IpAddr>>>);

impl Answers {
    fn of(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().unwrap()).collect();
        Arc::new(Self(Mutex::new(answers.iter().map(parse).collect())))
    }
}

impl Resolve for Answers {
    fn lookup(&self, _name: &str) -> Lookup {
        let answer = self.0.lock().unwrap().pop_front().ok_or_else(|| io::Error::other("no such host"));
        std::future::ready(answer).boxed()
    }
}

/// A name server that never answers.
#[derive(Debug)]
struct Silence;

impl Resolve for Silence {
    fn lookup(&self, _name: &str) -> Lookup {
        std::future::pending().boxed()
    }
}
