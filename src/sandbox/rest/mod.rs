//! Transak's partner REST API, as far as a relay calls it: refresh-token, order, orders, webhooks.
//!
//! Guarantees: parameters, envelopes and refusals as on `docs.transak.com/api/public/*`, also the odd ones (an unknown
//! order is a 400, sales must be asked for, a replaced token is a 400); told to, it answers wrongly ([`Fault`]).
//! Where Transak's documents leave it open, this does the simplest: without `filter[status]` all statuses are told.

mod fault;
mod handlers;
mod tokens;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::routing::{get, post};
use chrono::Utc;
use http::HeaderMap;
use tokio::sync::watch;

pub use fault::{Fault, OVERSIZED};
pub use tokens::{LIFETIME, Tokens};

use super::book::Book;
use super::http_server::HttpServer;

/// How often each call was made, also those answered with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calls {
    /// `POST refresh-token`
    pub refresh: u64,
    /// `GET order/{id}`
    pub order: u64,
    /// `GET orders`
    pub orders: u64,
    /// `GET webhooks`
    pub webhooks: u64,
    /// Of all these, those without the right `x-api-key`, which Transak asks for since 2026.
    pub without_api_key: u64,
}

#[derive(Debug)]
struct Shared {
    book: Arc<Book>,
    tokens: Arc<Tokens>,
    fault: Mutex<(Fault, Option<u32>)>,
    calls: watch::Sender<Calls>,
}

/// The running API. Dropping it ends it.
#[derive(Debug)]
pub struct Rest {
    shared: Arc<Shared>,
    server: HttpServer,
}

impl Rest {
    /// Listens; port 0 takes a free one.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub async fn start(listen: SocketAddr, book: Arc<Book>, tokens: Arc<Tokens>) -> std::io::Result<Self> {
        let shared =
            Arc::new(Shared { book, tokens, fault: Mutex::default(), calls: watch::Sender::default() });
        let server = HttpServer::start(listen, router(Arc::clone(&shared))).await?;
        Ok(Self { shared, server })
    }

    /// The address it listens on.
    pub const fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// What stands in for `https://api-stg.transak.com`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// From the next request on, answer like this.
    pub fn misbehave(&self, fault: Fault) {
        self.shared.set_fault(fault, None);
    }

    /// Answer like this for the next `requests` requests only.
    pub fn misbehave_for(&self, requests: u32, fault: Fault) {
        self.shared.set_fault(fault, Some(requests));
    }

    /// What was called; changes can be waited for.
    pub fn calls(&self) -> watch::Receiver<Calls> {
        self.shared.calls.subscribe()
    }

    /// Ends it: the address is free and no connection is answered any more.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/partners/api/v2/refresh-token", post(handlers::refresh_token))
        .route("/partners/api/v2/order/{id}", get(handlers::get_order))
        .route("/partners/api/v2/orders", get(handlers::get_orders))
        .route("/partners/api/v2/webhooks", get(handlers::get_webhooks))
        .route_layer(axum::middleware::from_fn_with_state(Arc::clone(&shared), fault::apply))
        .with_state(shared)
}

impl Shared {
    fn set_fault(&self, fault: Fault, requests: Option<u32>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = (fault, requests);
    }

    /// The fault of the request that has just come.
    fn next_fault(&self) -> Fault {
        let mut state = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *state {
            (fault, None) => *fault,
            (_, Some(0)) => Fault::None,
            (fault, Some(left)) => {
                *left -= 1;
                *fault
            }
        }
    }

    fn count(&self, path: &str, headers: &HeaderMap) {
        let named = handlers::text(headers, "x-api-key") == Some(self.book.api_key());
        self.calls.send_modify(|calls| {
            calls.without_api_key += u64::from(!named);
            match path.trim_start_matches("/partners/api/v2/") {
                "refresh-token" => calls.refresh += 1,
                "orders" => calls.orders += 1,
                "webhooks" => calls.webhooks += 1,
                _ => calls.order += 1,
            }
        });
    }

    fn authorize(&self, headers: &HeaderMap) -> Result<(), tokens::Refusal> {
        self.tokens.authorize(handlers::text(headers, "access-token"), Utc::now().timestamp())
    }
}

#[cfg(test)]
mod tests;
