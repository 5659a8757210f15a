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
    // Before anything can arrive: an earlier registration may still send.
    receiver.trust_secret(relay.secret_for(settings.public_url.as_str()));
    if !relay.ready(&stop).await {
        return Ok(());
    }
    let registered = relay.register(settings.partner_id.as_deref(), settings.public_url.as_str()).await?;
    if let Some(token) = settings.access_token {
        receiver.trust_access_token(token);
    }
    tracing::info!(endpoint.id = registered.endpoint_id, "registered; one line per callback follows");
    stop.cancelled().await;
    receiver.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use axum::{Json, Router};
    use serde_json::{Value, json};
    use tokio::sync::mpsc;

    use super::*;
    use crate::sandbox::http_server::HttpServer;

    fn settings(relay: &HttpServer) -> ReceiverSettings {
        ReceiverSettings {
            listen: ([127, 0, 0, 1], 0).into(),
            public_url: "http://receiver:9000/callback".parse().unwrap(),
            relay_url: format!("http://{}", relay.addr()).parse().unwrap(),
            admin_token: "rly_admin".into(),
            partner_id: Some("ptr_7".to_owned()),
            access_token: None,
        }
    }

    #[tokio::test]
    async fn a_receiver_registers_its_public_address_and_ends_when_told() {
        let (registered, mut bodies) = mpsc::channel(1);
        let create = async move |Json(body): Json<Value>| {
            registered.send(body).await.unwrap();
            Json(json!({ "id": "ep_1", "secret": "whsec_AAAA" }))
        };
        let list = async || Json(json!({ "data": [], "nextCursor": null }));
        let router =
            Router::new().route("/readyz", get(async || "")).route("/v1/endpoints", get(list).post(create));
        let relay = HttpServer::start(([127, 0, 0, 1], 0).into(), router).await.unwrap();
        let stop = CancellationToken::new();
        let told = async {
            let body = bodies.recv().await.unwrap();
            assert_eq!(
                (&body["partnerId"], &body["url"]),
                (&json!("ptr_7"), &json!("http://receiver:9000/callback"))
            );
            stop.cancel();
        };
        let (ended, ()) = tokio::join!(run_receiver(settings(&relay), stop.clone()), told);
        ended.unwrap();
    }

    #[tokio::test]
    async fn a_relay_that_refuses_ends_the_receiver_with_the_reason() {
        let router = Router::new().route("/readyz", get(async || ""));
        let relay = HttpServer::start(([127, 0, 0, 1], 0).into(), router).await.unwrap();
        let error = run_receiver(settings(&relay), CancellationToken::new()).await.unwrap_err();
        assert!(error.to_string().contains("404"), "{error}");
    }
}
