//! Everything on Transak's side of the relay, in one: the stream, the REST API, and orders that never stop coming.
//!
//! Guarantees: a step is in the REST state before it is on the stream, so that whoever hears it and asks finds it; on the
//! `<API_KEY>` channel it is a JWT signed with the live access token, on the two public channels of the order plain
//! JSON (`docs.transak.com/features/websockets`). A missed webhook is not repeated: nothing says Transak does.

mod control;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use secrecy::SecretString;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

pub use control::HEADER as SANDBOX_HEADER;

use super::book::Book;
use super::http_server::HttpServer;
use super::lifecycle::{Lifecycle, Plan, Step, iso};
use super::rest::{Rest, Tokens};
use super::{client, pusher, signing};

/// Transak's public Pusher app (`docs.transak.com/features/websockets`).
pub const APP_KEY: &str = "1d9ffac87de599c61283";
/// How long the first order waits for a listener: an order nobody hears is a dull beginning.
const FIRST_LISTENER: Duration = Duration::from_secs(30);
/// Orders in play at once.
const IN_PLAY: usize = 1_000;

/// How fast orders come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Time between two new orders.
    pub new_order: Duration,
    /// How many times faster than on Transak's staging an order goes from step to step (at least 1).
    pub hurry: u32,
}

impl Default for Pace {
    /// A new order every three seconds; one that completes does so in less than ten.
    fn default() -> Self {
        Self { new_order: Duration::from_secs(3), hurry: 10 }
    }
}

/// What the upstream needs to know.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// Where the Pusher server listens; port 0 takes a free one.
    pub pusher_listen: SocketAddr,
    /// Where the REST API listens; port 0 takes a free one.
    pub rest_listen: SocketAddr,
    /// Where orders are asked for; port 0 takes a free one.
    pub control_listen: SocketAddr,
    /// The Pusher app, [`APP_KEY`] unless the relay is told another.
    pub app_key: String,
    /// The partner's API key.
    pub api_key: String,
    /// The partner's secret for refreshing the access token.
    pub api_secret: SecretString,
    /// The access token that signs until it is refreshed.
    pub access_token: SecretString,
    /// Where webhooks go, if anywhere: the relay's `/ingest/transak/{partnerId}`.
    pub webhook_url: Option<Url>,
    /// How fast.
    pub pace: Pace,
}

impl UpstreamSettings {
    /// On free ports of 127.0.0.1, without webhooks.
    pub fn local(api_key: &str, access_token: SecretString) -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            pusher_listen: free,
            rest_listen: free,
            control_listen: free,
            app_key: APP_KEY.to_owned(),
            api_key: api_key.to_owned(),
            api_secret: "sandbox-secret".into(),
            access_token,
            webhook_url: None,
            pace: Pace::default(),
        }
    }
}

#[derive(Debug)]
struct Stage {
    pusher: pusher::Server,
    rest: Rest,
    book: Arc<Book>,
    tokens: Arc<Tokens>,
    webhooks: Option<(reqwest::Client, Url)>,
    pace: Pace,
}

/// The running upstream. Dropping it cuts everything.
#[derive(Debug)]
pub struct Upstream {
    stage: Arc<Stage>,
    control: HttpServer,
    player: JoinSet<()>,
    /// The order that [`Upstream::play`] begins with.
    first: Lifecycle,
    stop: CancellationToken,
}

impl Upstream {
    /// Starts both servers, and the endless round of orders once somebody listens.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub async fn start(settings: UpstreamSettings) -> anyhow::Result<Self> {
        let mut upstream = Self::start_idle(settings).await?;
        upstream.play();
        Ok(upstream)
    }

    /// Begins the endless round of orders, once somebody listens.
    pub fn play(&mut self) {
        let (stage, first) = (Arc::clone(&self.stage), self.first.clone());
        self.player.spawn(play_forever(stage, first, self.stop.clone()));
    }

    /// The id of the order that [`Upstream::play`] begins with.
    pub fn first_order(&self) -> &str {
        self.first.order_id()
    }

    /// Starts both servers, but no order: [`Upstream::step`] plays them one step at a time, [`Upstream::play`] all.
    ///
    /// # Errors
    /// As [`Upstream::start`].
    pub async fn start_idle(settings: UpstreamSettings) -> anyhow::Result<Self> {
        let UpstreamSettings { api_key, api_secret, access_token, pace, .. } = settings;
        let book = Arc::new(Book::new(&api_key));
        let tokens = Arc::new(Tokens::new(&api_key, api_secret, (access_token, Utc::now().timestamp())));
        let pusher = pusher::Server::start(pusher::Settings {
            listen: settings.pusher_listen,
            app_key: settings.app_key,
            activity_timeout: pusher::Settings::ACTIVITY_TIMEOUT,
        });
        let pusher = pusher.await.with_context(|| format!("cannot listen on {}", settings.pusher_listen))?;
        let rest = Rest::start(settings.rest_listen, Arc::clone(&book), Arc::clone(&tokens));
        let rest = rest.await.with_context(|| format!("cannot listen on {}", settings.rest_listen))?;
        let webhooks =
            settings.webhook_url.map(|url| Ok::<_, reqwest::Error>((client()?, url))).transpose()?;
        let stage = Arc::new(Stage { pusher, rest, book, tokens, webhooks, pace });
        let control = control::start(settings.control_listen, Arc::clone(&stage)).await;
        let control = control.with_context(|| format!("cannot listen on {}", settings.control_listen))?;
        let (player, stop) = (JoinSet::new(), CancellationToken::new());
        Ok(Self { stage, control, player, first: life(Plan::ROUND[0]), stop })
    }

    /// The stream.
    pub fn pusher(&self) -> &pusher::Server {
        &self.stage.pusher
    }

    /// The REST API.
    pub fn rest(&self) -> &Rest {
        &self.stage.rest
    }

    /// Where orders are asked for.
    pub fn control_url(&self) -> String {
        format!("http://{}/", self.control.addr())
    }

    /// The orders played so far.
    pub fn book(&self) -> &Book {
        &self.stage.book
    }

    /// The order's next step happens now, everywhere. Answers the step and how many connections heard it on the
    /// `<API_KEY>` channel; `None` at the order's end.
    ///
    /// # Errors
    /// Only if the signing library fails.
    pub async fn step(&self, life: &mut Lifecycle) -> anyhow::Result<Option<(Step, usize)>> {
        self.stage.step(life).await
    }

    /// Ends the orders and frees both addresses.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.player.join_next().await.is_some() {}
        self.control.stop().await;
        if let Some(stage) = Arc::into_inner(self.stage) {
            stage.pusher.stop().await;
            stage.rest.stop().await;
        }
    }
}

/// Runs an upstream until it is told to stop: the `upstream` process of a deployment for trying out.
///
/// # Errors
/// As [`Upstream::start`].
pub async fn run_upstream(settings: UpstreamSettings, stop: CancellationToken) -> anyhow::Result<()> {
    let upstream = Upstream::start(settings).await?;
    tracing::info!(
        pusher = upstream.pusher().url(),
        rest = upstream.rest().url(),
        control = upstream.control_url(),
        "playing orders"
    );
    stop.cancelled().await;
    upstream.stop().await;
    Ok(())
}

async fn play_forever(stage: Arc<Stage>, first: Lifecycle, stop: CancellationToken) {
    let mut orders = JoinSet::new();
    tokio::select! {
        () = stop.cancelled() => {}
        () = begin_orders(&stage, first, &mut orders) => {}
    }
    orders.shutdown().await;
}

async fn begin_orders(stage: &Arc<Stage>, first: Lifecycle, orders: &mut JoinSet<()>) {
    let _heard_or_not = timeout(FIRST_LISTENER, stage.pusher.subscribed(stage.book.api_key(), 1)).await;
    let mut ticks = interval(stage.pace.new_order);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let others = Plan::ROUND.iter().cycle().skip(1).map(|plan| life(*plan));
    for order in std::iter::once(first).chain(others) {
        ticks.tick().await;
        while orders.try_join_next().is_some() {}
        if orders.len() < IN_PLAY {
            orders.spawn(play_one(Arc::clone(stage), order));
        }
    }
}

fn life(plan: Plan) -> Lifecycle {
    Lifecycle::new(plan, &mut fastrand::Rng::new())
}

async fn play_one(stage: Arc<Stage>, mut life: Lifecycle) {
    while let Some(delay) = life.next_delay() {
        sleep(delay / stage.pace.hurry.max(1)).await;
        if let Err(error) = stage.step(&mut life).await {
            tracing::error!(%error, "an order of the sandbox ends early");
            return;
        }
    }
}

impl Stage {
    async fn step(&self, life: &mut Lifecycle) -> anyhow::Result<Option<(Step, usize)>> {
        let Some(step) = life.advance(Utc::now()) else { return Ok(None) };
        self.book.record(&step);
        let heard = if step.on_stream { self.publish(&step)? } else { 0 };
        self.send_webhook(&step).await?;
        Ok(Some((step, heard)))
    }

    fn publish(&self, step: &Step) -> anyhow::Result<usize> {
        let order = step.order.to_json();
        let api_key = self.book.api_key();
        let heard = self.pusher.publish(api_key, step.event, &signing::sign(&self.tokens.current(), &order)?);
        self.pusher.publish(&step.order.id, step.event, &order);
        self.pusher.publish(&format!("{api_key}_{}", step.order.partner_order_id), step.event, &order);
        Ok(heard)
    }

    /// `{"data":"<JWT>"}`, once, as Transak sends it (`docs.transak.com/features/webhooks`).
    async fn send_webhook(&self, step: &Step) -> anyhow::Result<()> {
        let Some((http, url)) = &self.webhooks else { return Ok(()) };
        let claims = format!(
            "{{\"webhookData\":{},\"eventID\":\"{}\",\"createdAt\":\"{}\"}}",
            step.order.to_webhook_json(),
            step.event,
            iso(step.at)
        );
        let token = signing::sign(&self.tokens.current(), &claims)?;
        let sent = http.post(url.clone()).json(&serde_json::json!({ "data": token })).send().await;
        if let Err(error) = sent.and_then(reqwest::Response::error_for_status) {
            tracing::warn!(error = %error.without_url(), "a webhook of the sandbox was not taken and is lost");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
