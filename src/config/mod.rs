//! The command line and the environment. Every field is already what the program works with: nothing is checked later,
//! and nothing else reads the environment.

mod operator;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use secrecy::SecretString;
use url::Url;

use crate::model::origin::Origin;
use crate::model::partner::Environment;
use crate::model::seal::MasterKey;

pub use operator::{
    Endpoints, Events, NewToken, Orders, Place, Recover, Remote, Tail, Token, TokenCommand, TokenScope,
};

/// Hears every Transak order event, keeps it in Postgres, and tells every callback URL that was registered.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub log: Log,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub struct Log {
    /// What is logged, such as `info` or `transak_relay=debug,warn`.
    #[arg(long, global = true, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// How it is logged: for people or for machines.
    #[arg(long, global = true, env = "RELAY_LOG_FORMAT", value_enum, default_value = "pretty")]
    pub log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Pretty,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the relay: migrate the database, then listen, keep, tell and answer.
    Serve(Box<Serve>),
    /// Bring the database up to date and exit.
    Migrate(Database),
    /// Run the whole relay without anything else: its own Postgres, a simulated Transak, and a callback receiver.
    Dev(Box<Dev>),
    /// Make an API token.
    Token(Box<Token>),
    /// Ask a running relay about its endpoints.
    #[command(subcommand)]
    Endpoints(Endpoints),
    /// Ask a running relay about orders.
    #[command(subcommand)]
    Orders(Orders),
    /// Follow the events of a running relay.
    #[command(subcommand)]
    Events(Events),
    /// Have a running relay send again what an endpoint missed.
    Recover(Box<Recover>),
    /// Print the interface as OpenAPI 3.1, in YAML.
    Openapi,
    /// Ask a running relay whether it is ready; exit 0 if so. For containers without a shell.
    Healthcheck(Healthcheck),
}

#[derive(Debug, Clone, Args)]
pub struct Database {
    /// The Postgres to keep everything in, 15 or newer: postgres://user:password@host:port/database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: SecretString,
    /// The most connections to it.
    #[arg(long, env = "RELAY_DATABASE_CONNECTIONS", default_value = "16", value_parser = clap::value_parser!(u32).range(4..=500))]
    pub database_connections: u32,
}

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
    /// A token with all rights, to make the first partners and tokens with: 20 characters or more.
    #[arg(long, env = "RELAY_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN", value_parser = admin_token)]
    pub admin_token: Option<AdminToken>,
    #[command(flatten)]
    pub interface: Interface,
    #[command(flatten)]
    pub callbacks: Callbacks,
    #[command(flatten)]
    pub pusher: Pusher,
    #[command(flatten)]
    pub spool: SpoolPlace,
    #[command(flatten)]
    pub partner: FirstPartner,
}

#[derive(Debug, Clone, Args)]
pub struct Interface {
    /// The origins whose web pages may call the interface, such as https://app.example.com, or `*`; none if not given.
    #[arg(long, env = "RELAY_CORS_ORIGINS", value_delimiter = ',', value_name = "ORIGIN", value_parser = Origin::parse)]
    pub cors_origins: Vec<Origin>,
    /// The requests a second that each token may make for long, five times as many at once; 0: no limit.
    #[arg(long, env = "RELAY_TOKEN_RATE", default_value = "200", value_name = "REQUESTS",
          value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub token_rate: u32,
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

/// A token text that may be absent: an empty variable counts as none.
#[derive(Debug, Clone)]
pub struct AdminToken(pub Option<SecretString>);

#[derive(Debug, Clone, Args)]
pub struct Callbacks {
    /// Address ranges that callbacks may reach although they are private or special, such as 10.1.0.0/16.
    #[arg(long, env = "RELAY_ALLOW_CALLBACK_CIDRS", value_delimiter = ',', value_name = "CIDR")]
    pub allow_callback_cidrs: Vec<IpNet>,
    /// Let callback URLs begin with http://.
    #[arg(long, env = "RELAY_ALLOW_HTTP_CALLBACKS", default_value = "false", action = clap::ArgAction::Set,
          num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub allow_http_callbacks: bool,
    /// The most callbacks under way at once.
    #[arg(long, env = "RELAY_DISPATCH_CONCURRENCY", default_value = "256", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub dispatch_concurrency: u16,
}

#[derive(Debug, Clone, Args)]
pub struct Pusher {
    /// The Pusher server, instead of the one of the cluster: ws://host:port or wss://host:port.
    #[arg(long, env = "PUSHER_URL", value_name = "URL")]
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
        let url = self.pusher_url.clone().map_or_else(cluster, Ok)?;
        anyhow::ensure!(matches!(url.scheme(), "ws" | "wss"), "PUSHER_URL must begin with ws:// or wss://");
        Ok(url)
    }
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

#[derive(Debug, Args)]
pub struct Dev {
    #[command(subcommand)]
    pub only: Option<DevOnly>,
    /// Where the database is kept between runs: by default /var/lib/transak-relay for root, else
    /// ~/.local/share/transak-relay.
    #[arg(long, env = "RELAY_DEV_DIR", value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// The home folder that default is in.
    #[arg(long, env = "HOME", hide = true)]
    pub home: Option<PathBuf>,
    /// Where the relay listens.
    #[arg(long, env = "RELAY_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
}

#[derive(Debug, Subcommand)]
pub enum DevOnly {
    /// Only the simulated Transak: a Pusher server that plays orders, and the REST API.
    Upstream {
        /// Where the Pusher server listens.
        #[arg(long, env = "SANDBOX_PUSHER_LISTEN", default_value = "127.0.0.1:6001")]
        pusher_listen: SocketAddr,
        /// Where the REST API listens.
        #[arg(long, env = "SANDBOX_REST_LISTEN", default_value = "127.0.0.1:6002")]
        rest_listen: SocketAddr,
        /// The API key whose orders are played.
        #[arg(long, env = "TRANSAK_API_KEY")]
        api_key: String,
        /// What they are signed with.
        #[arg(long, env = "TRANSAK_ACCESS_TOKEN", hide_env_values = true)]
        access_token: SecretString,
    },
    /// Only the callback receiver; it registers itself at a relay.
    Receiver {
        /// Where it listens.
        #[arg(long, env = "SANDBOX_RECEIVER_LISTEN", default_value = "127.0.0.1:6003")]
        listen: SocketAddr,
        /// Under which URL the relay reaches it.
        #[arg(long, env = "SANDBOX_RECEIVER_URL", default_value = "http://127.0.0.1:6003/callback")]
        url: Url,
        /// The relay.
        #[arg(long, env = "RELAY_URL", default_value = "http://127.0.0.1:8080")]
        relay_url: Url,
        /// A token that may register endpoints.
        #[arg(long, env = "RELAY_ADMIN_TOKEN", hide_env_values = true)]
        token: SecretString,
    },
}

#[derive(Debug, Args)]
pub struct Healthcheck {
    /// The relay to ask.
    #[arg(long, env = "RELAY_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Ask whether it is ready to serve (/readyz) instead of whether it lives (/healthz).
    #[arg(long)]
    pub ready: bool,
}

fn master_key(text: &str) -> Result<MasterKey, String> {
    MasterKey::parse(text).map_err(|error| error.to_string())
}

fn admin_token(text: &str) -> Result<AdminToken, String> {
    match text.len() {
        0 => Ok(AdminToken(None)),
        20.. => Ok(AdminToken(Some(SecretString::from(text)))),
        _ => Err("must be 20 characters or more, so that nobody can guess it".to_owned()),
    }
}

fn environment(text: &str) -> Result<Environment, String> {
    match text.to_ascii_uppercase().as_str() {
        "STAGING" => Ok(Environment::Staging),
        "PRODUCTION" => Ok(Environment::Production),
        _ => Err("must be STAGING or PRODUCTION".to_owned()),
    }
}
