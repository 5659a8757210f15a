//! What each command does.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use chrono::Utc;
use secrecy::{ExposeSecret as _, SecretString};

use super::rotation;
use super::serve::Relay;
use super::signals::Signals;
use super::{dev, doctor};
use crate::cli;
use crate::config::{Cli, Command, Database, Healthcheck, Serve, Token, TokenScope, completions};
use crate::http;
use crate::model::id::PartnerId;
use crate::model::token::{self, Caller, Scope, TokenHash};
use crate::shutdown::{self, Tasks};
use crate::store::api_token::{self, NewApiToken};
use crate::store::{partner, pool};
use crate::telemetry;
use crate::telemetry::logging::DebugSwitch;
use crate::telemetry::traces::Traces;

/// Runs the command that was given.
///
/// # Errors
/// What went wrong, in one line that says what to do.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    // Every TLS connection of the process uses the one cryptography library.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let debug = telemetry::logging::start_logging(&cli.log.log, cli.log.log_format)?;
    match cli.command {
        Command::Serve(config) => serve(*config, debug).await,
        Command::Doctor(config) => {
            cli::until_nobody_reads(doctor::run(&config, &mut std::io::stdout()).await)
        }
        Command::Migrate(database) => migrate(&database).await,
        Command::RotateMasterKey(config) => {
            let pool = pool::connect(config.database.database_url.expose_secret(), 4).await?;
            rotation::rotate(&pool, &config.keys()?, &mut std::io::stdout()).await
        }
        Command::Dev(config) => dev::run(*config).await,
        Command::Token(config) => token(*config).await,
        Command::Call(asked) => {
            cli::until_nobody_reads(cli::call(&asked, Utc::now(), &mut std::io::stdout()).await)
        }
        Command::Listen(asked) => {
            cli::until_nobody_reads(cli::listen(&asked, Utc::now(), &mut std::io::stdout()).await)
        }
        Command::Trigger(asked) => {
            cli::until_nobody_reads(dev::trigger(&asked, &mut std::io::stdout()).await)
        }
        Command::Completions { shell } => cli::until_nobody_reads(print(&completions(shell))),
        Command::Openapi => {
            let text = http::openapi().to_yaml().context("the interface cannot be written as YAML")?;
            cli::until_nobody_reads(print(&text))
        }
        Command::Healthcheck(config) => healthcheck(&config).await,
    }
}

async fn serve(config: Serve, debug: DebugSwitch) -> anyhow::Result<()> {
    // Also while it starts, which may wait for a migration.
    let signals = Signals::take()?;
    let collector = config.traces.otlp_endpoint.as_ref();
    let traces = collector.map(Traces::start).transpose()?;
    let mut tasks = Tasks::default();
    let relay = Relay::prepare(config, telemetry::start_metrics()?).await?;
    let interrupted = shutdown::interrupted();
    tasks.spawn("signals", signals.run(debug, tasks.stop_token()));
    relay.start(&mut tasks).await?;
    let ended = tasks.run_until(interrupted).await;
    if let Some(traces) = traces {
        traces.stop().await;
    }
    ended
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", text.trim_end())?)
}

async fn migrate(database: &Database) -> anyhow::Result<()> {
    let pool = pool::connect(database.database_url.expose_secret(), database.database_connections).await?;
    pool::migrate(&pool).await?;
    tracing::info!("the database is up to date");
    Ok(())
}

/// Makes a token in the database, or asks a relay about tokens.
async fn token(config: Token) -> anyhow::Result<()> {
    if let Some(tokens) = config.tokens {
        return cli::until_nobody_reads(cli::operation(&tokens.0, Utc::now(), &mut std::io::stdout()).await);
    }
    let database = config.database_url.context("a database is needed: set DATABASE_URL")?;
    let name = config.name.context("--name is needed: what is the token for?")?;
    make_token(&database, name, (config.scope, config.partner)).await
}

async fn make_token(
    database: &SecretString,
    name: String,
    (scope, partner_id): (TokenScope, Option<PartnerId>),
) -> anyhow::Result<()> {
    let scope = match scope {
        TokenScope::Admin => Scope::Admin,
        TokenScope::Write => Scope::Write,
        TokenScope::Read => Scope::Read,
    };
    if (scope == Scope::Admin) != partner_id.is_none() {
        bail!(
            "a token that reads or writes belongs to a partner: name it with --partner; one that opens all partners is made with \
             --scope admin, without --partner"
        );
    }
    let pool = pool::connect(database.expose_secret(), 1).await?;
    if !pool::is_migrated(&pool).await? {
        bail!("the database is not up to date: run `transak-relay migrate` first");
    }
    let token = token::generate();
    let hash = TokenHash::of(token.expose_secret());
    let mut conn = pool.acquire().await?;
    if let Some(partner) = partner_id {
        let known = partner::find(&mut conn, partner).await?.is_some();
        anyhow::ensure!(known, "there is no partner {partner}");
    }
    let caller = Caller { scope, partner_id };
    api_token::insert(&mut conn, &NewApiToken { name, caller, hash }).await?;
    print(token.expose_secret())
}

async fn healthcheck(config: &Healthcheck) -> anyhow::Result<()> {
    let path = if config.ready { "readyz" } else { "healthz" };
    let mut address = config.listen;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    let client = reqwest::Client::builder().timeout(std::time::Duration::from_secs(3)).no_proxy().build()?;
    let answer = client.get(format!("http://{address}/{path}")).send().await;
    let status = answer.with_context(|| format!("nobody answers at {address}"))?.status();
    anyhow::ensure!(status.is_success(), "the relay at {address} answers {status}");
    Ok(())
}
