//! Everything that `dev` runs, from the database to the receiver.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::folder::Folder;
use crate::app::listening;
use crate::app::serve::Relay;
use crate::config::{Cli, Command, Serve};
use crate::sandbox::postgres::{Options, Postgres};
use crate::sandbox::receiver::{Gate, Receiver};
use crate::sandbox::{RelayApi, Tour, Upstream, UpstreamSettings, banner, signing};
use crate::shutdown::Tasks;
use crate::telemetry;

/// The API key whose orders the sandbox plays: nobody's.
const API_KEY: &str = "00000000-0000-4000-8000-000000000000";

/// How long a simulated access token lives: seven days, as Transak's do.
const TOKEN_LIFETIME: i64 = 604_800;

/// How long the relay has to become ready.
const PATIENCE: Duration = Duration::from_mins(1);

/// All of it, ready: the first order is not played yet.
pub(super) struct Stage {
    database: Postgres,
    upstream: Upstream,
    receiver: Receiver,
    gate: Gate,
    tasks: Tasks,
    tour: Tour,
}

impl Stage {
    /// Starts everything and registers the receiver.
    pub(super) async fn start(folder: Folder, listen: SocketAddr) -> anyhow::Result<Self> {
        // First, for it is quickly told and mended; it is free again before the relay takes it.
        drop(listening::bind(listen).await?);
        let database = Postgres::start(folder.path(), Options::default()).await?;
        let access_token = signing::access_token(API_KEY, chrono::Utc::now().timestamp(), TOKEN_LIFETIME)?;
        let upstream = Upstream::start_idle(UpstreamSettings::local(API_KEY, access_token.clone())).await?;
        folder.remember_control(&upstream.control_url())?;
        let gate = Gate::default();
        let receiver = receiver(&folder, &gate).await?;
        receiver.trust_access_token(access_token.clone());
        let around = Around {
            database_url: database.url(),
            pusher: upstream.pusher().url(),
            transak: upstream.rest().url(),
            access_token: &access_token,
        };
        let mut tasks = Tasks::default();
        let serve = around.configure(&folder, listen)?;
        let relay = Relay::prepare(serve, telemetry::start_metrics()?).await?;
        let relay_url: Url = format!("http://{}/", relay.address().context("dev answers HTTP")?).parse()?;
        relay.start(&mut tasks).await?;
        let token = folder.token()?;
        let partner_id = register(&receiver, (&relay_url, &token), tasks.stop_token()).await?;
        let order_id = upstream.first_order().to_owned();
        let (token_file, receiver_url) = (folder.token_file(), receiver.url().parse()?);
        let tour = Tour { relay_url, token, token_file, partner_id, order_id, receiver_url };
        Ok(Self { database, upstream, receiver, gate, tasks, tour })
    }

    /// Shows what there is, and then what happens, until interrupted.
    pub(super) async fn play_until(mut self, interrupted: impl Future<Output = ()>) -> anyhow::Result<()> {
        show(&banner(&self.tour));
        self.gate.open();
        self.upstream.play();
        let ended = self.tasks.run_until(interrupted).await;
        self.receiver.stop().await;
        self.upstream.stop().await;
        self.database.stop().await?;
        ended
    }
}

/// The receiver, where it was in the run before if that port is still free.
async fn receiver(folder: &Folder, gate: &Gate) -> anyhow::Result<Receiver> {
    let listen = |port: u16| Receiver::start(([127, 0, 0, 1], port).into(), gate.clone());
    let receiver = match listen(folder.receiver_port()).await {
        Ok(receiver) => receiver,
        Err(_) => listen(0).await?,
    };
    folder.remember_receiver(&receiver.url())?;
    Ok(receiver)
}

/// Registers the receiver with the first partner, once the relay is ready; answers that partner's id.
async fn register(
    receiver: &Receiver,
    (relay_url, token): (&Url, &SecretString),
    stop: CancellationToken,
) -> anyhow::Result<String> {
    let api = RelayApi::new(relay_url.clone(), token.clone())?;
    // Before anything can arrive: what was owed in the run before is signed with the same secret.
    receiver.trust_secret(api.secret_for(&receiver.url()));
    let ready = tokio::time::timeout(PATIENCE, api.ready(&stop));
    anyhow::ensure!(
        ready.await == Ok(true),
        "the relay is not ready after {} seconds: see {relay_url}readyz",
        PATIENCE.as_secs()
    );
    Ok(api.register(None, &receiver.url()).await?.partner_id)
}

#[expect(clippy::print_stdout, reason = "what to try next is what `dev` is for")]
fn show(text: &str) {
    print!("{text}");
}

/// What the relay of the sandbox has around it.
struct Around<'a> {
    database_url: &'a SecretString,
    pusher: String,
    transak: String,
    access_token: &'a SecretString,
}

impl Around<'_> {
    /// The configuration of `serve`, read the way an operator gives it, and from nowhere else.
    fn configure(&self, folder: &Folder, listen: SocketAddr) -> anyhow::Result<Serve> {
        let (master_key, token) = (folder.master_key()?, folder.token()?);
        let (spool, listen) = (folder.spool()?, listen.to_string());
        let arguments = [
            ("--database-url", self.database_url.expose_secret()),
            ("--listen", &listen),
            ("--master-key", master_key.expose_secret()),
            ("--admin-token", token.expose_secret()),
            ("--allow-callback-cidrs", "127.0.0.0/8,::1/128"),
            ("--allow-http-callbacks", "true"),
            ("--pusher-url", &self.pusher),
            ("--spool-dir", &spool),
            ("--transak-api-url", &self.transak),
            ("--transak-api-key", API_KEY),
            ("--transak-access-token", self.access_token.expose_secret()),
            ("--transak-environment", "STAGING"),
        ];
        let words = arguments.iter().flat_map(|(name, value)| [*name, *value]);
        let cli = Cli::of_words(["transak-relay", "serve"].into_iter().chain(words))?;
        match cli.command {
            Command::Serve(serve) => Ok(*serve),
            _ => anyhow::bail!("`serve` was asked for"),
        }
    }
}
