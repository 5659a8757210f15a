//! Transak's partner REST API (docs.transak.com/api/public): refreshing a token, and reading orders and webhooks again.
//!
//! Guarantees: a call ends within [`Settings::total`]; it follows no redirect and uses no proxy; at most 8 MiB of an
//! answer are read; orders come as the bytes that were sent; calls of one partner keep to [`Settings::rate`]; no error
//! quotes an answer, a token or a secret.
//! Does not guarantee: that two processes keep to the rate together. Whoever calls sees to it that one process at a
//! time works for a partner.

mod answer;
mod error;
pub mod history;
mod rewrite;

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue, header};
use reqwest::{Client, RequestBuilder, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::Instant;
use url::Url;

pub use answer::{LARGEST, OrdersPage, Refreshed};
pub use error::{RestError, Unreadable};

use crate::model::clock::{self, Ahead};
use crate::model::id::PartnerId;
use crate::model::order::Product;
use crate::model::pace::{Pace, Rate};
use crate::model::partner::Environment;

/// The rate that is kept unless told otherwise. Transak publishes no limits; it only says that there are some.
pub const RATE: Rate = Rate { per_second: NonZeroU32::new(10).unwrap(), burst: NonZeroU32::new(20).unwrap() };

/// The statuses that Transak documents. They are named because it is not clear what Get Orders leaves out otherwise.
const STATUSES: &str = r#"["AWAITING_PAYMENT_FROM_USER","PAYMENT_DONE_MARKED_BY_USER","PROCESSING","PENDING_DELIVERY_FROM_TRANSAK","ON_HOLD_PENDING_DELIVERY_FROM_TRANSAK","COMPLETED","CANCELLED","FAILED","REFUNDED","EXPIRED"]"#;

/// How Transak is called.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Instead of the environment's own host.
    pub api_url: Option<Url>,
    /// Sent as `x-user-ip`, which some calls ask for since 2026. It means the end user's address; a relay has none.
    pub user_ip: Option<IpAddr>,
    /// How fast one partner's calls may follow each other.
    pub rate: Rate,
    /// How long connecting may take.
    pub connect: Duration,
    /// How long a call may take in all.
    pub total: Duration,
    /// Is told how this machine's clock compares with Transak's.
    pub clock: watch::Sender<Ahead>,
}

impl Default for Settings {
    fn default() -> Self {
        let (connect, total) = (Duration::from_secs(5), Duration::from_secs(20));
        Self { api_url: None, user_ip: None, rate: RATE, connect, total, clock: watch::Sender::default() }
    }
}

/// Whose calls they are.
#[derive(Debug, Clone)]
pub struct Account {
    /// The partner.
    pub partner_id: PartnerId,
    /// Where it is registered.
    pub environment: Environment,
    /// Its API key.
    pub api_key: String,
}

/// One page of Get Orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrdersQuery {
    /// What was bought or sold; anything but a sale counts as bought.
    pub product: Product,
    /// The first and the last day, both included, in UTC.
    pub days: (NaiveDate, NaiveDate),
    /// How many orders to leave out.
    pub skip: usize,
    /// The most orders to answer with.
    pub limit: usize,
}

/// The client. One for the whole process.
#[derive(Debug)]
pub struct TransakRest {
    client: Client,
    settings: Settings,
    paces: Mutex<HashMap<PartnerId, Pace>>,
    /// What the last answers said of their clock.
    answers: Mutex<clock::Answers>,
}

/// The client on behalf of one partner, with an access token.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    rest: &'a TransakRest,
    account: &'a Account,
    token: &'a SecretString,
}

impl TransakRest {
    /// A client.
    ///
    /// # Errors
    /// The URL that stands in for Transak's is no web address, or the system's certificates cannot be read.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        let is_web = |url: &Url| matches!(url.scheme(), "http" | "https");
        anyhow::ensure!(
            settings.api_url.iter().all(is_web),
            "TRANSAK_API_URL must begin with http:// or https://"
        );
        let client = Client::builder()
            .connect_timeout(settings.connect)
            .timeout(settings.total)
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .user_agent(concat!("transak-relay/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, settings, paces: Mutex::default(), answers: Mutex::default() })
    }

    /// Makes a new access token. The one before it may stop to work for calls.
    pub async fn refresh_token(
        &self,
        account: &Account,
        api_secret: &SecretString,
    ) -> Result<Refreshed, RestError> {
        let url = self.url(account, &["refresh-token"]);
        let request = self.client.post(url).json(&json!({ "apiKey": account.api_key }));
        let sent = match secret(api_secret) {
            Ok(value) => self.send(account, request.header("api-secret", value)).await,
            Err(error) => Err(error),
        };
        // Here a 401 is about the secret: no access token was sent.
        let body = sent.map_err(|error| match error {
            RestError::InactiveToken => RestError::InvalidSecret,
            other => other,
        })?;
        Ok(answer::refreshed(&body)?)
    }

    /// How far this machine's clock is ahead of Transak's, as the middle of its last answers tells it; nothing before the
    /// first.
    pub fn ahead(&self) -> TimeDelta {
        clock::difference(self.answers.lock().unwrap_or_else(PoisonError::into_inner).middle())
    }

    /// The calls that need an access token.
    pub const fn session<'a>(&'a self, account: &'a Account, token: &'a SecretString) -> Session<'a> {
        Session { rest: self, account, token }
    }

    fn url(&self, account: &Account, path: &[&str]) -> Url {
        let host = match account.environment {
            Environment::Staging => "https://api-stg.transak.com",
            Environment::Production => "https://api.transak.com",
        };
        let own = || Url::parse(host).expect("a constant URL parses");
        let mut url = self.settings.api_url.clone().unwrap_or_else(own);
        url.path_segments_mut()
            .expect("an http URL has a path")
            .pop_if_empty()
            .extend(["partners", "api", "v2"])
            .extend(path);
        url
    }

    async fn send(&self, account: &Account, request: RequestBuilder) -> Result<BytesMut, RestError> {
        let mut headers = HeaderMap::new();
        let api_key =
            HeaderValue::from_str(&account.api_key).map_err(|_| RestError::Refused { status: 400 })?;
        headers.insert("x-api-key", api_key);
        if let Some(ip) = self.settings.user_ip {
            let ip = HeaderValue::from_str(&ip.to_string()).expect("an address is printable");
            headers.insert("x-user-ip", ip);
        }
        self.wait_for_turn(account.partner_id).await;
        let asked = Utc::now();
        let response = request.headers(headers).send().await;
        let response = response.map_err(|error| {
            // A URL of the caller's may be in it, and so an order id; nothing that opens anything.
            tracing::debug!(error = &error.without_url() as &dyn std::error::Error, "Transak's REST API");
            RestError::Unavailable { retry_after: None }
        })?;
        self.compare_clocks(asked, response.headers());
        answer::body(response).await
    }

    /// An answer out of somebody's cache tells an old time, and its age.
    fn compare_clocks(&self, asked: DateTime<Utc>, answer: &HeaderMap) {
        let date = answer.get(header::DATE).filter(|_| !answer.contains_key(header::AGE));
        let date = date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        if let Some(theirs) = date {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.note(clock::ahead((asked, Utc::now()), theirs.into()));
            let ahead = answers.believed();
            self.settings.clock.send_modify(|clock| clock.of_transak = ahead);
        }
    }

    async fn wait_for_turn(&self, partner: PartnerId) {
        let wait = {
            let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
            let pace = paces.entry(partner).or_insert_with(|| Pace::new(self.settings.rate));
            pace.turn(Instant::now().into_std())
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

impl Session<'_> {
    /// Get Order by id: the order as it stands, with its whole history.
    pub async fn order(&self, order_id: &str) -> Result<Box<RawValue>, RestError> {
        // A path cannot hold these two: they would name another resource.
        if matches!(order_id, "." | "..") {
            return Err(RestError::NotFound);
        }
        let body = self.get(self.rest.url(self.account, &["order", order_id])).await?;
        Ok(answer::order(&body, order_id)?)
    }

    /// Get Orders: one page, the oldest order first.
    pub async fn orders(&self, query: OrdersQuery) -> Result<OrdersPage, RestError> {
        let products = if query.product == Product::Sell { r#"["SELL"]"# } else { r#"["BUY"]"# };
        let mut url = self.rest.url(self.account, &["orders"]);
        url.query_pairs_mut()
            .append_pair("limit", &query.limit.to_string())
            .append_pair("skip", &query.skip.to_string())
            .append_pair("startDate", &query.days.0.to_string())
            .append_pair("endDate", &query.days.1.to_string())
            .append_pair("filter[productsAvailed]", products)
            .append_pair("filter[status]", STATUSES)
            .append_pair("filter[sortOrder]", "asc");
        let body = self.get(url).await?;
        Ok(answer::orders(&body)?)
    }

    /// Get Webhooks of one order: the messages that Transak sent, each with the order as it was then.
    pub async fn webhooks(&self, order_id: &str) -> Result<Vec<Box<RawValue>>, RestError> {
        let mut url = self.rest.url(self.account, &["webhooks"]);
        url.query_pairs_mut().append_pair("orderID", order_id);
        let body = self.get(url).await?;
        Ok(answer::rows(&body)?)
    }

    async fn get(&self, url: Url) -> Result<BytesMut, RestError> {
        let request = self.rest.client.get(url).header("access-token", secret(self.token)?);
        self.rest.send(self.account, request).await
    }
}

/// A header value that is never logged. One that cannot be sent is one that Transak would not accept.
fn secret(secret: &SecretString) -> Result<HeaderValue, RestError> {
    let value = HeaderValue::from_str(secret.expose_secret()).map_err(|_| RestError::InactiveToken);
    value.map(|mut value| {
        value.set_sensitive(true);
        value
    })
}

#[cfg(test)]
mod tests;
