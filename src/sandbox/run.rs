//! The receiver as a process of its own, which finds the relay and registers itself.

use std::net::SocketAddr;

use anyhow::Context;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::receiver::Receiver;
use super::relay_api::RelayApi;

/// What a receiver process needs to know.
#[derive(Debug, Clone)]
pub struct ReceiverSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its callback URL as the relay can reach it.
    pub public_url: Url,
    /// Where the relay answers.
    pub relay_url: Url,
    /// An admin token of the relay.
    pub admin_token: SecretString,
    /// The partner to register for; `None`: the relay's first.
    pub partner_id: Option<String>,
    /// The partner's Transak access token, to verify callbacks in Transak's own format too.
    pub access_token: Option<SecretString>,
}

/// Waits for the relay, registers, and prints every callback on standard output until told to stop.
///
/// # Errors
/// If the address cannot be listened on, or the relay refuses.
pub async fn run_receiver(settings: ReceiverSettings, stop: CancellationToken) -> anyhow::Result<()> {
    let receiver = Receiver::start(settings.listen, std::io::stdout()).await;
    let receiver = receiver.with_context(|| format!("cannot listen on {}", settings.listen))?;
    let relay = RelayApi::new(settings.relay_url, settings.admin_token)?;
    if !relay.ready(&stop).await {
        return Ok(());
    }
    let registered = relay.register(settings.partner_id.as_deref(), settings.public_url.as_str()).await?;
    receiver.trust_secret(registered.secret);
    if let Some(token) = settings.access_token {
        receiver.trust_access_token(token);
    }
    tracing::info!(endpoint.id = registered.endpoint_id, "registered; one line per callback follows");
    stop.cancelled().await;
    receiver.stop().await;
    Ok(())
}
