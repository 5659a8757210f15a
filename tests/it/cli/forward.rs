//! `listen`, `trigger` and `completions`.

use std::net::SocketAddr;
use std::process::Stdio;

use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use transak_relay::sandbox::receiver::Receiver;
use transak_relay::sandbox::{Upstream, UpstreamSettings};
use transak_relay::store::pool::MIGRATOR;

use super::line::Line;
use super::{Served, binary, text};
use crate::dev::{self, Dev};
use crate::soon::soon;
use crate::world::API_KEY;

const SECRET: &str = "whsec_a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";

/// Where `listen` forwards to; it believes what is signed with [`SECRET`].
async fn handler(address: SocketAddr) -> Receiver {
    let handler = Receiver::start(address, std::io::sink()).await.unwrap();
    handler.trust_secret(SecretString::from(SECRET));
    handler
}

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

impl Served {
    fn listen(&self, url: &str, more: &[&str]) -> Child {
        let mut command = self.command(&["listen", "--forward-to", url, "--secret", SECRET, "--json"]);
        command.args(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

async fn arrived(handler: &Receiver, count: u64) -> Vec<String> {
    soon(handler.count().wait_for(|&got| got >= count)).await.unwrap();
    handler.arrivals().iter().map(|arrival| arrival.order_id.clone()).collect()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_happens_while_the_connection_is_cut_is_forwarded_once_and_in_order(pool: PgPool) {
    let relay = Served::start(&pool).await;
    let handler = handler(anywhere()).await;
    let mut line = Line::to(&relay.url).await;
    let _listening = relay.listen(&handler.url(), &["--relay-url", &line.url]);
    // The stream is open, and nothing has ever come over it.
    let answered = line.answered(0).await;
    line.cut();
    relay.hear("o1", "PROCESSING", 1).await;
    line.mend();
    assert_eq!(arrived(&handler, 1).await, ["o1"]);
    line.answered(answered).await;
    relay.hear("o2", "PROCESSING", 2).await;
    assert_eq!(arrived(&handler, 2).await, ["o1", "o2"]);
    line.cut();
    relay.hear("o3", "PROCESSING", 3).await;
    relay.hear("o4", "PROCESSING", 4).await;
    line.mend();
    assert_eq!(arrived(&handler, 4).await, ["o1", "o2", "o3", "o4"]);
    assert!(handler.arrivals().iter().all(|arrival| arrival.verified && arrival.attempt == 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_that_is_erased_during_a_break_costs_the_feed_nothing_else(pool: PgPool) {
    let relay = Served::start(&pool).await;
    let handler = handler(anywhere()).await;
    let line = Line::to(&relay.url).await;
    relay.hear("o1", "PROCESSING", 1).await;
    let mut listening = relay.listen(&handler.url(), &["--relay-url", &line.url, "--since", "2h"]);
    relay.hear("o2", "PROCESSING", 2).await;
    assert_eq!(arrived(&handler, 2).await, ["o1", "o2"]);
    line.cut();
    relay.printed(&["orders", "erase", "o2"]).await;
    relay.hear("o3", "PROCESSING", 3).await;
    line.mend();
    tokio::select! {
        orders = arrived(&handler, 3) => assert_eq!(orders, ["o1", "o2", "o3"]),
        ended = listening.wait() => panic!("listening ended: {ended:?}"),
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_happens_while_nobody_listens_at_the_address_is_forwarded_when_somebody_does(pool: PgPool) {
    let relay = Served::start(&pool).await;
    let address = std::net::TcpListener::bind(anywhere()).unwrap().local_addr().unwrap();
    relay.hear("o1", "PROCESSING", 1).await;
    let mut listening = relay.listen(&format!("http://{address}/hook"), &["--since", "2h"]);
    let mut said = BufReader::new(listening.stderr.take().unwrap()).lines();
    let line = soon(said.next_line()).await.unwrap().unwrap();
    assert!(line.starts_with(&format!("nobody listens at http://{address}/hook")), "{line}");
    let handler = handler(address).await;
    assert_eq!(arrived(&handler, 1).await, ["o1"]);
    assert!(handler.arrivals()[0].verified);
    let mut lines = BufReader::new(listening.stdout.take().unwrap()).lines();
    let line: Value = serde_json::from_str(&soon(lines.next_line()).await.unwrap().unwrap()).unwrap();
    assert_eq!((&line["orderId"], &line["statusCode"]), (&json!("o1"), &json!(204)));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_test_of_an_endpoint_is_forwarded_to_nobody_under_the_name_it_is_kept_by(pool: PgPool) {
    let relay = Served::start(&pool).await;
    let handler = handler(anywhere()).await;
    for event in [&[][..], &["--event", "ORDER_COMPLETED"]] {
        relay.printed(&[&["endpoints", "test", &relay.endpoint], event].concat()).await;
    }
    let _listening = relay.listen(&handler.url(), &["--since", "2h"]);
    relay.hear("o1", "PROCESSING", 1).await;
    assert_eq!(arrived(&handler, 1).await, ["o1"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_forwarded_for_an_endpoint_is_what_that_endpoint_would_get(pool: PgPool) {
    let relay = Served::start(&pool).await;
    let handler = handler(anywhere()).await;
    let url = relay.receiver.url();
    let create = [
        "endpoints",
        "create",
        "--url",
        &url,
        "--partner",
        &relay.partner,
        "--secret",
        SECRET,
        "--statuses",
        "COMPLETED",
        "--redact",
        "/walletAddress",
    ];
    let made = relay.json(&create).await;
    relay.receiver.trust_secret(SecretString::from(SECRET));
    relay.hear("o1", "PROCESSING", 1).await;
    relay.hear("o2", "COMPLETED", 2).await;
    let endpoint = made[0]["id"].as_str().unwrap();
    let _listening = relay.listen(&handler.url(), &["--since", "today", "--endpoint", endpoint]);
    assert_eq!(arrived(&handler, 1).await, ["o2"]);
    // The two endpoints were told three times; the one with the redaction of `o2` alone.
    soon(relay.receiver.count().wait_for(|&count| count == 3)).await.unwrap();
    let told = relay.receiver.arrivals();
    let forwarded = &handler.arrivals()[0];
    assert!(forwarded.verified);
    assert_eq!(told.iter().filter(|told| told.body == forwarded.body).count(), 1);
    let body: Value = serde_json::from_slice(&forwarded.body).unwrap();
    assert_eq!(
        (&body["data"]["walletAddress"], &body["data"]["status"]),
        (&json!(null), &json!("COMPLETED"))
    );
}

#[tokio::test]
async fn the_sandbox_plays_an_order_up_to_the_event_that_is_asked_for() {
    let upstream = Upstream::start_idle(UpstreamSettings::local(API_KEY, "token".into())).await.unwrap();
    let url = upstream.control_url();
    let trigger = async |event: &str| {
        let mut command = binary();
        command.args(["trigger", event, "--product", "SELL", "--sandbox-url", &url, "--json"]);
        command.output().await.unwrap()
    };
    let played = trigger("ORDER_PROCESSING").await;
    let played: Value = serde_json::from_slice(&played.stdout).unwrap();
    let statuses: Vec<_> = played["steps"].as_array().unwrap().iter().map(|step| &step["status"]).collect();
    let expected =
        ["AWAITING_PAYMENT_FROM_USER", "PAYMENT_DONE_MARKED_BY_USER", "PENDING_DELIVERY_FROM_TRANSAK"];
    assert_eq!(statuses, expected);
    let refused = trigger("ORDER_COMPLETE").await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("did you mean `ORDER_COMPLETED`?"), "{refused:?}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_is_never_played_at_what_is_no_sandbox(pool: PgPool) {
    let relay = Served::start(&pool).await;
    let refused = relay.run(&["trigger", "ORDER_COMPLETED", "--sandbox-url", &relay.url]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("is no sandbox: only the simulated Transak"), "{refused:?}");
    assert_eq!(relay.json(&["orders", "list"]).await, Vec::<Value>::new());
    let folder = tempfile::tempdir().unwrap();
    let mut nobody =
        relay.command(&["trigger", "ORDER_COMPLETED", "--sandbox-url", "http://127.0.0.1:1", "--dir"]);
    let nobody = nobody.arg(folder.path()).output().await.unwrap();
    assert!(text(&nobody.stderr).contains("start `transak-relay dev`"), "{nobody:?}");
}

#[tokio::test]
async fn an_order_that_is_triggered_beside_dev_is_told_to_its_receiver() {
    let folder = dev::folder();
    let place = folder.path().join("dev");
    let mut running = Dev::start(Dev::command(&place)).await;
    let mut command = binary();
    command.args(["trigger", "ORDER_COMPLETED", "--product", "NFT", "--json", "--dir"]).arg(&place);
    let played: Value = serde_json::from_slice(&command.output().await.unwrap().stdout).unwrap();
    let order = &played["orderId"].as_str().unwrap()[..8];
    loop {
        let line = running.callback().await;
        if line.contains(order) && line.contains("ORDER_COMPLETED") {
            assert!(line.contains("NFT") && line.contains("  verified"), "{line}");
            break;
        }
    }
    running.interrupt().await;
}

#[tokio::test]
async fn each_shell_is_told_how_to_complete_the_commands() {
    for (shell, says) in [
        ("bash", "complete -F _transak_relay"),
        ("zsh", "#compdef transak-relay"),
        ("fish", "complete -c transak-relay"),
    ] {
        let script = binary().args(["completions", shell]).output().await.unwrap();
        assert!(script.status.success() && text(&script.stdout).contains(says), "{shell}");
    }
}

#[tokio::test]
async fn bash_completes_a_command_and_its_flag() {
    let completed = async |word: &str, before: &str| {
        let program = env!("CARGO_BIN_EXE_transak-relay");
        let script = format!(
            "source <({program} completions bash); COMP_WORDS=(transak-relay endpoints {before} {word}); \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _transak_relay transak-relay '{word}' '{before}'; \
             echo \"${{COMPREPLY[@]}}\""
        );
        let output = tokio::process::Command::new("bash").args(["-c", &script]).output().await.unwrap();
        text(&output.stdout).trim().to_owned()
    };
    assert_eq!(completed("ro", "").await, "rotate");
    assert_eq!(completed("--over", "rotate").await, "--overlap-seconds");
}
