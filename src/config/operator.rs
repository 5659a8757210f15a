//! The commands with which an operator asks a running relay, over its HTTP interface.

use clap::{Args, ValueEnum};
use secrecy::SecretString;
use url::Url;

use super::operation::Tokens;
use crate::model::id::PartnerId;

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
    /// Begin then (RFC 3339), or behind this event (evt_…), instead of now.
    #[arg(long, value_name = "TIME|evt_…")]
    pub since: Option<String>,
    /// Only this order.
    #[arg(long, value_name = "ID")]
    pub order: Option<String>,
}
