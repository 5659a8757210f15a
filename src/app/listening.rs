//! The port of the HTTP interface, and how long its clients may be silent.

use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpStream};

use crate::config::Serve;

/// How long a client may leave what it was sent unacknowledged, or take nothing.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// A client that neither takes nor acknowledges what it is sent is cut off by the kernel; only Linux can.
pub(super) fn cut_off_the_silent(connection: &mut TcpStream) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(&*connection).set_tcp_user_timeout(Some(LONGEST_SILENCE)) {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "a connection has no deadline for its peer"
        );
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (connection, LONGEST_SILENCE);
}

pub(super) async fn bind(config: &Serve) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(config.listen).await;
    listener.with_context(|| {
        format!("cannot listen on {}: is another process using it? (RELAY_LISTEN)", config.listen)
    })
}
