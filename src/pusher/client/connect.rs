//! From a URL to an open WebSocket: name resolution, TCP, TLS, HTTP upgrade.
//!
//! Does not guarantee: an end. The caller gives up when it takes too long.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_with_config};
use url::{Host, Url};

use super::Settings;
use super::lenient::Lenient;

/// One address that swallows packets must not use up the time of the others.
const PER_ADDRESS: Duration = Duration::from_secs(4);

pub(super) type Stream = WebSocketStream<Lenient<MaybeTlsStream<TcpStream>>>;

/// The address of the app and what is needed to get there. Cheap to clone.
#[derive(Clone)]
pub(super) struct Target {
    url: Url,
    max_message_bytes: usize,
    tls: Arc<OnceLock<TlsConnector>>,
}

impl Target {
    /// # Errors
    /// A base URL that is not `ws://` or `wss://` with a host.
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let mut url = settings.base.clone();
        anyhow::ensure!(
            matches!(url.scheme(), "ws" | "wss") && url.has_host(),
            "the Pusher URL must begin with ws:// or wss://"
        );
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("the Pusher URL must have a host"))?
            .pop_if_empty()
            .extend(["app", &settings.app_key]);
        let client = concat!("client=rust-transak-relay&version=", env!("CARGO_PKG_VERSION"));
        url.set_query(Some(&format!("protocol=7&{client}")));
        Ok(Self { url, max_message_bytes: settings.max_message_bytes, tls: Arc::default() })
    }

    /// Whether the URL asks for TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.url.scheme() == "wss"
    }

    /// Opens a WebSocket; with TLS if `secure`, whatever the URL says.
    pub(super) async fn open(self, secure: bool) -> anyhow::Result<Stream> {
        let mut url = self.url.clone();
        if secure {
            url.set_scheme("wss").map_err(|()| anyhow::anyhow!("the Pusher URL cannot be made secure"))?;
        }
        let host = url.host().context("the Pusher URL has no host")?.to_owned();
        let port = url.port_or_known_default().context("the Pusher URL has no port")?;
        let tcp = connect(&host, port).await.context("no TCP connection")?;
        tcp.set_nodelay(true)?;
        let stream = if secure { self.tls(host, tcp).await? } else { MaybeTlsStream::Plain(tcp) };
        let limit = Some(self.max_message_bytes);
        let config = WebSocketConfig::default().max_message_size(limit).max_frame_size(limit);
        let stream = Lenient::new(stream, self.max_message_bytes);
        let (stream, _) = client_async_with_config(url.as_str(), stream, Some(config))
            .await
            .context("no WebSocket upgrade")?;
        Ok(stream)
    }

    async fn tls(&self, host: Host, tcp: TcpStream) -> anyhow::Result<MaybeTlsStream<TcpStream>> {
        let name = match host {
            Host::Domain(domain) => ServerName::try_from(domain).context("the host is no TLS server name")?,
            Host::Ipv4(ip) => ServerName::IpAddress(ip.into()),
            Host::Ipv6(ip) => ServerName::IpAddress(ip.into()),
        };
        let connector = if let Some(connector) = self.tls.get() {
            connector.clone()
        } else {
            let connector = connector()?;
            self.tls.get_or_init(|| connector).clone()
        };
        Ok(MaybeTlsStream::Rustls(connector.connect(name, tcp).await.context("no TLS connection")?))
    }
}

/// TLS 1.2 or 1.3 by aws-lc-rs, trusting what the machine trusts.
fn connector() -> anyhow::Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()
        .context("the machine's root certificates cannot be used")?
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Tries one address after the other.
async fn connect(host: &Host, port: u16) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = match host {
        Host::Domain(domain) => lookup_host((domain.as_str(), port)).await?.collect(),
        Host::Ipv4(ip) => vec![(*ip, port).into()],
        Host::Ipv6(ip) => vec![(*ip, port).into()],
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match timeout(PER_ADDRESS, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}
