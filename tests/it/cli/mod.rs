//! The operator's commands: the real binary, asking a real relay.

use std::process::{Output, Stdio};

use axum::http::StatusCode;
use chrono::Utc;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, PgPool};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use transak_relay::sandbox::receiver::{Answer, Receiver};
use transak_relay::sandbox::{RelayApi, signing};
use transak_relay::store::pool::MIGRATOR;

use crate::soon::soon;
use crate::world::{ADMIN, API_KEY, order};

mod everyday;
mod forward;
mod line;

const MASTER_KEY: &str = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transak-relay"));
    command.stdin(Stdio::null()).kill_on_drop(true).env_remove("DATABASE_URL");
    command
}

/// A relay with one partner, and a receiver that is registered with it.
struct Served {
    url: String,
    access_token: SecretString,
    receiver: Receiver,
    partner: String,
    endpoint: String,
    http: reqwest::Client,
    _relay: Child,
    _log: Lines<BufReader<ChildStderr>>,
    _spool: tempfile::TempDir,
}

impl Served {
    async fn start(pool: &PgPool) -> Self {
        let access_token = signing::access_token(API_KEY, Utc::now().timestamp(), 604_800).unwrap();
        let spool = tempfile::tempdir().unwrap();
        let mut command = binary();
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--roles",
            "api,dispatch",
            "--allow-http-callbacks",
            "true",
        ]);
        command.args([
            "--allow-callback-cidrs",
            "127.0.0.0/8",
            "--master-key",
            MASTER_KEY,
            "--admin-token",
            ADMIN,
        ]);
        command.args(["--transak-api-key", API_KEY, "--transak-access-token", access_token.expose_secret()]);
        command.args(["--log", "info", "--log-format", "json", "--spool-dir"]).arg(spool.path());
        command.env("DATABASE_URL", pool.connect_options().to_url_lossy().as_str());
        let mut relay = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(relay.stderr.take().unwrap()).lines();
        let url = loop {
            let line = soon(log.next_line()).await.unwrap().expect("the relay answers before it ends");
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(address) = line["address"].as_str() {
                break format!("http://{address}");
            }
        };
        let receiver = Receiver::start(([127, 0, 0, 1], 0).into(), std::io::sink()).await.unwrap();
        let api = RelayApi::new(url.parse().unwrap(), ADMIN.into()).unwrap();
        let registered = api.register(None, &receiver.url()).await.unwrap();
        receiver.trust_secret(registered.secret);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let (partner, endpoint) = (registered.partner_id, registered.endpoint_id);
        Self { url, access_token, receiver, partner, endpoint, http, _relay: relay, _log: log, _spool: spool }
    }

    /// The binary with these arguments, as an operator runs it.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = binary();
        command.args(arguments).env("RELAY_URL", &self.url).env("RELAY_TOKEN", ADMIN);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().await.unwrap()
    }

    /// Runs it to its good end; what it printed.
    async fn printed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// As [`Self::printed`], with `--json`: one value a line.
    async fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let printed = self.printed(&[arguments, &["--json"]].concat()).await;
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Hears an order through Transak's webhook, and has it told.
    async fn hear(&self, id: &str, status: &str, minute: u32) {
        let order = order(id, status, minute);
        let claims = format!(
            r#"{{"webhookData":{order},"eventID":"ORDER_PROCESSING","createdAt":"2025-04-04T13:00:00.000Z"}}"#
        );
        let data = signing::sign(&self.access_token, &claims).unwrap();
        let told = *self.receiver.count().borrow();
        let request = self.http.post(format!("{}/ingest/transak/{}", self.url, self.partner));
        let answer = request.json(&json!({ "data": data })).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), r#"{"result":"new"}"#);
        soon(self.receiver.count().wait_for(|&count| count > told)).await.unwrap();
    }

    /// Begins to follow events from before everything.
    fn tail(&self, json: bool) -> (Child, Lines<BufReader<ChildStdout>>) {
        let mut command = self.command(&["events", "tail", "--since", "2020-01-01T00:00:00Z"]);
        command.args(json.then_some("--json")).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut tail = command.spawn().unwrap();
        let lines = BufReader::new(tail.stdout.take().unwrap()).lines();
        (tail, lines)
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_token_is_made_that_opens_what_it_is_for(pool: PgPool) {
    let relay = Served::start(&pool).await;
    let reader = ["token", "create", "--name", "dashboard", "--scope", "read", "--partner", &relay.partner];
    let token = relay.printed(&reader).await;
    assert!(token.starts_with("rly_") && token.lines().count() == 1, "{token}");
    let listed =
        relay.command(&["endpoints", "list"]).env("RELAY_TOKEN", token.trim()).output().await.unwrap();
    assert!(text(&listed.stdout).contains(&relay.endpoint), "{listed:?}");
    let mut test = relay.command(&["endpoints", "test", &relay.endpoint]);
    let refused = test.env("RELAY_TOKEN", token.trim()).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("cannot change anything"), "{refused:?}");
    let made = relay.json(&["tokens", "create", "--name", "operator", "--scope", "admin"]).await;
    assert_eq!((&made[0]["name"], &made[0]["scope"]), (&json!("operator"), &json!("admin")));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn endpoints_are_listed_and_tested(pool: PgPool) {
    let relay = Served::start(&pool).await;
    let table = relay.printed(&["endpoints", "list"]).await;
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("ID") && lines[1].starts_with(&relay.endpoint), "{table}");
    assert!(lines[1].ends_with(&relay.receiver.url()), "{table}");
    assert_eq!(relay.json(&["endpoints", "list"]).await[0]["id"], relay.endpoint);

    let tested = relay.printed(&["endpoints", "test", &relay.endpoint]).await;
    assert!(tested.starts_with("the endpoint answered 204 in "), "{tested}");
    assert!(relay.receiver.arrivals()[0].verified);
    assert_eq!(relay.json(&["endpoints", "test", &relay.endpoint]).await[0]["statusCode"], 204);

    let test = ["endpoints", "test", &relay.endpoint, "--event", "ORDER_COMPLETED"];
    assert_eq!(relay.json(&test).await[0]["statusCode"], 204);
    let told: Value = serde_json::from_slice(&relay.receiver.arrivals()[2].body).unwrap();
    assert_eq!((&told["type"], &told["data"]["status"]), (&json!("ORDER_COMPLETED"), &json!("COMPLETED")));
    let wrong = relay.run(&["endpoints", "test", &relay.endpoint, "--event", "ORDER_COMPLETE"]).await;
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("did you mean `ORDER_COMPLETED`?"), "{wrong:?}");

    relay.receiver.answer(Answer { status: StatusCode::IM_A_TEAPOT, ..Answer::default() });
    let refused = relay.run(&["endpoints", "test", &relay.endpoint]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stdout).contains("answered 418"), "{refused:?}");
    assert!(text(&refused.stderr).contains("only 2xx is success"), "{refused:?}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_orders_timeline_is_a_table_with_durations(pool: PgPool) {
    let relay = Served::start(&pool).await;
    relay.hear("o1", "PROCESSING", 1).await;
    relay.hear("o1", "COMPLETED", 3).await;
    let table = relay.printed(&["orders", "timeline", "o1"]).await;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines[0], "order o1 (po-o1): COMPLETED, over");
    let first: Vec<_> = lines[3].split_whitespace().take(6).collect();
    assert_eq!(first, ["2025-04-04", "13:01:48.374", "PROCESSING", "2m", "0s", "webhook"], "{table}");
    assert!(lines[4].contains(&relay.endpoint), "{table}");
    let told = relay.json(&["orders", "timeline", "o1"]).await;
    assert_eq!(told[0]["entries"][0]["durationMs"], 120_000);

    let unknown = relay.run(&["orders", "timeline", "o 2/?"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(text(&unknown.stderr), "transak-relay: There is no such order. (404 Not Found)\n");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn events_are_followed_until_nobody_reads_them(pool: PgPool) {
    let relay = Served::start(&pool).await;
    relay.hear("o1", "PROCESSING", 1).await;
    let (tail, mut lines) = relay.tail(false);
    let line = soon(lines.next_line()).await.unwrap().unwrap();
    assert!(line.contains("ORDER_PROCESSING") && line.contains(" o1 "), "{line}");
    let (machine, mut values) = relay.tail(true);
    relay.hear("o2", "COMPLETED", 2).await;
    for order in ["o1", "o2"] {
        let value: Value = serde_json::from_str(&soon(values.next_line()).await.unwrap().unwrap()).unwrap();
        assert_eq!(value["orderId"], order);
    }
    // As `| head` does: what comes next finds nobody.
    drop((lines, values));
    relay.hear("o3", "PROCESSING", 3).await;
    for tail in [tail, machine] {
        let ended = tail.wait_with_output().await.unwrap();
        assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_an_endpoint_missed_is_sent_again(pool: PgPool) {
    let relay = Served::start(&pool).await;
    relay.hear("o1", "PROCESSING", 1).await;
    let again = ["recover", &relay.endpoint, "--since", "2020-01-01T00:00:00Z", "--only", "all"];
    let progress = relay.printed(&again).await;
    assert!(progress.lines().last().unwrap().ends_with("1 of 1 owed again, finished"), "{progress}");
    soon(relay.receiver.count().wait_for(|&count| count == 2)).await.unwrap();
    let job = relay.json(&["recover", &relay.endpoint, "--since", "2020-01-01T00:00:00Z"]).await;
    let ended = job.last().unwrap();
    assert_eq!(
        (&ended["state"], &ended["only"], &ended["total"]),
        (&json!("finished"), &json!("failed"), &json!(0))
    );

    let refused = relay.run(&["recover", &relay.endpoint, "--since", "tomorrow"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("--since: must be a time"), "{refused:?}");
}

#[tokio::test]
async fn a_relay_that_does_not_answer_is_named_and_so_is_a_token_that_is_missing() {
    let mut nobody = binary();
    nobody.args(["endpoints", "list", "--relay-url", "http://127.0.0.1:1"]).env("RELAY_TOKEN", "x");
    let nobody = nobody.output().await.unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("nobody answers at http://127.0.0.1:1/"), "{nobody:?}");
    let tokenless = binary().args(["endpoints", "list"]).env_remove("RELAY_TOKEN").output().await.unwrap();
    assert!(text(&tokenless.stderr).contains("set RELAY_TOKEN"), "{tokenless:?}");
}
