//! The commands with which an operator asks a running relay, over its HTTP interface.

use clap::{Args, Subcommand, ValueEnum};
use secrecy::SecretString;
use url::Url;

use crate::model::id::{EndpointId, PartnerId};

/// Which relay, and how its answer is printed.
#[derive(Debug, Clone, Args)]
pub struct Remote {
    #[command(flatten)]
    pub place: Place,
    /// Print JSON, as the relay answered, for machines.
    #[arg(long)]
    pub json: bool,
}

/// Where a relay is, and what opens it.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The relay.
    #[arg(long, env = "RELAY_URL", default_value = "http://127.0.0.1:8080", value_name = "URL", value_parser = super::address::web)]
    pub relay_url: Url,
    /// A token of it.
    #[arg(long, env = "RELAY_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub relay_token: Option<SecretString>,
}

/// `token create` asks a running relay; `token` alone, as the first of all tokens has to be made, writes to the database.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Token {
    #[command(subcommand)]
    pub command: Option<TokenCommand>,
    /// The database to make it in.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<SecretString>,
    /// What it is for.
    #[arg(long)]
    pub name: Option<String>,
    /// What it may do.
    #[arg(long, value_enum, default_value = "admin")]
    pub scope: TokenScope,
    /// Whose data it may touch; not with `admin`.
    #[arg(long, value_name = "ptr_…")]
    pub partner: Option<PartnerId>,
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and print it: it is not shown again.
    Create(Box<NewToken>),
}

#[derive(Debug, Args)]
pub struct NewToken {
    #[command(flatten)]
    pub remote: Remote,
    /// Make it in this database instead of asking a relay: for the first token.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<SecretString>,
    /// What it is for.
    #[arg(long)]
    pub name: String,
    /// What it may do.
    #[arg(long, value_enum, default_value = "admin")]
    pub scope: TokenScope,
    /// Whose data it may touch; not with `admin`.
    #[arg(long, value_name = "ptr_…")]
    pub partner: Option<PartnerId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TokenScope {
    Admin,
    Write,
    Read,
}

impl TokenScope {
    /// As the interface has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Write => "write",
            Self::Read => "read",
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Endpoints {
    /// List the registered callback URLs.
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Send a test event now, and print what came back.
    Test {
        #[command(flatten)]
        remote: Remote,
        /// The endpoint.
        #[arg(value_name = "ep_…")]
        id: EndpointId,
    },
}

#[derive(Debug, Subcommand)]
pub enum Orders {
    /// Draw what happened to an order, when, how it was learned, and who was told.
    Timeline {
        #[command(flatten)]
        remote: Remote,
        /// Transak's id of the order.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Events {
    /// Print events as they happen, until interrupted; what happens while the connection is broken is made up for.
    Tail(Box<Tail>),
}

#[derive(Debug, Args)]
pub struct Tail {
    #[command(flatten)]
    pub remote: Remote,
    /// Begin then (RFC 3339), or behind this event (evt_…), instead of now.
    #[arg(long, value_name = "TIME|evt_…")]
    pub since: Option<String>,
    /// Only this order.
    #[arg(long, value_name = "ID")]
    pub order: Option<String>,
}

#[derive(Debug, Args)]
pub struct Recover {
    #[command(flatten)]
    pub remote: Remote,
    /// The endpoint.
    #[arg(value_name = "ep_…")]
    pub id: EndpointId,
    /// Events received then or later (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub since: String,
    /// Events received before (RFC 3339); left out: until now.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Which: those that were given up, those that were never owed, or all.
    #[arg(long, default_value = "failed", value_parser = ["failed", "missing", "all"])]
    pub only: String,
}
