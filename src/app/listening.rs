//! The port of the HTTP interface.

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::config::Serve;

pub(super) async fn bind(config: &Serve) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(config.listen).await;
    listener.with_context(|| {
        format!("cannot listen on {}: is another process using it? (RELAY_LISTEN)", config.listen)
    })
}
