//! A callback receiver that remembers every arrival.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use chrono::{DateTime, Utc};
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

/// When each message came to each endpoint, in the order in which it came.
pub(crate) type Arrivals = HashMap<(usize, String), Vec<DateTime<Utc>>>;

#[derive(Default)]
struct Seen {
    /// By order and status: when it came, to whichever endpoint.
    told: HashMap<(String, String), Vec<DateTime<Utc>>>,
    arrivals: Arrivals,
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
        self.seen.lock().expect("no panic").told.keys().cloned().collect()
    }

    /// When an order's status was told, to whichever endpoints.
    pub(crate) fn told_at(&self, event: &(String, String)) -> Vec<DateTime<Utc>> {
        self.seen.lock().expect("no panic").told.get(event).cloned().unwrap_or_default()
    }

    /// Every arrival so far.
    pub(crate) fn arrivals(&self) -> Arrivals {
        self.seen.lock().expect("no panic").arrivals.clone()
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
    let (mut seen, now) = (seen.lock().expect("no panic"), Utc::now());
    seen.told.entry((callback.data.id, callback.data.status)).or_default().push(now);
    seen.arrivals.entry((endpoint, id)).or_default().push(now);
    StatusCode::NO_CONTENT
}
