//! A receiver of callbacks that does as little as it can, in a process of its own.
//!
//! `expect COUNT` answers when so many have come since the last `reset`; `report` tells how long they took. Not counted
//! are callbacks to `/aside`, to `/late`, which is answered after 20 ms, and to `/hang`, which never is.

use std::collections::HashSet;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::child::{Child, Driver};
use crate::orders::SENT_AT;

/// What is received there is no part of the report.
const UNCOUNTED: [&str; 2] = ["/aside", "/late"];

/// How late `/late` answers.
const LATE: Duration = Duration::from_millis(20);

/// What arrived. Latencies are in milliseconds, from publishing to receiving.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Arrivals {
    pub(crate) received: usize,
    /// The same event at the same path again.
    pub(crate) again: usize,
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

impl Arrivals {
    pub(crate) async fn of(receiver: &mut Child) -> anyhow::Result<Self> {
        serde_json::from_str(&receiver.ask("report").await?).context("the receiver's report is not one")
    }
}

#[derive(Default)]
struct Book {
    seen: HashSet<u64>,
    again: usize,
    micros: Vec<i64>,
}

struct Desk {
    book: Mutex<Book>,
    count: watch::Sender<usize>,
}

/// Plays until the driver is gone.
pub(crate) async fn play() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut driver = Driver::new(&format!("http://{}", listener.local_addr()?));
    let desk = Arc::new(Desk { book: Mutex::default(), count: watch::Sender::new(0) });
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, Arc::clone(&desk)));
    while let Some(words) = driver.next().await? {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["reset"] => {
                *desk.book.lock().unwrap_or_else(PoisonError::into_inner) = Book::default();
                desk.count.send_replace(0);
                driver.answer("ok");
            }
            ["expect", count] => {
                let wanted: usize = count.parse()?;
                desk.count.subscribe().wait_for(|count| *count >= wanted).await?;
                driver.answer("ok");
            }
            ["report"] => driver.answer(&serde_json::to_string(&report(&desk))?),
            _ => bail!("the receiver does not know {words:?}"),
        }
    }
    Ok(())
}

async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let desk = Arc::clone(&desk);
        let _ = stream.set_nodelay(true);
        connections.spawn(async move {
            let service = hyper::service::service_fn(|request| answer(request, Arc::clone(&desk)));
            let mut server = hyper::server::conn::http1::Builder::new();
            let _ = server.keep_alive(true).serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(request: Request<Incoming>, desk: Arc<Desk>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    request.headers().get("webhook-id").map(http::HeaderValue::as_bytes).hash(&mut hasher);
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    match &*path {
        "/hang" => std::future::pending().await,
        "/late" => tokio::time::sleep(LATE).await,
        _ => {}
    }
    if UNCOUNTED.contains(&&*path) {
        return Ok(Response::new(Empty::new()));
    }
    let now = chrono::Utc::now().timestamp_micros();
    let mut book = desk.book.lock().unwrap_or_else(PoisonError::into_inner);
    if !book.seen.insert(hasher.finish()) {
        book.again += 1;
    }
    book.micros.extend(sent_at(&body).map(|sent| now - sent));
    drop(book);
    desk.count.send_modify(|count| *count += 1);
    Ok(Response::new(Empty::new()))
}

/// When the event was published, as the order itself says.
fn sent_at(body: &[u8]) -> Option<i64> {
    // It is the last field.
    let tail = &body[body.len().saturating_sub(80)..];
    let text = std::str::from_utf8(tail).ok()?;
    let digits = text.split(SENT_AT).nth(1)?;
    digits.trim_end_matches('}').parse().ok()
}

fn report(desk: &Desk) -> Arrivals {
    let mut book = desk.book.lock().unwrap_or_else(PoisonError::into_inner);
    book.micros.sort_unstable();
    let at = |per_mille: usize| {
        let place = (book.micros.len() * per_mille / 1_000).min(book.micros.len().saturating_sub(1));
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a benchmark")]
        book.micros.get(place).map_or(0.0, |micros| *micros as f64 / 1e3)
    };
    let (p50, p95, p99, p999) = (at(500), at(950), at(990), at(999));
    Arrivals { received: *desk.count.borrow(), again: book.again, p50, p95, p99, p999 }
}
