//! A receiver that answers as a test says, request by request.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::world::World;

type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// What a test says of a request: its number, from 0, and its body.
type Handler = Arc<dyn Fn(usize, Value) -> Answering + Send + Sync>;

/// A receiver. Dropping it ends it.
pub(crate) struct Stub {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _server: JoinSet<()>,
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) id: String,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
    pub(crate) body: Value,
}

impl Seen {
    /// The order it is about, and the minute of its update.
    pub(crate) fn order(&self) -> (String, String) {
        let text = |field: &str| self.body["data"][field].as_str().unwrap_or_default().to_owned();
        (text("id"), text("updatedAt"))
    }
}

impl Stub {
    pub(crate) async fn start<F, A>(handler: F) -> Self
    where
        F: Fn(usize, Value) -> A + Send + Sync + 'static,
        A: Future<Output = Response> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |number, body| Box::pin(handler(number, body)));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let count = Arc::new(AtomicUsize::new(0));
        let log = Arc::clone(&seen);
        let app = Router::new().fallback(async move |headers: HeaderMap, bytes: Bytes| {
            let id = headers["webhook-id"].to_str().unwrap_or_default().to_owned();
            let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            log.lock().unwrap().push(Seen { id, headers, bytes, body: body.clone() });
            handler(count.fetch_add(1, Ordering::SeqCst), body).await
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, seen, _server: server }
    }

    /// A receiver that always answers the same.
    pub(crate) async fn always(status: StatusCode) -> Self {
        Self::start(move |_, _| async move { status.into_response() }).await
    }

    /// Registers it.
    pub(crate) async fn register(&self, world: &World, mut settings: Value) -> Value {
        settings["partnerId"] = json!(world.partner.to_string());
        settings["url"] = json!(self.url);
        let (status, made) = world.call("POST", "/v1/endpoints", Some(settings)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        made
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Everything that came, in the order of coming.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests came.
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}
