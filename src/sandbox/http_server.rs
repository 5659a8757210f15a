//! An axum router on a socket, with an owner.
//!
//! Guarantees: when it is stopped or dropped, the address is free, idle connections are closed, and requests in progress
//! get a moment to end.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long requests in progress are waited for.
const GRACE: Duration = Duration::from_secs(2);

/// A running server.
#[derive(Debug)]
pub(super) struct HttpServer {
    addr: SocketAddr,
    tasks: JoinSet<()>,
    stop: DropGuard,
}

impl HttpServer {
    /// Listens; port 0 takes a free one.
    pub(super) async fn start(listen: SocketAddr, router: Router) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let stop = CancellationToken::new();
        let told = stop.clone().cancelled_owned();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _ended = axum::serve(listener, router).with_graceful_shutdown(told).await;
        });
        Ok(Self { addr, tasks, stop: stop.drop_guard() })
    }

    pub(super) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) async fn stop(mut self) {
        drop(self.stop);
        let _ended = tokio::time::timeout(GRACE, self.tasks.join_next()).await;
        self.tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;

    use super::*;

    #[tokio::test]
    async fn a_stopped_server_answers_no_more_even_on_a_connection_it_had() {
        let router = || Router::new().route("/", get(async || "here"));
        let server = HttpServer::start(([127, 0, 0, 1], 0).into(), router()).await.unwrap();
        let (addr, http) = (server.addr(), crate::sandbox::client().unwrap());
        let url = format!("http://{addr}/");
        assert_eq!(http.get(&url).send().await.unwrap().text().await.unwrap(), "here");
        server.stop().await;
        assert!(http.get(&url).send().await.is_err());
        let _again = HttpServer::start(addr, router()).await.unwrap();
        assert_eq!(http.get(&url).send().await.unwrap().text().await.unwrap(), "here");
    }
}
