//! Nothing personal and nothing secret is logged: a whole relay runs with everything logged, and its log is searched.

use std::path::Path;
use std::process::Stdio;

use reqwest::{Client, Method};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, PgPool};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use transak_relay::sandbox::lifecycle::{Lifecycle, Plan};
use transak_relay::sandbox::pusher::Garbage;
use transak_relay::sandbox::receiver::{Answer, Receiver};
use transak_relay::sandbox::{RelayApi, Upstream, UpstreamSettings, signing};

use crate::soon::soon;
use crate::world::API_KEY;

const MASTER_KEY: &str = "cmVkYWN0aW9uIG1hc3RlciBrZXkgb2YgMzIgYnl0ZXM=";
const ADMIN: &str = "rly_redaction_admin_token";
const API_SECRET: &str = "redaction-api-secret";
const HEADER: &str = "redaction-header-value";
const QUERY: &str = "redaction-query-value";
const HIDDEN_PATH: &str = "redaction-path-value";

struct Run {
    upstream: Upstream,
    access_token: SecretString,
    relay: Child,
    url: String,
    http: Client,
}

/// This program, and the libraries below it that have something in hand that must not be told.
const EVERYTHING: &str = "debug,sqlx=debug,hyper=debug,hyper_util=debug,reqwest=debug,rustls=debug,tungstenite=debug,\
                          tokio_tungstenite=debug,hickory_resolver=debug,hickory_proto=debug,h2=debug,tower_http=debug";

impl Run {
    async fn start(pool: &PgPool, folder: &Path) -> Self {
        let access_token = signing::access_token(API_KEY, chrono::Utc::now().timestamp(), 604_800).unwrap();
        let settings = UpstreamSettings {
            api_secret: API_SECRET.into(),
            ..UpstreamSettings::local(API_KEY, access_token.clone())
        };
        let upstream = Upstream::start_idle(settings).await.unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_transak-relay"));
        command.arg("serve").stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(std::fs::File::create(folder.join("out")).unwrap());
        command.stderr(std::fs::File::create(folder.join("log")).unwrap());
        for (name, value) in [
            ("DATABASE_URL", pool.connect_options().to_url_lossy().as_str()),
            ("RELAY_DATABASE_CONNECTIONS", "8"),
            ("RELAY_LISTEN", &format!("127.0.0.1:{port}")),
            ("RELAY_MASTER_KEY", MASTER_KEY),
            ("RELAY_ADMIN_TOKEN", ADMIN),
            ("RELAY_ALLOW_CALLBACK_CIDRS", "127.0.0.0/8"),
            ("RELAY_ALLOW_HTTP_CALLBACKS", "true"),
            ("RELAY_SPOOL_DIR", folder.join("spool").to_str().unwrap()),
            ("RELAY_LOG_FORMAT", "json"),
            ("RUST_LOG", EVERYTHING),
            ("RELAY_RECONCILE_SECONDS", "1"),
            ("PUSHER_URL", &upstream.pusher().url()),
            ("TRANSAK_API_URL", &upstream.rest().url()),
            ("TRANSAK_API_KEY", API_KEY),
            ("TRANSAK_ACCESS_TOKEN", access_token.expose_secret()),
            ("TRANSAK_API_SECRET", API_SECRET),
        ] {
            command.env(name, value);
        }
        let (relay, url) = (command.spawn().unwrap(), format!("http://127.0.0.1:{port}"));
        let http = Client::builder().no_proxy().build().unwrap();
        let api = RelayApi::new(url.parse().unwrap(), ADMIN.into()).unwrap();
        assert!(api.ready(&CancellationToken::new()).await);
        Self { upstream, access_token, relay, url, http }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(ADMIN);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap().json().await.unwrap_or_default()
    }

    async fn endpoint(&self, partner: &str, url: &str, format: &str) -> String {
        let headers = json!({ "x-secret": HEADER });
        let body = json!({ "partnerId": partner, "url": url, "headers": headers, "format": format });
        let made = self.call(Method::POST, "/v1/endpoints", Some(body)).await;
        made["secret"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
    }

    /// Plays every kind of order to its end; answers the orders as they were told, and how many events that were.
    async fn play(&self) -> (Vec<Value>, u64) {
        let (mut orders, mut heard) = (Vec::new(), 0);
        for plan in Plan::ROUND {
            let mut life = Lifecycle::new(plan, &mut fastrand::Rng::new());
            while let Some((step, listeners)) = self.upstream.step(&mut life).await.unwrap() {
                heard += u64::from(listeners > 0);
                orders.push(serde_json::from_str(&step.order.to_json()).unwrap());
            }
        }
        (orders, heard)
    }

    /// What a careless or hostile caller sends.
    async fn misuse(&self, partner: &str, order: &Value) {
        let wallet = order["walletAddress"].as_str().unwrap_or("0xf1c7171005");
        let forged = signing::sign(&"not the token".into(), &order.to_string()).unwrap();
        let ingest = format!("/ingest/transak/{partner}");
        self.call(Method::POST, &ingest, Some(json!({ "data": forged }))).await;
        self.call(Method::POST, &ingest, Some(json!({ "data": order }))).await;
        self.call(Method::GET, &format!("/v1/orders?walletAddress={wallet}"), None).await;
        self.call(Method::GET, &format!("/v1/orders?status={wallet}&bad={wallet}"), None).await;
        self.call(Method::POST, "/v1/endpoints", Some(json!({ "url": format!("ftp://{QUERY}") }))).await;
        let id = order["id"].as_str().unwrap();
        self.call(Method::GET, &format!("/v1/orders/{id}/timeline"), None).await;
        self.call(Method::DELETE, &format!("/v1/orders/{id}"), None).await;
        let webhooks = self.http.get(format!("{}/partners/api/v2/webhooks", self.url));
        webhooks.header("access-token", self.access_token.expose_secret()).send().await.unwrap();
        self.http.get(format!("{}/v1/orders", self.url)).bearer_auth(&forged).send().await.unwrap();
        for garbage in [Garbage::NotJson, Garbage::NoEvent, Garbage::Stranger] {
            self.upstream.pusher().send_garbage(garbage);
        }
        self.upstream.pusher().publish(API_KEY, "ORDER_CREATED", &forged);
        self.upstream.pusher().publish(API_KEY, "ORDER_CREATED", &order.to_string());
    }

    async fn stop(mut self) {
        let pid = self.relay.id().unwrap().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        assert!(told.success() && self.relay.wait().await.unwrap().success());
        self.upstream.stop().await;
    }
}

/// The values that people would not want to read about themselves.
fn personal(orders: &[Value]) -> Vec<String> {
    const FIELDS: [&str; 7] = [
        "walletAddress",
        "walletLink",
        "ipAddress",
        "userId",
        "quoteId",
        "transactionHash",
        "transactionLink",
    ];
    let values = orders.iter().flat_map(|order| FIELDS.map(|field| order[field].as_str().map(str::to_owned)));
    let fixed =
        ["nobody@example.com", "Fictitious", "203.0.113.", "0xf1c7171005"].map(|text| Some(text.to_owned()));
    let mut values: Vec<String> = values.chain(fixed).flatten().collect();
    values.sort();
    values.dedup();
    values
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_full_run_with_everything_logged_tells_nothing_personal_and_no_secret(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::start(&pool, folder.path()).await;
    let partners = run.call(Method::GET, "/v1/partners", None).await;
    let partner = partners["data"][0]["id"].as_str().unwrap().to_owned();
    let good = Receiver::start(([127, 0, 0, 1], 0).into(), std::io::sink()).await.unwrap();
    let bad = Receiver::start(([127, 0, 0, 1], 0).into(), std::io::sink()).await.unwrap();
    bad.answer(Answer { status: reqwest::StatusCode::INTERNAL_SERVER_ERROR, ..Answer::default() });
    let mut secrets = vec![
        run.endpoint(&partner, &format!("{}?key={QUERY}", good.url()), "standard").await,
        run.endpoint(&partner, &format!("{}?key={QUERY}", bad.url()), "transak").await,
        run.endpoint(&partner, &format!("http://nobody.invalid/{HIDDEN_PATH}"), "standard").await,
    ];
    good.trust_secret(secrets[0].as_str().into());
    let (orders, events) = run.play().await;
    soon(good.count().wait_for(|count| *count >= events)).await.unwrap();
    soon(bad.count().wait_for(|count| *count > 0)).await.unwrap();
    run.misuse(&partner, &orders[0]).await;
    secrets.extend([MASTER_KEY, ADMIN, API_SECRET, HEADER, QUERY, HIDDEN_PATH].map(str::to_owned));
    secrets.push(run.access_token.expose_secret().to_owned());
    // How every JWT begins.
    secrets.push("eyJ".to_owned());
    run.stop().await;

    let log = std::fs::read_to_string(folder.path().join("log")).unwrap()
        + &std::fs::read_to_string(folder.path().join("out")).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines.len() > 200, "a full run logs more than {} lines", lines.len());
    let attempts =
        lines.iter().filter(|line| line.contains("\"attempt\"") && line.contains("endpoint.id")).count();
    assert!(attempts as u64 >= events, "{attempts} of {events} attempts are in the log");
    let forbidden: Vec<String> = personal(&orders).into_iter().chain(secrets).collect();
    let told: Vec<(&String, &&str)> = forbidden
        .iter()
        .filter_map(|value| Some((value, lines.iter().find(|line| line.contains(value.as_str()))?)))
        .collect();
    assert!(told.is_empty(), "{told:#?}");
    println!("searched {} lines of {events} events for {} values", lines.len(), forbidden.len());
}
