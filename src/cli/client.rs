//! A caller of the HTTP interface, for one command.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use super::request::Request;
use crate::config::Place;
use crate::config::operation::Pages;

/// How long an answer may take: a test of an endpoint is answered within 40 seconds.
const DEADLINE: Duration = Duration::from_secs(45);

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The most a stream may be silent: it sends a comment every 5 seconds.
const SILENCE: Duration = Duration::from_secs(45);

/// The most rows of a page.
const LARGEST_PAGE: usize = 200;

/// What another server's answer is told as.
const NO_RELAY: &str = "the answer is not what a relay answers: is RELAY_URL a relay?";

/// An answer, as it came and as it reads: numbers stay digit for digit as they came in the text alone.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) value: Value,
}

impl Answer {
    pub(super) fn parse(text: String) -> anyhow::Result<Self> {
        let value = serde_json::from_str(&text).context(NO_RELAY)?;
        Ok(Self { text, value })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    data: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// What became of opening a stream.
pub(super) enum Opened {
    Stream(Response),
    /// Nobody answers, or not now.
    NotNow,
    /// The event behind which it was to begin is not there.
    Gone,
}

pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    token: SecretString,
}

impl Client {
    pub(super) fn new(place: &Place) -> anyhow::Result<Self> {
        let token = place.relay_token.clone();
        let token =
            token.context("a token is needed: set RELAY_TOKEN or RELAY_TOKEN_FILE, or give --relay-token")?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("transak-relay/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http, base: place.relay_url.clone(), token })
    }

    /// Where the relay is asked.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// What the relay answers to a request; an empty text if it has nothing to say.
    pub(super) async fn ask(&self, request: &Request) -> anyhow::Result<String> {
        let method = Method::from_bytes(request.method.as_bytes())?;
        let mut asked = self.request(method, &request.path)?.query(&request.query);
        if let Some(body) = &request.body {
            asked = asked.json(body);
        }
        self.answer(asked).await
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        Answer::parse(self.answer(self.request(Method::GET, path)?).await?)
    }

    /// The rows of a list, over as many of its pages as are needed, and whether there are more.
    pub(super) async fn list(
        &self,
        request: &Request,
        pages: Pages,
    ) -> anyhow::Result<(Vec<Box<RawValue>>, bool)> {
        let most = match pages {
            Pages::First(most) => most,
            Pages::All => usize::MAX,
        };
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let limit = (most - rows.len()).min(LARGEST_PAGE).to_string();
            let mut asked = self.request(Method::GET, &request.path)?.query(&request.query);
            asked = asked.query(&[("limit", limit.as_str())]);
            if let Some(cursor) = &cursor {
                asked = asked.query(&[("cursor", cursor)]);
            }
            let page: Page = serde_json::from_str(&self.answer(asked).await?).context(NO_RELAY)?;
            rows.extend(page.data);
            match page.next_cursor {
                Some(next) if rows.len() < most => cursor = Some(next),
                next => return Ok((rows, next.is_some())),
            }
        }
    }

    /// What the relay answers to a question; `None`: nobody answers, or not now.
    pub(super) async fn try_get(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<Option<Answer>> {
        match self.request(Method::GET, path)?.query(query).timeout(DEADLINE).send().await {
            Ok(answer) if is_not_now(answer.status()) => Ok(None),
            Ok(answer) => judged(answer).await?.text().await.ok().map(Answer::parse).transpose(),
            Err(_) => Ok(None),
        }
    }

    /// A stream, behind the event `last` if one is named.
    pub(super) async fn stream(
        &self,
        path: &str,
        query: &[(&str, String)],
        last: Option<&str>,
    ) -> anyhow::Result<Opened> {
        let mut request = self.request(Method::GET, path)?.query(query);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        match request.send().await {
            Ok(answer) if is_not_now(answer.status()) => Ok(Opened::NotNow),
            Ok(answer) if last.is_some() && answer.status() == StatusCode::NOT_FOUND => Ok(Opened::Gone),
            Ok(answer) => Ok(Opened::Stream(judged(answer).await?)),
            Err(_) => Ok(Opened::NotNow),
        }
    }

    fn request(&self, method: Method, path: &str) -> anyhow::Result<RequestBuilder> {
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        Ok(self.http.request(method, Url::parse(&url)?).bearer_auth(self.token.expose_secret()))
    }

    async fn answer(&self, request: RequestBuilder) -> anyhow::Result<String> {
        let answer = request.timeout(DEADLINE).send().await;
        let answer = answer.with_context(|| format!("nobody answers at {} (RELAY_URL)", self.base))?;
        judged(answer).await?.text().await.context("the answer broke off")
    }
}

/// Whether the same request may be answered otherwise a moment later.
fn is_not_now(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// An answer of success; else what the relay says is wrong.
async fn judged(answer: Response) -> anyhow::Result<Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let problem: Value = answer.json().await.unwrap_or_default();
    match problem["detail"].as_str() {
        Some(detail) => bail!("{detail} ({status})"),
        None => bail!("the relay answered {status}"),
    }
}
