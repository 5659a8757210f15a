//! The table's commands against a relay that runs: each kind of operation, for people and for machines.

use serde_json::json;
use sqlx::PgPool;
use transak_relay::store::pool::MIGRATOR;

use super::{Served, text};
use crate::soon::soon;
use crate::world::ADMIN;

/// The members of a line-a-member answer.
fn member<'a>(printed: &'a str, name: &str) -> &'a str {
    let line = printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("  "));
    line.unwrap_or_else(|| panic!("{name}: {printed}")).trim()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_token_reads_unless_more_is_said_and_an_admin_is_never_made_by_saying_nothing(pool: PgPool) {
    let relay = Served::start(&pool).await;
    let made = relay.json(&["tokens", "create", "--name", "reads", "--partner", &relay.partner]).await;
    assert_eq!((&made[0]["scope"], &made[0]["partnerId"]), (&json!("read"), &json!(relay.partner)));
    let refused = relay.run(&["tokens", "create", "--name", "who"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("`partnerId` is required unless scope is admin"), "{refused:?}");
    let mut silent = relay.command(&["token", "--name", "who"]);
    let silent = silent.env("DATABASE_URL", "postgres://127.0.0.1:1/x").output().await.unwrap();
    assert!(
        text(&silent.stderr).contains("one that opens all partners is made with --scope admin"),
        "{silent:?}"
    );

    let table = relay.printed(&["tokens", "list"]).await;
    assert!(table.starts_with("ID") && table.contains("reads") && !table.contains("who"), "{table}");
    let id = made[0]["id"].as_str().unwrap();
    assert_eq!(relay.printed(&["tokens", "revoke", id]).await, "The token is revoked.\n");
    assert_eq!(relay.json(&["tokens", "list"]).await, Vec::<serde_json::Value>::new());
    let gone = relay.run(&["tokens", "revoke", id]).await;
    assert_eq!(text(&gone.stderr), "transak-relay: There is no such token. (404 Not Found)\n");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_endpoint_lives_from_its_creation_to_its_end_on_the_command_line(pool: PgPool) {
    let relay = Served::start(&pool).await;
    let url = format!("{}/second", relay.receiver.url());
    let create = [
        "endpoints",
        "create",
        "--url",
        &url,
        "--partner",
        &relay.partner,
        "--events",
        "ORDER_COMPLETED,ORDER_FAILED",
        "--retry-schedule",
        "5,300",
        "--rate-limit-per-second",
        "0.5",
        "--header",
        "x-shop: one",
        "--ordered",
    ];
    let made = relay.printed(&create).await;
    let id = member(&made, "id").to_owned();
    assert!(member(&made, "secret").starts_with("whsec_"), "{made}");
    assert_eq!(member(&made, "events"), "ORDER_COMPLETED,ORDER_FAILED");
    assert_eq!(member(&made, "rateLimit.perSecond"), "0.5");

    let edit = ["endpoints", "edit", &id, "--clear", "events", "--ordered=false", "--description", "second"];
    let edited = &relay.json(&edit).await[0];
    assert_eq!(edited["events"], json!(null));
    assert_eq!((&edited["ordered"], &edited["description"]), (&json!(false), &json!("second")));
    assert_eq!((&edited["retrySchedule"], &edited["headerNames"]), (&json!([5, 300]), &json!(["x-shop"])));

    assert_eq!(relay.json(&["endpoints", "disable", &id]).await[0]["state"], "disabled");
    assert_eq!(member(&relay.printed(&["endpoints", "show", &id]).await, "state"), "disabled");
    assert_eq!(member(&relay.printed(&["endpoints", "enable", &id]).await, "state"), "enabled");
    let rotated = relay.printed(&["endpoints", "rotate", &id, "--overlap-seconds", "60"]).await;
    assert!(member(&rotated, "secret").starts_with("whsec_"), "{rotated}");
    assert_eq!(relay.printed(&["endpoints", "delete", &id]).await, "The endpoint is deleted.\n");
    assert!(!relay.printed(&["endpoints", "list"]).await.contains(&id));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_wrong_event_name_is_answered_with_the_one_that_was_meant(pool: PgPool) {
    let relay = Served::start(&pool).await;
    let create = [
        "endpoints",
        "create",
        "--url",
        "https://a.example/",
        "--partner",
        &relay.partner,
        "--events",
        "ORDER_COMPLETE",
    ];
    let refused = relay.run(&create).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("did you mean `ORDER_COMPLETED`?"), "{refused:?}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_partner_is_registered_with_a_secret_from_a_file_changed_and_deleted(pool: PgPool) {
    let relay = Served::start(&pool).await;
    let create =
        ["partners", "create", "--name", "Second", "--environment", "staging", "--api-key", "second-key"];
    let made = relay.printed(&create).await;
    let id = member(&made, "id").to_owned();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "kept-in-a-file\n").unwrap();
    let named = format!("@{}", secret.display());
    let edit = ["partners", "edit", &id, "--api-secret", &named, "--max-endpoints", "7"];
    let edited = &relay.json(&edit).await[0];
    assert_eq!((&edited["hasApiSecret"], &edited["maxEndpoints"]), (&json!(true), &json!(7)));
    let table = relay.printed(&["partners", "list"]).await;
    assert!(
        table.contains(&id) && table.contains("CREDENTIALS STATE") && !table.contains("kept-in-a-file"),
        "{table}"
    );
    assert_eq!(relay.printed(&["partners", "delete", &id]).await, "The partner is deleted.\n");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_heard_and_told_is_listed_shown_sent_again_and_erased(pool: PgPool) {
    let relay = Served::start(&pool).await;
    relay.hear("o1", "PROCESSING", 1).await;
    relay.hear("o1", "COMPLETED", 3).await;
    let orders = relay.printed(&["orders", "list", "--product", "buy", "--from", "2025-04-04"]).await;
    assert!(orders.lines().nth(1).unwrap().starts_with("o1"), "{orders}");
    let order = relay.printed(&["orders", "show", "o1"]).await;
    assert_eq!((member(&order, "status"), member(&order, "order.walletAddress")), ("COMPLETED", "0xD902"));
    let history = relay.printed(&["orders", "history", "o1"]).await;
    assert!(history.contains("data:\nSTATUS"), "{history}");

    let events = relay.json(&["events", "list", "--order", "o1"]).await;
    let event = events[0]["id"].as_str().unwrap();
    assert_eq!(member(&relay.printed(&["events", "show", event]).await, "payload.id"), "o1");
    let deliveries = relay.json(&["deliveries", "list", "--event", event, "--state", "succeeded"]).await;
    let delivery = deliveries[0]["id"].as_str().unwrap();
    let shown = relay.printed(&["deliveries", "show", delivery]).await;
    assert_eq!(member(&shown, "attemptLog[0].statusCode"), "204");
    let told = *relay.receiver.count().borrow();
    let again = relay.printed(&["events", "redeliver", event, "--endpoint", &relay.endpoint]).await;
    assert!(again.contains("data:\nID") && again.contains(&relay.endpoint), "{again}");
    assert_eq!(relay.json(&["deliveries", "retry", delivery]).await[0]["state"], "pending");
    soon(relay.receiver.count().wait_for(|&count| count > told)).await.unwrap();

    assert_eq!(relay.printed(&["orders", "erase", "o1"]).await, "The order is erased.\n");
    assert_eq!(relay.json(&["orders", "list"]).await, Vec::<serde_json::Value>::new());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_not_understood_is_listed_shown_tried_again_and_deleted(pool: PgPool) {
    let relay = Served::start(&pool).await;
    for number in 0..3 {
        let request = relay.http.post(format!("{}/ingest/transak/{}", relay.url, relay.partner));
        request.json(&json!({ "data": format!("no-token-{number}") })).send().await.unwrap();
    }
    let listed = relay.json(&["quarantine", "list", "--source", "webhook"]).await;
    assert_eq!(listed.len(), 3);
    let id = listed[0]["id"].as_str().unwrap();
    assert!(member(&relay.printed(&["quarantine", "show", id]).await, "raw").contains("no-token"));
    assert!(relay.printed(&["quarantine", "retry", id]).await.contains("result"));
    assert_eq!(relay.json(&["quarantine", "retry-all"]).await[0]["kept"], 0);
    assert_eq!(relay.printed(&["quarantine", "delete", id]).await, "The message is deleted.\n");
    assert_eq!(member(&relay.printed(&["quarantine", "empty", "--before", "now"]).await, "deleted"), "2");
    assert_eq!(relay.printed(&["gaps", "list"]).await.lines().next().unwrap().split("  ").next(), Some("ID"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_watch_begins_and_ends_on_the_command_line(pool: PgPool) {
    let relay = Served::start(&pool).await;
    let made =
        relay.json(&["watches", "create", "--partner-order", "mine-1", "--partner", &relay.partner]).await;
    let id = made[0]["id"].as_str().unwrap();
    assert!(relay.printed(&["watches", "list"]).await.contains("mine-1"));
    assert_eq!(relay.printed(&["watches", "delete", id]).await, "The watch is ended.\n");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_list_says_when_there_is_more_than_it_shows(pool: PgPool) {
    let relay = Served::start(&pool).await;
    for minute in 1..=3 {
        relay.hear(&format!("o{minute}"), "PROCESSING", minute).await;
    }
    let short = relay.run(&["orders", "list", "--limit", "2", "--json"]).await;
    assert_eq!((short.status.success(), text(&short.stdout).lines().count()), (true, 2));
    assert_eq!(text(&short.stderr), "There are more: give --limit or --all.\n");
    assert_eq!(relay.json(&["orders", "list", "--limit", "3"]).await.len(), 3);
    assert_eq!(relay.json(&["orders", "list", "--all"]).await.len(), 3);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_recovery_is_counted_beforehand_listed_and_cancelled(pool: PgPool) {
    let relay = Served::start(&pool).await;
    relay.hear("o1", "PROCESSING", 1).await;
    let counted =
        relay.printed(&["recover", &relay.endpoint, "--since", "2h", "--only", "all", "--dry-run"]).await;
    assert_eq!(counted, "1 would be owed again; nothing is, because of --dry-run\n");
    assert_eq!(relay.json(&["recover", "list"]).await, Vec::<serde_json::Value>::new());
    relay.printed(&["recover", &relay.endpoint, "--since", "yesterday", "--only", "all"]).await;
    let listed = relay.json(&["recover", "list"]).await;
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(member(&relay.printed(&["recover", "show", id]).await, "state"), "finished");
    let refused = relay.run(&["recover", "cancel", id]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("The recovery is finished"), "{refused:?}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_token_is_read_from_a_file_by_every_command_that_asks_a_relay(pool: PgPool) {
    let relay = Served::start(&pool).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{ADMIN}\n")).unwrap();
    let with_file = |arguments: &[&str]| {
        let mut command = relay.command(arguments);
        command.env_remove("RELAY_TOKEN").env("RELAY_TOKEN_FILE", file.path());
        command
    };
    for arguments in [&["partners", "list"][..], &["tokens", "list"], &["token", "list"], &["gaps", "list"]] {
        let output = with_file(arguments).output().await.unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
    let twice = with_file(&["partners", "list"]).env("RELAY_TOKEN", ADMIN).output().await.unwrap();
    let said = text(&twice.stderr);
    assert!(said.contains("RELAY_TOKEN and RELAY_TOKEN_FILE are both given: leave one out"), "{said}");
    std::fs::write(file.path(), "rly_of_nobody").unwrap();
    let refused = with_file(&["partners", "list"]).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}
