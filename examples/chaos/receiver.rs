//! A callback receiver that remembers every arrival.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde::Deserialize;
use tokio::task::JoinSet;

#[derive(Deserialize)]
struct Callback {
    data: Order,
}

#[derive(Deserialize)]
struct Order {
    id: String,
    status: String,
}

#[derive(Default)]
struct Seen {
    told: HashSet<(String, String)>,
    /// By endpoint and message.
    times: HashMap<(usize, String), usize>,
}

type Shared = Arc<Mutex<Seen>>;

/// A receiver; dropping it stops it.
pub(crate) struct Receiver {
    pub(crate) url: String,
    seen: Shared,
    _task: JoinSet<()>,
}

impl Receiver {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/callback", listener.local_addr()?);
        let seen = Shared::default();
        let router = Router::new().route("/callback/{endpoint}", post(receive)).with_state(Arc::clone(&seen));
        let mut task = JoinSet::new();
        // Ends only with the process.
        task.spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { url, seen, _task: task })
    }

    /// The orders and statuses that were told.
    pub(crate) fn told(&self) -> HashSet<(String, String)> {
        self.seen.lock().expect("no panic").told.clone()
    }

    /// How often each message came to each endpoint.
    pub(crate) fn times(&self) -> HashMap<(usize, String), usize> {
        self.seen.lock().expect("no panic").times.clone()
    }

    /// How many callbacks repeated an event that had been told.
    pub(crate) fn repeats(&self) -> usize {
        self.seen.lock().expect("no panic").times.values().map(|times| times - 1).sum()
    }
}

async fn receive(
    State(seen): State<Shared>,
    Path(endpoint): Path<usize>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> StatusCode {
    let Ok(callback) = serde_json::from_slice::<Callback>(&body) else { return StatusCode::BAD_REQUEST };
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let mut seen = seen.lock().expect("no panic");
    seen.told.insert((callback.data.id, callback.data.status));
    *seen.times.entry((endpoint, id)).or_default() += 1;
    StatusCode::NO_CONTENT
}
