//! The commands with which an operator asks a running relay, over its HTTP interface.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use secrecy::SecretString;
use url::Url;

use super::operation::Tokens;
use crate::model::id::{EndpointId, EventId, PartnerId};
use crate::model::moment::{Moment, NoMoment};

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

/// The first of all tokens has to be made in the database; what follows `token` as it follows `tokens` asks a relay.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Token {
    #[command(subcommand)]
    pub tokens: Option<Tokens>,
    /// The database to make it in.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<SecretString>,
    /// What it is for.
    #[arg(long)]
    pub name: Option<String>,
    /// What it may do.
    #[arg(long, value_enum, default_value = "read")]
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

#[derive(Debug, Args)]
pub struct Tail {
    #[command(flatten)]
    pub remote: Remote,
    /// Begin then (`2h` ago, `yesterday`, `2026-11-27`, or in full), or behind this event (evt_…), instead of now.
    #[arg(long, value_name = "TIME|evt_…")]
    pub since: Option<Since>,
    /// Only this order.
    #[arg(long, value_name = "ID")]
    pub order: Option<String>,
}

/// Where to begin in the feed of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    Behind(EventId),
    Time(Moment),
}

impl FromStr for Since {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        text.parse().map(Self::Behind).or_else(|_| text.parse().map(Self::Time))
    }
}

#[derive(Debug, Args)]
pub struct Listen {
    #[command(flatten)]
    pub remote: Remote,
    /// Where each event is sent, such as `http://localhost:3000/hook`.
    #[arg(long, value_name = "URL", value_parser = super::address::web)]
    pub forward_to: Url,
    /// Begin then (`2h` ago, `yesterday`, `2026-11-27`, or in full), or behind this event (evt_…), instead of now.
    #[arg(long, value_name = "TIME|evt_…")]
    pub since: Option<Since>,
    /// Only this order.
    #[arg(long, value_name = "ID")]
    pub order: Option<String>,
    /// Send what this endpoint would get: its events, its statuses, its format, without what it redacts.
    #[arg(long, value_name = "ep_…")]
    pub endpoint: Option<EndpointId>,
    /// Sign with this secret (whsec_…), as the endpoint does that has it; left out: with one that is shown.
    #[arg(long, value_name = "@FILE|-|whsec_…")]
    pub secret: Option<SecretString>,
    /// The access token of Transak, which signs Transak's own format.
    #[arg(long, value_name = "@FILE|-|TEXT")]
    pub access_token: Option<SecretString>,
}
