//! The world around one run: a database, a source, and the relay as a process, all fresh.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::process::{Child as Process, Command};
use transak_relay::sandbox::signing;

use crate::child::Child;
use crate::database::{Database, Server};
use crate::meter::Meter;
use crate::orders::API_KEY;

pub(crate) const ADMIN: &str = "rly_benchmark_0000000000";
const MASTER_KEY: &str = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";

/// How often a relay that is not ready is asked again.
const ASK: Duration = Duration::from_millis(20);

/// What all runs share.
pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) receiver: Child,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) http: Client,
    relay: PathBuf,
    counts_statements: bool,
}

/// What one run has to itself.
pub(crate) struct Stage {
    pub(crate) database: Database,
    pub(crate) source: Child,
    pub(crate) token: SecretString,
    pub(crate) meter: Meter,
    pub(crate) url: String,
    http: Client,
    relay: Process,
    spool: tempfile::TempDir,
}

impl Bench {
    /// `relay`: the program to measure.
    pub(crate) async fn start(relay: &Path, counts_statements: bool) -> anyhow::Result<Self> {
        let http = Client::builder().no_proxy().timeout(Duration::from_mins(2)).build()?;
        Ok(Self {
            server: Server::start(counts_statements).await?,
            receiver: Child::start(&["receiver"]).await?,
            folder: tempfile::tempdir()?,
            http,
            relay: relay.to_owned(),
            counts_statements,
        })
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.server.stop().await
    }

    /// A relay that hears a source and owes nobody anything.
    pub(crate) async fn stage(&mut self) -> anyhow::Result<Stage> {
        self.receiver.ask("reset").await?;
        let database = self.server.fresh().await?;
        let token = signing::access_token(API_KEY, chrono::Utc::now().timestamp(), 604_800)?;
        let source = Child::start(&["source", API_KEY, token.expose_secret()]).await?;
        let spool = tempfile::tempdir_in(self.folder.path())?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(&self.relay);
        let log = std::fs::File::create(self.folder.path().join("relay.log"))?;
        command.arg("serve").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        for (name, value) in [
            ("DATABASE_URL", database.url.as_str()),
            ("RELAY_LISTEN", &format!("127.0.0.1:{port}")),
            ("RELAY_MASTER_KEY", MASTER_KEY),
            ("RELAY_ADMIN_TOKEN", ADMIN),
            ("RELAY_ALLOW_CALLBACK_CIDRS", "127.0.0.0/8"),
            ("RELAY_ALLOW_HTTP_CALLBACKS", "true"),
            ("RELAY_LOG_FORMAT", "json"),
            // Everybody here is one token.
            ("RELAY_TOKEN_RATE", "0"),
            ("RELAY_SPOOL_DIR", spool.path().to_str().context("a folder's name is not UTF-8")?),
            ("PUSHER_URL", &source.address),
            // Nobody is there: what the REST API would tell is not what is measured.
            ("TRANSAK_API_URL", "http://127.0.0.1:9"),
            ("TRANSAK_API_KEY", API_KEY),
            ("TRANSAK_ACCESS_TOKEN", token.expose_secret()),
        ] {
            command.env(name, value);
        }
        let relay = command.spawn().context("cannot start the relay")?;
        let meter = Meter {
            relay: relay.id().context("the relay ended at once")?,
            postgres: self.server.pid,
            pool: database.pool.clone(),
            counts_statements: self.counts_statements,
        };
        let url = format!("http://127.0.0.1:{port}");
        let mut stage = Stage { database, source, token, meter, url, http: self.http.clone(), relay, spool };
        stage.ready(&self.folder.path().join("relay.log")).await?;
        Ok(stage)
    }

    /// Ends a run.
    pub(crate) async fn clear(&mut self, mut stage: Stage) -> anyhow::Result<()> {
        stage.relay.kill().await?;
        drop(stage.source);
        drop(stage.spool);
        self.server.drop(stage.database).await
    }
}

impl Stage {
    async fn ready(&mut self, log: &Path) -> anyhow::Result<()> {
        for _ in 0..1_500 {
            if let Some(status) = self.relay.try_wait()? {
                bail!("the relay ended with {status}:\n{}", std::fs::read_to_string(log)?);
            }
            let asked = self.http.get(format!("{}/readyz", self.url)).send().await;
            if asked.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                return Ok(());
            }
            tokio::time::sleep(ASK).await;
        }
        bail!("the relay is not ready after 30 seconds")
    }

    /// Calls the interface as the administrator.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(ADMIN);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        anyhow::ensure!(status.is_success(), "{path} answers {status}: {text}");
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    pub(crate) async fn partner(&self) -> anyhow::Result<String> {
        let partners = self.call(Method::GET, "/v1/partners", None).await?;
        Ok(partners["data"][0]["id"].as_str().context("there is no partner")?.to_owned())
    }

    /// Registers endpoints; answers their ids.
    pub(crate) async fn endpoints(
        &self,
        urls: impl IntoIterator<Item = String>,
    ) -> anyhow::Result<Vec<String>> {
        let partner = self.partner().await?;
        self.endpoints_of(&partner, urls).await
    }

    /// The same for one partner of several.
    pub(crate) async fn endpoints_of(
        &self,
        partner: &str,
        urls: impl IntoIterator<Item = String>,
    ) -> anyhow::Result<Vec<String>> {
        let mut ids = Vec::new();
        for url in urls {
            let body = json!({ "partnerId": partner, "url": url });
            let made = self.call(Method::POST, "/v1/endpoints", Some(body)).await?;
            ids.push(made["id"].as_str().context("an endpoint without an id")?.to_owned());
        }
        Ok(ids)
    }

    /// How many messages of the stream have been kept so far.
    pub(crate) async fn kept(&self) -> anyhow::Result<usize> {
        let text = self.http.get(format!("{}/metrics", self.url)).send().await?.text().await?;
        let kept = text.lines().filter(|line| {
            line.starts_with("relay_intake_messages_total")
                && (line.contains("\"new\"") || line.contains("\"sighted\""))
        });
        let counts = kept.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
        Ok(counts.sum())
    }
}
