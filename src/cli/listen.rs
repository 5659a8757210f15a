//! `listen`: events are forwarded, as they happen, to an address that the relay itself need not reach, signed like
//! callbacks.
//!
//! Guarantees: each event is forwarded in its order, once it has an answer once: what happens while the connection to the
//! relay is broken, or while nobody listens at the address, is forwarded afterwards. The body is what the chosen endpoint
//! would get, order bytes unchanged. Does not guarantee: a second try of what was answered, whatever the answer.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::client::{Answer, Client};
use super::feed::Feed;
use super::request::secret;
use super::text::{say, time};
use crate::config::Listen;
use crate::model::delivery::asks_for;
use crate::model::endpoint::{PayloadFormat, SignatureVersion};
use crate::model::id::{EventId, PartnerId};
use crate::model::redact::Redaction;
use crate::model::signing::{EndpointSecret, Keys, Message, Signer, standard_body, transak_body};

/// How long the receiver has to answer: as long as an endpoint that says nothing else.
const DEADLINE: Duration = Duration::from_secs(15);

/// How long to wait before asking whether somebody listens by now.
const PAUSE: Duration = Duration::from_secs(1);

/// An endpoint, as far as it says what is sent and how.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Terms {
    partner_id: Option<PartnerId>,
    events: Option<Vec<String>>,
    statuses: Option<Vec<String>>,
    format: PayloadFormat,
    redact: Vec<String>,
    signatures: Option<Vec<SignatureVersion>>,
}

/// An event of the feed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    id: EventId,
    order_id: Option<String>,
    #[serde(rename = "event")]
    name: String,
    status: Option<String>,
    occurred_at: DateTime<Utc>,
    received_at: DateTime<Utc>,
    payload: Option<Box<RawValue>>,
}

/// Forwards events until interrupted, or until the relay refuses.
pub(super) async fn listen(asked: &Listen, now: DateTime<Utc>, out: &mut impl Write) -> anyhow::Result<()> {
    let client = Client::new(&asked.remote.place)?;
    let forwarder = Forwarder::prepare(asked, &client).await?;
    let partner = forwarder.terms.partner_id.map(|partner| partner.to_string());
    let feed = Feed::new(client, asked.since, now).only("orderId", asked.order.clone());
    let mut feed = feed.only("partnerId", partner);
    loop {
        let Answer { text, .. } = feed.next().await?;
        let event: Event = serde_json::from_str(&text).context("an event cannot be read")?;
        if asks_for(
            (forwarder.terms.events.as_deref(), forwarder.terms.statuses.as_deref()),
            (&event.name, event.status.as_deref()),
        ) {
            forwarder.forward(&event, out).await?;
        }
    }
}

struct Forwarder<'a> {
    asked: &'a Listen,
    terms: Terms,
    redact: Redaction,
    signer: Signer,
    access_token: Option<SecretString>,
    http: reqwest::Client,
}

impl<'a> Forwarder<'a> {
    async fn prepare(asked: &'a Listen, client: &Client) -> anyhow::Result<Self> {
        let terms: Terms = match asked.endpoint {
            Some(endpoint) => {
                serde_json::from_str(&client.get(&format!("/v1/endpoints/{endpoint}")).await?.text)?
            }
            None => Terms::default(),
        };
        if terms.signatures.as_ref().is_some_and(|versions| !versions.contains(&SignatureVersion::V1)) {
            anyhow::bail!(
                "the endpoint is signed with v1a alone, whose key stays in the relay: leave --endpoint out"
            );
        }
        let access_token = asked.access_token.as_ref().map(read).transpose()?;
        if terms.format == PayloadFormat::Transak && access_token.is_none() {
            anyhow::bail!(
                "the endpoint gets Transak's format, which the access token signs: give --access-token"
            );
        }
        let v1 = Some(Keys { current: signing_secret(asked)?, retired: Vec::new() });
        let redact = Redaction::parse(&terms.redact)?;
        let http = reqwest::Client::builder()
            .timeout(DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("transak-relay/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { asked, terms, redact, signer: Signer { v1, v1a: None }, access_token, http })
    }

    /// Sends one event until somebody answers.
    async fn forward(&self, event: &Event, out: &mut impl Write) -> anyhow::Result<()> {
        let body = self.body(event)?;
        let mut is_told = false;
        let (status, took) = loop {
            let began = Instant::now();
            let mut request = self.http.post(self.asked.forward_to.clone()).body(body.clone());
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            for (name, value) in self.signer.headers(&Message { id: event.id, at: Utc::now(), body: &body }) {
                request = request.header(name, value);
            }
            match request.send().await {
                Ok(answer) => break (Some(answer.status().as_u16()), began.elapsed()),
                // It may have been taken: whoever got it and says nothing is not asked again.
                Err(error) if !error.is_connect() => break (None, began.elapsed()),
                Err(_) if !is_told => {
                    say(&format!(
                        "nobody listens at {}: what happens is kept and forwarded then",
                        self.asked.forward_to
                    ));
                    is_told = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(PAUSE).await;
        };
        self.print(event, (status, took), out)
    }

    fn body(&self, event: &Event) -> anyhow::Result<Bytes> {
        let order = event.payload.as_ref().map_or("null", |payload| payload.get()).as_bytes();
        let order = self.redact.apply(order).context("an order cannot be read")?;
        Ok(match (self.terms.format, &self.access_token) {
            (PayloadFormat::Transak, Some(token)) => {
                transak_body(token, &event.name, event.received_at, &order)
            }
            _ => standard_body(&event.name, event.occurred_at, &order),
        })
    }

    fn print(
        &self,
        event: &Event,
        (status, took): (Option<u16>, Duration),
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let took = took.as_millis();
        if self.asked.remote.json {
            let line = json!({
                "eventId": event.id, "event": event.name, "orderId": event.order_id, "statusCode": status,
                "durationMs": u64::try_from(took).unwrap_or(u64::MAX),
            });
            writeln!(out, "{line}")?;
        } else {
            let at = time(&event.received_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
            let answer = status.map_or("no answer".to_owned(), |status| status.to_string());
            let order = super::text::plain(event.order_id.as_deref().unwrap_or_default());
            let name = super::text::plain(&event.name);
            writeln!(out, "{at}  {name:24}  {order:36}  {answer} in {took} ms")?;
        }
        Ok(out.flush()?)
    }
}

fn read(given: &SecretString) -> anyhow::Result<SecretString> {
    Ok(secret(given.expose_secret())?.into())
}

/// The secret that was given, or one for this run, which is shown.
fn signing_secret(asked: &Listen) -> anyhow::Result<EndpointSecret> {
    if let Some(given) = &asked.secret {
        return EndpointSecret::parse(read(given)?.expose_secret()).context("--secret");
    }
    let made = EndpointSecret::generate();
    say(&format!(
        "Signed with {} until this ends; give --secret to sign as an endpoint does.",
        made.expose().expose_secret()
    ));
    Ok(made)
}
