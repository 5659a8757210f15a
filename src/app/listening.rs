//! The port of the HTTP interface.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// Listens there, or says what to do.
pub(super) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let told = match error.kind() {
            ErrorKind::AddrInUse => format!("another process listens on {address}"),
            _ => format!("cannot listen on {address} ({error})"),
        };
        anyhow::anyhow!("{told}: choose another address with --listen (RELAY_LISTEN)")
    })
}

/// Where callbacks would lead back to: what is configured, for on this machine it is the relay's also where another
/// process of it has the API, and what is bound, which differs where the system chose the port.
pub(super) fn own_addresses(configured: SocketAddr, bound: Option<SocketAddr>) -> Vec<SocketAddr> {
    std::iter::once(configured).chain(bound.filter(|bound| *bound != configured)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_address_is_an_own_one_also_where_this_process_does_not_listen() {
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(own_addresses(address(8080), None), [address(8080)]);
        assert_eq!(own_addresses(address(8080), Some(address(8080))), [address(8080)]);
        assert_eq!(own_addresses(address(0), Some(address(4711))), [address(0), address(4711)]);
    }
}
