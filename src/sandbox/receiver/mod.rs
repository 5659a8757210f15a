//! A callback receiver: what a partner's back end would be, at its smallest.
//!
//! Guarantees: every POST is verified (Standard Webhooks, or Transak's own JWT form) before it is believed; one line per
//! arrival goes to the writer it was given; a body over 1 MiB is refused; memory is bounded.
//! Told to, it answers late or with an error, for tests of the sender.

mod arrival;
mod gate;
mod verify;

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::get;
use bytes::Bytes;
use chrono::Utc;
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use tokio::sync::watch;

use super::http_server::HttpServer;
pub use arrival::Arrival;
pub use gate::Gate;
use verify::Trust;

/// The largest body taken, in bytes.
const LARGEST: usize = 1 << 20;
/// How many arrivals are remembered with their content.
const KEPT: usize = 1_000;
/// How many message ids are remembered for counting attempts.
const COUNTED: usize = 100_000;

/// How verified callbacks are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// How long the answer takes.
    pub delay: Duration,
    /// The first so many attempts of each message get a 500 instead.
    pub fail_first: u32,
}

impl Default for Answer {
    fn default() -> Self {
        Self { status: StatusCode::NO_CONTENT, delay: Duration::ZERO, fail_first: 0 }
    }
}

#[derive(Debug, Default)]
struct Memory {
    trust: Trust,
    answer: Answer,
    arrivals: VecDeque<Arrival>,
    attempts: HashMap<String, u32>,
    oldest_first: VecDeque<String>,
}

struct Shared {
    memory: Mutex<Memory>,
    count: watch::Sender<u64>,
    output: Mutex<Box<dyn Write + Send>>,
}

/// A running receiver. Dropping it ends it.
pub struct Receiver {
    shared: Arc<Shared>,
    server: HttpServer,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Receiver {
    /// Listens (port 0 takes a free one) and writes one line per arrival to `output`. It trusts nobody yet.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub async fn start(listen: SocketAddr, output: impl Write + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            memory: Mutex::default(),
            count: watch::Sender::default(),
            output: Mutex::new(Box::new(output)),
        });
        let router = Router::new()
            .fallback(get(async || "transak-relay sandbox receiver\n").post(receive))
            .layer(DefaultBodyLimit::max(LARGEST))
            .with_state(Arc::clone(&shared));
        let server = HttpServer::start(listen, router).await?;
        Ok(Self { shared, server })
    }

    /// The callback URL, for senders on this machine.
    pub fn url(&self) -> String {
        format!("http://{}/callback", self.server.addr())
    }

    /// Believe what is signed with this secret (`whsec_…`) too.
    pub fn trust_secret(&self, secret: SecretString) {
        self.shared.memory().trust.secrets.push(secret);
    }

    /// Believe what is signed with this Transak access token too.
    pub fn trust_access_token(&self, token: SecretString) {
        self.shared.memory().trust.access_tokens.push(token);
    }

    /// From the next verified callback on, answer like this.
    pub fn answer(&self, answer: Answer) {
        self.shared.memory().answer = answer;
    }

    /// How many callbacks arrived, verified or not; changes can be waited for.
    pub fn count(&self) -> watch::Receiver<u64> {
        self.shared.count.subscribe()
    }

    /// The last 1,000 of them, oldest first.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.shared.memory().arrivals.iter().cloned().collect()
    }

    /// Ends it: the address is free and no connection is answered any more.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let (arrival, answer) = shared.take(headers, body);
    shared.print(&arrival);
    shared.count.send_modify(|count| *count += 1);
    if !arrival.verified {
        return StatusCode::UNAUTHORIZED;
    }
    tokio::time::sleep(answer.delay).await;
    if arrival.attempt <= answer.fail_first { StatusCode::INTERNAL_SERVER_ERROR } else { answer.status }
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, headers: HeaderMap, body: Bytes) -> (Arrival, Answer) {
        let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        let mut memory = self.memory();
        let reading = verify::read(&memory.trust, &headers, (&body, Utc::now().timestamp()));
        let attempt = memory.attempt(&id);
        let arrival = Arrival::new(reading, (id, attempt), (headers, body));
        memory.arrivals.push_back(arrival.clone());
        if memory.arrivals.len() > KEPT {
            memory.arrivals.pop_front();
        }
        (arrival, memory.answer)
    }

    /// A terminal that is gone does not stop the receiver.
    fn print(&self, arrival: &Arrival) {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let _written = writeln!(output, "{}", arrival.line()).and_then(|()| output.flush());
    }
}

impl Memory {
    /// The how manieth time this message was seen. Messages without an id are all new.
    fn attempt(&mut self, id: &str) -> u32 {
        if id.is_empty() {
            return 1;
        }
        if let Some(seen) = self.attempts.get_mut(id) {
            *seen += 1;
            return *seen;
        }
        self.attempts.insert(id.to_owned(), 1);
        self.oldest_first.push_back(id.to_owned());
        if self.oldest_first.len() > COUNTED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.attempts.remove(&oldest);
        }
        1
    }
}

#[cfg(test)]
mod tests;
