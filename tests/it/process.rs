//! The program itself, started as an operator starts it, beside a Transak of the sandbox.

use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, PgPool};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use transak_relay::sandbox::receiver::Receiver;
use transak_relay::sandbox::{RelayApi, Upstream, UpstreamSettings, signing};

use crate::world::API_KEY;

pub(crate) const MASTER_KEY: &str = "cHJvY2VzcyBtYXN0ZXIga2V5IG9mIDMyIGJ5dGVzISE=";
/// When a test that waits for a relay fails: far longer than anything takes.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) const ADMIN: &str = "rly_process_admin_token";

/// What is around a relay: a database, a Transak, a folder.
pub(crate) struct Around {
    pub(crate) pool: PgPool,
    pub(crate) upstream: Upstream,
    pub(crate) access_token: SecretString,
    pub(crate) folder: TempDir,
}

impl Around {
    pub(crate) async fn new(pool: PgPool) -> Self {
        let access_token = signing::access_token(API_KEY, chrono::Utc::now().timestamp(), 604_800).unwrap();
        let settings = UpstreamSettings::local(API_KEY, access_token.clone());
        let upstream = Upstream::start_idle(settings).await.unwrap();
        Self { pool, upstream, access_token, folder: tempfile::tempdir().unwrap() }
    }

    /// The program with a command and nothing but the settings that are given.
    pub(crate) fn bare(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transak-relay"));
        command.args(arguments).env_clear().stdin(Stdio::null()).kill_on_drop(true);
        command.current_dir(self.folder.path()).envs(settings.iter().copied());
        command
    }

    /// The address of the database.
    pub(crate) fn database(&self) -> String {
        self.pool.connect_options().to_url_lossy().to_string()
    }

    /// `serve`, with everything it needs and `settings` over that.
    pub(crate) fn serve(&self, port: u16, settings: &[(&str, &str)]) -> Command {
        let mut command = self.bare(
            &["serve"],
            &[
                ("DATABASE_URL", &self.database()),
                ("RELAY_DATABASE_CONNECTIONS", "8"),
                ("RELAY_LISTEN", &format!("127.0.0.1:{port}")),
                ("RELAY_MASTER_KEY", MASTER_KEY),
                ("RELAY_ADMIN_TOKEN", ADMIN),
                ("RELAY_ALLOW_CALLBACK_CIDRS", "127.0.0.0/8"),
                ("RELAY_ALLOW_HTTP_CALLBACKS", "true"),
                ("RELAY_SPOOL_DIR", self.folder.path().join("spool").to_str().unwrap()),
                ("RUST_LOG", "info"),
                ("PUSHER_URL", &self.upstream.pusher().url()),
                ("TRANSAK_API_URL", &self.upstream.rest().url()),
                ("TRANSAK_API_KEY", API_KEY),
                ("TRANSAK_ACCESS_TOKEN", self.access_token.expose_secret()),
            ],
        );
        command.envs(settings.iter().copied());
        command
    }

    /// A relay that runs; its log goes to a file.
    pub(crate) fn spawn(&self, settings: &[(&str, &str)]) -> Process {
        self.spawn_logging(settings, None)
    }

    /// The same; its log goes elsewhere.
    pub(crate) fn spawn_logging_to(&self, settings: &[(&str, &str)], log: Stdio) -> Process {
        self.spawn_logging(settings, Some(log))
    }

    fn spawn_logging(&self, settings: &[(&str, &str)], elsewhere: Option<Stdio>) -> Process {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = self.folder.path().join(format!("log-{port}"));
        let mut command = self.serve(port, settings);
        let file = Stdio::from(std::fs::File::create(&log).unwrap());
        command.stdout(Stdio::null()).stderr(elsewhere.unwrap_or(file));
        let http = Client::builder().no_proxy().build().unwrap();
        let mut child = command.spawn().unwrap();
        let (pid, (told, ended)) = (child.id().unwrap(), watch::channel(None));
        let mut task = JoinSet::new();
        // Dropped with the process, it kills the child.
        task.spawn(async move {
            let _ = told.send(child.wait().await.ok());
        });
        Process { pid, ended, url: format!("http://127.0.0.1:{port}"), http, log, _task: task }
    }

    /// A relay that runs and is ready.
    pub(crate) async fn start(&self, settings: &[(&str, &str)]) -> Process {
        let process = self.spawn(settings);
        process.ready().await;
        process
    }

    /// Has the stream tell of an order.
    pub(crate) fn publish(&self, order: &str) {
        let claims = format!(r#"{{"webhookData":{order},"eventID":"ORDER_PROCESSING"}}"#);
        let message = signing::sign(&self.access_token, &claims).unwrap();
        let listeners = self.upstream.pusher().publish(API_KEY, "ORDER_PROCESSING", &message);
        assert!(listeners > 0, "nobody listens");
    }
}

/// A running relay.
pub(crate) struct Process {
    pid: u32,
    ended: watch::Receiver<Option<ExitStatus>>,
    _task: JoinSet<()>,
    pub(crate) url: String,
    pub(crate) http: Client,
    log: std::path::PathBuf,
}

impl Process {
    pub(crate) async fn ready(&self) {
        let api = RelayApi::new(self.url.parse().unwrap(), ADMIN.into()).unwrap();
        let never = CancellationToken::new();
        assert!(self.while_it_runs("is ready", api.ready(&never)).await, "{}", self.log());
    }

    /// What comes of waiting for something of it. A process that ends instead, or never does it, fails the test with its log.
    pub(crate) async fn while_it_runs<T>(&self, what: &str, waiting: impl Future<Output = T>) -> T {
        let mut ended = self.ended.clone();
        let done = tokio::time::timeout(PATIENCE, async {
            tokio::select! {
                biased;
                done = waiting => done,
                ended = ended.wait_for(Option::is_some) => {
                    panic!("it ended ({ended:?}) before it {what}:\n{}", self.log())
                }
            }
        });
        done.await.unwrap_or_else(|_| panic!("it lives, but never {what}:\n{}", self.log()))
    }

    /// How it ended, once it has.
    pub(crate) async fn ended(&self) -> ExitStatus {
        let mut ended = self.ended.clone();
        let waiting = tokio::time::timeout(PATIENCE, ended.wait_for(Option::is_some));
        let status = waiting.await.unwrap_or_else(|_| panic!("it does not end:\n{}", self.log()));
        status.unwrap().unwrap()
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(ADMIN);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        (status, answer.json().await.unwrap_or_default())
    }

    /// Its metrics.
    pub(crate) async fn metrics(&self) -> String {
        self.http.get(format!("{}/metrics", self.url)).send().await.unwrap().text().await.unwrap()
    }

    /// Its metrics, once they are as `wanted`, or as they are after a while.
    pub(crate) async fn metrics_when(&self, wanted: impl Fn(&str) -> bool) -> String {
        let patience = Instant::now() + Duration::from_secs(40);
        loop {
            let text = self.metrics().await;
            if wanted(&text) || Instant::now() > patience {
                return text;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Why it is not ready, once it is not.
    pub(crate) async fn reasons_when_not_ready(&self) -> String {
        let asking = async {
            loop {
                let (status, reasons) = self.call(Method::GET, "/readyz", None).await;
                if status != StatusCode::OK {
                    return reasons.to_string();
                }
            }
        };
        self.while_it_runs("was not ready", asking).await
    }

    /// Waits until it has logged something.
    pub(crate) async fn logs(&self, text: &str) {
        let reading = async {
            while !self.log().contains(text) {
                tokio::task::yield_now().await;
            }
        };
        self.while_it_runs("logged it", reading).await;
    }

    /// The id of its one partner.
    pub(crate) async fn partner(&self) -> String {
        let (_, partners) = self.call(Method::GET, "/v1/partners", None).await;
        partners["data"][0]["id"].as_str().unwrap().to_owned()
    }

    /// A receiver that trusts what it is then sent.
    pub(crate) async fn endpoint(&self, mut settings: Value) -> Receiver {
        let receiver = Receiver::start(([127, 0, 0, 1], 0).into(), std::io::sink()).await.unwrap();
        settings["partnerId"] = json!(self.partner().await);
        settings["url"] = json!(receiver.url());
        let (status, made) = self.call(Method::POST, "/v1/endpoints", Some(settings)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        receiver.trust_secret(SecretString::from(made["secret"].as_str().unwrap()));
        receiver
    }

    pub(crate) async fn signal(&self, name: &str) {
        assert!(
            Command::new("kill")
                .args([&format!("-{name}"), &self.pid.to_string()])
                .status()
                .await
                .unwrap()
                .success()
        );
    }

    /// Tells it to stop and waits until it has.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM").await;
        self.ended().await
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}
