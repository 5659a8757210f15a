//! The command line and the environment. Every field is already what the program works with: nothing is checked later,
//! and nothing else reads the environment.

mod address;
pub mod document;
mod file;
mod networks;
pub mod operation;
mod operator;
mod refusal;
mod rotate;
mod sandbox;
mod serve;

use std::net::SocketAddr;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use secrecy::SecretString;

pub use operation::{Asked, Call};
pub use operator::{Listen, Place, Remote, Since, Tail, Token, TokenScope};
pub use rotate::RotateMasterKey;
pub use sandbox::{Dev, DevOnly, Trigger};
pub use serve::{Callbacks, FirstPartner, Pusher, Role, Serve, SpoolPlace, Transak};

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
    /// What is logged, such as `info`, `debug` or `debug,sqlx=debug`: a level without a name is about this program; the
    /// libraries below it say more only if they are named. SIGUSR1 turns debug lines on and off while `serve` runs.
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
    /// Look at an installation with the settings of `serve`, and say of each thing whether it holds and what to do; exit 1 if
    /// anything fails.
    Doctor(Box<Serve>),
    /// Bring the database up to date and exit.
    Migrate(Database),
    /// Seal every secret in the database anew with another master key, while relays run. Can be interrupted and run again.
    RotateMasterKey(RotateMasterKey),
    /// Run the whole relay without anything else: its own Postgres, a simulated Transak, and a callback receiver.
    Dev(Box<Dev>),
    /// Make an API token in the database: the first one. Others are made by asking a relay, with `tokens create`.
    Token(Box<Token>),
    #[command(flatten)]
    Call(Call),
    /// Forward the events of a running relay, as they happen, to an address of this machine, signed like callbacks; what
    /// happens while a connection is broken is made up for.
    Listen(Box<Listen>),
    /// Have the simulated Transak of `dev` play an order until an event, such as `ORDER_COMPLETED`. No other Transak, and no
    /// relay, can be told to.
    Trigger(Box<Trigger>),
    /// Print what makes a shell complete this program's commands.
    Completions {
        /// The shell.
        shell: Shell,
    },
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
    /// The most connections that it shares; a process keeps up to seven more to itself.
    #[arg(long, env = "RELAY_DATABASE_CONNECTIONS", default_value = "16", value_parser = clap::value_parser!(u32).range(4..=500))]
    pub database_connections: u32,
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

/// The shells whose users type this program's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// What makes a shell complete this program's commands.
pub fn completions(shell: Shell) -> String {
    let (shell, name) = match shell {
        // For a name with a hyphen clap_complete 4.6 writes states that it then does not find.
        Shell::Bash => (clap_complete::Shell::Bash, "transak_relay"),
        Shell::Zsh => (clap_complete::Shell::Zsh, "transak-relay"),
        Shell::Fish => (clap_complete::Shell::Fish, "transak-relay"),
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), name, &mut script);
    // Only what is completed has the name at the end of a line.
    String::from_utf8_lossy(&script).replace(" transak_relay\n", " transak-relay\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_is_told_the_commands_and_their_flags() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(shell);
            for word in ["endpoints", "rotate", "overlap-seconds", "forward-to"] {
                assert!(script.contains(word), "{shell:?}: {word}");
            }
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn secrets_are_not_shown_when_the_configuration_is_printed() {
        let key = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";
        let args = [
            "x",
            "serve",
            "--database-url",
            "postgres://u:hidden1@h/d",
            "--master-key",
            key,
            "--transak-access-token",
            "hidden2",
        ];
        let shown = format!("{:?}", Cli::try_parse_from(args).unwrap());
        assert!(!shown.contains("hidden") && !shown.contains(key), "{shown}");
    }
}
