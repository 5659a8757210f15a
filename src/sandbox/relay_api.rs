//! The relay as a partner sees it: registering the receiver through its public API.
//!
//! Guarantees: registering again replaces what an earlier run registered for the same URL, so endpoints do not pile up.
//! The signing secret follows from the token and the URL, so a receiver can believe what is signed with it before it is
//! registered, and what an earlier registration still sends.

use std::time::Duration;

use anyhow::{Context, bail};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Method, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

/// How often a relay that is not ready yet is asked again.
const ASK: Duration = Duration::from_millis(500);

/// A registered callback URL.
#[derive(Debug)]
pub struct Registered {
    /// `ep_…`
    pub endpoint_id: String,
    /// `ptr_…`
    pub partner_id: String,
    /// `whsec_…`.
    pub secret: SecretString,
}

/// A relay and a token for it.
#[derive(Debug, Clone)]
pub struct RelayApi {
    http: Client,
    base: Url,
    admin_token: SecretString,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    data: Vec<Item>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    id: String,
    url: Option<String>,
}

#[derive(Deserialize)]
struct Made {
    id: String,
}

impl RelayApi {
    /// The relay at `base`, for somebody who holds an admin token.
    ///
    /// # Errors
    /// If no HTTP client can be made.
    pub fn new(base: Url, admin_token: SecretString) -> anyhow::Result<Self> {
        Ok(Self { http: super::client()?, base, admin_token })
    }

    /// What callbacks to this URL are signed with: the same whenever it is asked for.
    pub fn secret_for(&self, receiver_url: &str) -> SecretString {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.admin_token.expose_secret().as_bytes());
        let secret = hmac::sign(&key, format!("receiver {receiver_url}").as_bytes());
        format!("whsec_{}", STANDARD.encode(secret)).into()
    }

    /// Waits until the relay says it is ready. `false`: told to stop before that.
    pub async fn ready(&self, stop: &CancellationToken) -> bool {
        loop {
            let asked = async {
                let url = self.base.join("readyz").ok()?;
                self.http.get(url).send().await.ok().filter(|answer| answer.status() == StatusCode::OK)
            };
            tokio::select! {
                () = stop.cancelled() => return false,
                ready = asked => if ready.is_some() { return true },
            }
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(ASK) => {}
            }
        }
    }

    /// Registers `receiver_url` for the partner (the first one if none is named), in place of any endpoint with that URL.
    ///
    /// # Errors
    /// If the relay cannot be reached, refuses, or has no partner.
    pub async fn register(&self, partner_id: Option<&str>, receiver_url: &str) -> anyhow::Result<Registered> {
        let partner_id = match partner_id {
            Some(id) => id.to_owned(),
            None => self.first_partner().await?,
        };
        for id in self.endpoints_of(receiver_url).await? {
            self.call(Method::DELETE, &format!("v1/endpoints/{id}"), None).await?;
        }
        let secret = self.secret_for(receiver_url);
        let body = json!({
            "partnerId": partner_id, "url": receiver_url, "description": "sandbox receiver",
            "secret": secret.expose_secret(),
        });
        let made = self.call(Method::POST, "v1/endpoints", Some(body)).await?;
        let Made { id } = made.json().await.context("the relay's answer is not an endpoint")?;
        Ok(Registered { endpoint_id: id, partner_id, secret })
    }

    async fn first_partner(&self) -> anyhow::Result<String> {
        let partners = self.page("v1/partners?limit=1").await?.data;
        let first = partners.into_iter().next();
        Ok(first.context("the relay has no partner yet: make one with POST /v1/partners")?.id)
    }

    async fn endpoints_of(&self, receiver_url: &str) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        let mut path = "v1/endpoints?limit=200".to_owned();
        loop {
            let page = self.page(&path).await?;
            let same = page.data.into_iter().filter(|item| item.url.as_deref() == Some(receiver_url));
            found.extend(same.map(|item| item.id));
            let Some(cursor) = page.next_cursor else { return Ok(found) };
            let cursor: String = url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
            path = format!("v1/endpoints?limit=200&cursor={cursor}");
        }
    }

    async fn page(&self, path: &str) -> anyhow::Result<Page> {
        let answer = self.call(Method::GET, path, None).await?;
        answer.json().await.with_context(|| format!("the relay's answer to {path} is not a list"))
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Response> {
        let url = self.base.join(path)?;
        let mut request =
            self.http.request(method.clone(), url).bearer_auth(self.admin_token.expose_secret());
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer =
            request.send().await.with_context(|| format!("the relay does not answer {method} /{path}"))?;
        let status = answer.status();
        if !status.is_success() {
            let problem: Value = answer.json().await.unwrap_or_default();
            let why = ["detail", "title"].iter().find_map(|key| problem.get(key).and_then(Value::as_str));
            bail!("the relay answers {method} /{path} with {status}: {}", why.unwrap_or("no reason given"));
        }
        Ok(answer)
    }
}

#[cfg(test)]
#[path = "relay_api_tests.rs"]
mod tests;
