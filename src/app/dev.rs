//! `transak-relay dev`: the relay as in production, between a simulated Transak and a callback receiver.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::serve::Relay;
use crate::config::{Cli, Command, Dev, DevOnly, Serve};
use crate::model::token;
use crate::sandbox::postgres::{self, Options, Postgres};
use crate::sandbox::receiver::Receiver;
use crate::sandbox::{
    ReceiverSettings, RelayApi, Tour, Upstream, UpstreamSettings, next_steps, run_receiver, run_upstream,
    signing,
};
use crate::shutdown::{self, Tasks};
use crate::telemetry;

/// The API key whose orders the sandbox plays: nobody's.
const API_KEY: &str = "00000000-0000-4000-8000-000000000000";

/// How long a simulated access token lives: seven days, as Transak's do.
const TOKEN_LIFETIME: i64 = 604_800;

/// Runs until interrupted.
pub(super) async fn run(config: Dev) -> anyhow::Result<()> {
    match config.only {
        Some(only) => run_only(only).await,
        None => run_all(config).await,
    }
}

async fn run_only(only: DevOnly) -> anyhow::Result<()> {
    let mut tasks = Tasks::default();
    let stop = tasks.stop_token();
    match only {
        DevOnly::Upstream { pusher_listen, rest_listen, api_key, access_token } => {
            let settings = UpstreamSettings {
                pusher_listen,
                rest_listen,
                ..UpstreamSettings::local(&api_key, access_token)
            };
            tasks.spawn("upstream", run_upstream(settings, stop));
        }
        DevOnly::Receiver { listen, url, relay_url, token } => {
            let settings = ReceiverSettings {
                listen,
                public_url: url,
                relay_url,
                admin_token: token,
                partner_id: None,
                access_token: None,
            };
            tasks.spawn("receiver", run_receiver(settings, stop));
        }
    }
    tasks.run_until(shutdown::interrupted()).await
}

async fn run_all(config: Dev) -> anyhow::Result<()> {
    let dir = match config.dir {
        Some(dir) => dir,
        None => postgres::default_dir(config.home.as_deref()).await,
    };
    let database = Postgres::start(&dir, Options::default()).await?;
    let ended = run_on(&database, &dir, config.listen).await;
    database.stop().await?;
    ended
}

async fn run_on(database: &Postgres, dir: &Path, listen: std::net::SocketAddr) -> anyhow::Result<()> {
    let access_token = signing::access_token(API_KEY, chrono::Utc::now().timestamp(), TOKEN_LIFETIME)?;
    let upstream = Upstream::start(UpstreamSettings::local(API_KEY, access_token.clone())).await?;
    let receiver = receiver(&dir.join("receiver.url")).await?;
    let admin_token = token::generate();
    let serve = serve_config(&Around {
        database_url: database.url(),
        dir,
        listen,
        pusher: upstream.pusher().url(),
        access_token: &access_token,
        admin_token: &admin_token,
    })?;
    let mut tasks = Tasks::default();
    let relay = Relay::prepare(serve, telemetry::start_metrics()?).await?;
    let relay_url: Url = format!("http://{}/", relay.address().context("dev answers HTTP")?).parse()?;
    relay.start(&mut tasks).await?;
    let stop = tasks.stop_token();
    let guide = guide(receiver, (relay_url, admin_token), access_token, stop);
    tasks.spawn("guide", guide);
    let ended = tasks.run_until(shutdown::interrupted()).await;
    upstream.stop().await;
    ended
}

/// The receiver, where it was in the run before if that port is still free: what is owed to it then still arrives.
async fn receiver(remembered: &Path) -> anyhow::Result<Receiver> {
    let before = std::fs::read_to_string(remembered).ok().and_then(|url| Url::parse(&url).ok()?.port());
    let listen = |port: u16| Receiver::start(([127, 0, 0, 1], port).into(), std::io::stdout());
    let receiver = match listen(before.unwrap_or(0)).await {
        Ok(receiver) => receiver,
        Err(_) => listen(0).await?,
    };
    std::fs::write(remembered, receiver.url())
        .with_context(|| format!("cannot write {}", remembered.display()))?;
    Ok(receiver)
}

/// Registers the receiver, shows what to try once something has arrived, and keeps the receiver running.
async fn guide(
    receiver: Receiver,
    (relay_url, token): (Url, SecretString),
    access_token: SecretString,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let api = RelayApi::new(relay_url.clone(), token.clone())?;
    if !api.ready(&stop).await {
        return Ok(());
    }
    let receiver_url: Url = receiver.url().parse()?;
    let registered = api.register(None, receiver_url.as_str()).await?;
    receiver.trust_secret(registered.secret);
    receiver.trust_access_token(access_token);
    let mut count = receiver.count();
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        arrived = count.wait_for(|&count| count > 0) => { arrived?; }
    }
    if let Some(arrival) = receiver.arrivals().into_iter().next() {
        let order_id = arrival.order_id;
        let tour = Tour { relay_url, token, partner_id: registered.partner_id, order_id, receiver_url };
        show(&next_steps(&tour));
    }
    stop.cancelled().await;
    receiver.stop().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what to try next is what `dev` is for")]
fn show(text: &str) {
    println!("{text}");
}

struct Around<'a> {
    database_url: &'a SecretString,
    dir: &'a Path,
    listen: std::net::SocketAddr,
    pusher: String,
    access_token: &'a SecretString,
    admin_token: &'a SecretString,
}

/// The configuration of `serve`, read the way an operator gives it.
fn serve_config(around: &Around<'_>) -> anyhow::Result<Serve> {
    let master_key = master_key(&around.dir.join("master.key"))?;
    let spool = around.dir.join("spool");
    let listen = around.listen.to_string();
    let arguments = [
        ("--database-url", around.database_url.expose_secret()),
        ("--listen", &listen),
        ("--master-key", &master_key),
        ("--admin-token", around.admin_token.expose_secret()),
        ("--allow-callback-cidrs", "127.0.0.0/8"),
        ("--allow-http-callbacks", "true"),
        ("--pusher-url", &around.pusher),
        ("--spool-dir", spool.to_str().context("the folder's name is not UTF-8")?),
        ("--transak-api-key", API_KEY),
        ("--transak-access-token", around.access_token.expose_secret()),
        ("--transak-environment", "STAGING"),
    ];
    let words = arguments.iter().flat_map(|(name, value)| [*name, *value]);
    let cli = Cli::try_parse_from(["transak-relay", "serve"].into_iter().chain(words))?;
    match cli.command {
        Command::Serve(serve) => Ok(*serve),
        _ => anyhow::bail!("`serve` was asked for"),
    }
}

/// The key of this sandbox's database, made at its first start.
fn master_key(path: &PathBuf) -> anyhow::Result<String> {
    if let Ok(key) = std::fs::read_to_string(path) {
        return Ok(key);
    }
    let mut key = [0u8; 32];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
    let key = STANDARD.encode(key);
    std::fs::write(path, &key).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(key)
}
