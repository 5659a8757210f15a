//! What `serve` is told.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use secrecy::SecretString;
use url::Url;

use super::Database;
use super::networks::network;
use super::{address, rotate};
use crate::model::origin::Origin;
use crate::model::partner::Environment;
use crate::model::seal::MasterKey;

/// What a process does. Several processes may share one database and the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Answer the HTTP interface.
    Api,
    /// Listen to Transak's stream.
    Stream,
    /// Send callbacks.
    Dispatch,
}

#[derive(Debug, Clone, Args)]
pub struct Serve {
    #[command(flatten)]
    pub database: Database,
    /// Where the HTTP interface listens.
    #[arg(long, env = "RELAY_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// What this process does.
    #[arg(
        long,
        env = "RELAY_ROLES",
        value_enum,
        value_delimiter = ',',
        default_value = "api,stream,dispatch"
    )]
    pub roles: Vec<Role>,
    /// Encrypts secrets in the database: 32 bytes in base64 (`openssl rand -base64 32`). Losing it loses them.
    #[arg(long, env = "RELAY_MASTER_KEY", hide_env_values = true, value_name = "BASE64", value_parser = master_key)]
    pub master_key: MasterKey,
    /// The key before that one, while it is being changed (`rotate-master-key`): what it sealed still opens.
    #[arg(long, env = "RELAY_MASTER_KEY_PREVIOUS", hide_env_values = true, value_name = "BASE64", value_parser = master_key)]
    pub master_key_previous: Option<MasterKey>,
    /// Do not bring the database up to date: wait until somebody else has (`transak-relay migrate`).
    #[arg(long, env = "RELAY_NO_MIGRATE", default_value = "false", action = clap::ArgAction::Set,
          num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub no_migrate: bool,
    /// A token with all rights, to make the first partners and tokens with: 20 characters or more.
    #[arg(long, env = "RELAY_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN", value_parser = admin_token)]
    pub admin_token: Option<SecretString>,
    #[command(flatten)]
    pub interface: Interface,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub callbacks: Callbacks,
    #[command(flatten)]
    pub pusher: Pusher,
    #[command(flatten)]
    pub transak: Transak,
    #[command(flatten)]
    pub spool: SpoolPlace,
    #[command(flatten)]
    pub retention: Keeping,
    #[command(flatten)]
    pub traces: Traces,
    #[command(flatten)]
    pub partner: FirstPartner,
}

/// How Transak's REST API is asked.
#[derive(Debug, Clone, Args)]
pub struct Transak {
    /// Transak's REST API, instead of the host of each partner's environment.
    #[arg(long, env = "TRANSAK_API_URL", value_name = "URL", value_parser = address::web)]
    pub transak_api_url: Option<Url>,
    /// Sent to Transak as `x-user-ip`, for accounts that must send one.
    #[arg(long, env = "RELAY_TRANSAK_USER_IP", value_name = "ADDRESS")]
    pub transak_user_ip: Option<IpAddr>,
    /// The most requests a second to Transak for one partner.
    #[arg(long, env = "RELAY_TRANSAK_REQUESTS_PER_SECOND", default_value = "10", value_name = "NUMBER")]
    pub transak_requests_per_second: NonZeroU32,
    /// How often an order under way is compared with Transak's own record, in seconds.
    #[arg(long, env = "RELAY_RECONCILE_SECONDS", default_value = "60", value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub reconcile_seconds: u64,
}

#[derive(Debug, Clone, Args)]
pub struct Interface {
    /// The origins whose web pages may call the interface, such as `https://app.example.com`, or `*`; none if not given.
    #[arg(long, env = "RELAY_CORS_ORIGINS", value_delimiter = ',', value_name = "ORIGIN", value_parser = Origin::parse)]
    pub cors_origins: Vec<Origin>,
    /// The requests a second that each token may make for long, five times as many at once; 0: no limit.
    #[arg(long, env = "RELAY_TOKEN_RATE", default_value = "200", value_name = "REQUESTS",
          value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub token_rate: u32,
    /// The proxies before the relay, such as `10.0.0.0/8,2001:db8::7`: their `Forwarded` or `X-Forwarded-For` tells whose a
    /// request is, so that unverified webhooks are bounded for each sender and not for all together. Nobody's if not given.
    #[arg(long, env = "RELAY_TRUSTED_PROXIES", value_delimiter = ',', value_name = "CIDR", value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Let `/metrics`, which asks for no token, name the partners that nobody hears, at most 20, so that the alert names them
    /// too. Without it, the metrics say nothing of who the partners are.
    #[arg(long, env = "RELAY_METRICS_PARTNERS", default_value = "false", action = clap::ArgAction::Set,
          num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub metrics_partners: bool,
}

/// How much one partner may make.
#[derive(Debug, Clone, Args)]
pub struct Limits {
    /// The most endpoints of one partner, unless its `maxEndpoints` says another number.
    #[arg(long, env = "RELAY_MAX_ENDPOINTS_PER_PARTNER", default_value = "1000", value_name = "NUMBER")]
    pub max_endpoints_per_partner: NonZeroU32,
    /// The most channels that one partner may watch at once.
    #[arg(long, env = "RELAY_MAX_WATCHES_PER_PARTNER", default_value = "10000", value_name = "NUMBER")]
    pub max_watches_per_partner: NonZeroU32,
}

#[derive(Debug, Clone, Args)]
pub struct Keeping {
    /// How many days things are kept: what is older is deleted. What is still owed to an endpoint is kept, and orders that
    /// are not over for two years (docs/retention.md). 0 keeps everything.
    #[arg(long, env = "RELAY_RETENTION_DAYS", default_value = "90", value_name = "DAYS",
          value_parser = clap::value_parser!(u32).range(0..=36_500))]
    pub retention_days: u32,
    /// How many days something is held for a disabled endpoint: then it is given up, as exhausted, and is told again only when
    /// somebody recovers it. 0 holds for ever.
    #[arg(long, env = "RELAY_HELD_DAYS", default_value = "30", value_name = "DAYS",
          value_parser = clap::value_parser!(u32).range(0..=36_500))]
    pub held_days: u32,
    /// Instead of days, to watch retention at work: 60 seconds or more.
    #[arg(long, env = "RELAY_RETENTION_SECONDS", hide = true, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(60..))]
    pub retention_seconds: Option<u32>,
}

impl Keeping {
    /// How long things are kept; `None`: for ever.
    pub fn kept(&self) -> Option<Duration> {
        let days = Duration::from_hours(24) * self.retention_days;
        match self.retention_seconds {
            Some(seconds) => Some(Duration::from_secs(seconds.into())),
            None => Some(days).filter(|days| !days.is_zero()),
        }
    }

    /// How long something is held for a disabled endpoint; `None`: for ever.
    pub fn held(&self) -> Option<Duration> {
        Some(Duration::from_hours(24) * self.held_days).filter(|held| !held.is_zero())
    }
}

#[derive(Debug, Clone, Args)]
pub struct SpoolPlace {
    /// Where messages wait on disk while the database is away. Must be on a disk that outlives the process.
    #[arg(long, env = "RELAY_SPOOL_DIR", default_value = "spool", value_name = "FOLDER")]
    pub spool_dir: PathBuf,
    /// The most bytes that may wait there; beyond it messages are refused, loudly.
    #[arg(long, env = "RELAY_SPOOL_MAX_BYTES", default_value = "1073741824", value_name = "BYTES")]
    pub spool_max_bytes: u64,
}

#[derive(Debug, Clone, Args)]
pub struct Callbacks {
    /// Address ranges that callbacks may reach although they are private or special, such as 10.1.0.0/16.
    #[arg(long, env = "RELAY_ALLOW_CALLBACK_CIDRS", value_delimiter = ',', value_name = "CIDR")]
    pub allow_callback_cidrs: Vec<IpNet>,
    /// Let callback URLs begin with http://.
    #[arg(long, env = "RELAY_ALLOW_HTTP_CALLBACKS", default_value = "false", action = clap::ArgAction::Set,
          num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub allow_http_callbacks: bool,
    /// The most callbacks under way at once. Those that have waited for their answers for more than two seconds are counted
    /// apart: there may be three times as many.
    #[arg(long, env = "RELAY_DISPATCH_CONCURRENCY", default_value = "256", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub dispatch_concurrency: u16,
}

#[derive(Debug, Clone, Args)]
pub struct Pusher {
    /// The Pusher server, instead of the one of the cluster: ws://host:port or wss://host:port.
    #[arg(long, env = "PUSHER_URL", value_name = "URL", value_parser = address::stream)]
    pub pusher_url: Option<Url>,
    /// Transak's Pusher application (docs.transak.com/features/websockets).
    #[arg(long, env = "PUSHER_APP_KEY", default_value = "1d9ffac87de599c61283", value_name = "KEY")]
    pub pusher_app_key: String,
    /// The cluster that application lives in.
    #[arg(long, env = "PUSHER_CLUSTER", default_value = "ap2", value_name = "NAME")]
    pub pusher_cluster: String,
    /// How many processes listen at once, each on a connection of its own.
    #[arg(long, env = "RELAY_STREAM_COPIES", default_value = "2", value_parser = clap::value_parser!(u16).range(1..=16))]
    pub stream_copies: u16,
}

impl Pusher {
    /// Where to connect.
    pub fn base(&self) -> anyhow::Result<Url> {
        let cluster = || Url::parse(&format!("wss://ws-{}.pusher.com", self.pusher_cluster));
        Ok(self.pusher_url.clone().map_or_else(cluster, Ok)?)
    }
}

/// Who collects traces.
#[derive(Debug, Clone, Args)]
pub struct Traces {
    /// Where traces are sent: an OpenTelemetry collector that takes OTLP over HTTP, such as `http://localhost:4318`. The SDK's
    /// other variables count too (`OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS`). No traces if not given.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", value_parser = address::web)]
    pub otlp_endpoint: Option<Url>,
}

/// A partner that is there from the first start on.
#[derive(Debug, Clone, Args)]
pub struct FirstPartner {
    /// The API key of a first partner, made at start if it is not there yet.
    #[arg(long, env = "TRANSAK_API_KEY", value_name = "KEY")]
    pub transak_api_key: Option<String>,
    /// That partner's access token: verifies what Transak sends.
    #[arg(long, env = "TRANSAK_ACCESS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub transak_access_token: Option<SecretString>,
    /// That partner's API secret: makes new access tokens.
    #[arg(long, env = "TRANSAK_API_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub transak_api_secret: Option<SecretString>,
    /// Which of Transak's two worlds the key belongs to.
    #[arg(long, env = "TRANSAK_ENVIRONMENT", default_value = "STAGING", value_parser = environment, value_name = "STAGING|PRODUCTION")]
    pub transak_environment: Environment,
}

impl Serve {
    /// The master key, with the one before it.
    ///
    /// # Errors
    /// They are the same.
    pub fn keys(&self) -> anyhow::Result<MasterKey> {
        rotate::keys(&self.master_key, self.master_key_previous.as_ref())
    }
}

pub(super) fn master_key(text: &str) -> Result<MasterKey, String> {
    MasterKey::parse(text).map_err(|error| error.to_string())
}

fn admin_token(text: &str) -> Result<SecretString, String> {
    if text.len() < 20 {
        return Err("must be 20 characters or more, so that nobody can guess it".to_owned());
    }
    Ok(SecretString::from(text))
}

fn environment(text: &str) -> Result<Environment, String> {
    match text.to_ascii_uppercase().as_str() {
        "STAGING" => Ok(Environment::Staging),
        "PRODUCTION" => Ok(Environment::Production),
        _ => Err("must be STAGING or PRODUCTION".to_owned()),
    }
}
