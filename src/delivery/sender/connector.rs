//! From a host to a connection: look up, judge, dial, shake hands.
//!
//! Guarantees: if any address of a name is refused, none is dialled; the address that was judged is the address that is
//! dialled, for the name is not looked up again; where a process of the relay listens, as far as
//! [`own_address`](crate::model::own_address) knows them, is never dialled; nothing goes out in the clear unless that is
//! allowed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use url::Host;

use super::connection::Connection;
use super::dial::dial;
use super::outcome::{SendError, Stage};
use super::progress::Progress;
use super::shortage::is_shortage;
use super::tls::{TlsConfigs, fault};
use super::{CallbackRequest, SenderSettings};

/// Bytes both ways, in the clear or through TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

#[derive(Debug)]
pub(super) struct Connector {
    pub(super) settings: SenderSettings,
    pub(super) tls: TlsConfigs,
}

impl Connector {
    pub(super) async fn connect(
        &self,
        request: &CallbackRequest,
        progress: &mut Progress,
    ) -> Result<Connection, SendError> {
        let https = request.url.as_url().scheme() == "https";
        if !https && !self.settings.allow_http {
            return Err(SendError::PlainHttp);
        }
        let addresses = self.resolve(request, progress).await?;
        self.judge(&addresses)?;
        let tcp = dial(&addresses, progress).await?;
        let remote = tcp.peer_addr().map_err(|_| SendError::Reset)?.ip().to_canonical();
        let stream: Box<dyn Stream> =
            if https { self.handshake(tcp, request, progress).await? } else { Box::new(tcp) };
        Connection::open(stream, remote).await
    }

    async fn resolve(
        &self,
        request: &CallbackRequest,
        progress: &mut Progress,
    ) -> Result<Vec<SocketAddr>, SendError> {
        let ips = match request.url.as_url().host() {
            Some(Host::Ipv4(ip)) => vec![IpAddr::V4(ip)],
            Some(Host::Ipv6(ip)) => vec![IpAddr::V6(ip)],
            Some(Host::Domain(name)) => {
                progress.stage = Stage::Dns;
                let since = Instant::now();
                let answer = self.settings.resolver.lookup(name).await;
                progress.dns(since);
                answer
                    .map_err(|error| if is_shortage(&error) { SendError::Shortage } else { SendError::Dns })?
            }
            None => Vec::new(),
        };
        if ips.is_empty() {
            return Err(SendError::Dns);
        }
        Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, request.url.port())).collect())
    }

    /// One bad address spoils the name: which of them is dialled must not be the attacker's luck.
    fn judge(&self, addresses: &[SocketAddr]) -> Result<(), SendError> {
        for address in addresses {
            self.settings.addresses.check(address.ip()).map_err(SendError::RefusedAddress)?;
            if self.settings.own.borrow().lead_back(*address, is_this_machine) {
                return Err(SendError::OwnAddress);
            }
        }
        Ok(())
    }

    async fn handshake(
        &self,
        tcp: TcpStream,
        request: &CallbackRequest,
        progress: &mut Progress,
    ) -> Result<Box<dyn Stream>, SendError> {
        progress.stage = Stage::Tls;
        let since = Instant::now();
        let config = self.tls.config(request.identity.as_deref())?;
        let name = server_name(request).ok_or(SendError::Tls("the host cannot be named in a certificate"))?;
        let stream = TlsConnector::from(config).connect(name, tcp).await;
        progress.tls(since);
        match stream {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => {
                Err(fault(&error).unwrap_or(SendError::Tls("the receiver broke off the handshake")))
            }
        }
    }
}

fn server_name(request: &CallbackRequest) -> Option<ServerName<'static>> {
    match request.url.as_url().host()? {
        Host::Ipv4(ip) => Some(ServerName::from(IpAddr::V4(ip))),
        Host::Ipv6(ip) => Some(ServerName::from(IpAddr::V6(ip))),
        Host::Domain(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).ok(),
    }
}

/// Whether an address is one of this machine's own.
///
/// There is no portable list of them, but the kernel tells: a packet to an own address would leave from that very
/// address. "Connecting" a datagram socket sends nothing.
fn is_this_machine(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    if ip.is_loopback() || ip.is_unspecified() {
        return true;
    }
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((ip, 9))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == ip)
}
