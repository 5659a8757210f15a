//! What a relay shows of itself. `/metrics`: every figure that an operator is promised is there, with its labels.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use transak_relay::model::id::PartnerId;
use transak_relay::sandbox::receiver::Answer;
use transak_relay::store::pool::MIGRATOR;
use transak_relay::telemetry::names;

use crate::process::Around;
use crate::soon::soon;
use crate::world::{API_KEY, World, order};

/// What an operator is promised, each as a sample that must be there.
const PROMISED: [&str; 33] = [
    "relay_stream_connected ",
    "relay_stream_last_heard_timestamp_seconds ",
    "relay_stream_frames_total{kind=",
    "relay_stream_reconnects_total",
    "relay_gaps_open ",
    "relay_gaps_open_seconds ",
    "relay_intake_batch_events_bucket",
    "relay_intake_commit_duration_seconds_bucket",
    "relay_spool_bytes ",
    "relay_quarantine_messages ",
    "relay_deliveries_total{outcome=\"succeeded\"}",
    "relay_deliveries_total{outcome=\"failed\"}",
    "relay_heard_to_answered_seconds_bucket",
    "relay_queue_due ",
    "relay_queue_oldest_due_seconds ",
    "relay_endpoints{state=\"answering\"}",
    "relay_endpoints{state=\"failing\"}",
    "relay_endpoints{state=\"paused\"}",
    "relay_endpoints{state=\"disabled\"}",
    "relay_access_token_expiry_timestamp_seconds ",
    "relay_pool_connections{state=\"idle\"}",
    "relay_pool_connections{state=\"used\"}",
    "relay_pool_connections_max ",
    "relay_database_dead_rows{table=",
    "relay_database_oldest_transaction_seconds ",
    "relay_clock_ahead_seconds{of=\"database\"}",
    "relay_intake_messages_total{fate=\"new\"}",
    "relay_build_info{version=",
    "process_resident_memory_bytes ",
    "process_open_fds ",
    "process_max_fds ",
    "process_cpu_seconds_total ",
    "process_start_time_seconds ",
];

#[sqlx::test(migrator = "MIGRATOR")]
async fn every_promised_figure_is_there(pool: PgPool) {
    let around = Around::new(pool).await;
    let relay = around.start(&[]).await;
    let (good, bad) = (relay.endpoint(json!({})).await, relay.endpoint(json!({})).await);
    bad.answer(Answer { status: StatusCode::INTERNAL_SERVER_ERROR, ..Answer::default() });
    let private = order("measured", "PROCESSING", 1);
    around.publish(&private);
    soon(good.count().wait_for(|count| *count >= 1)).await.unwrap();
    soon(bad.count().wait_for(|count| *count >= 1)).await.unwrap();
    around.upstream.pusher().disconnect(Some(4200));
    // The next sample is up to a period away.
    let text = relay.metrics_when(|text| PROMISED.iter().all(|sample| has(text, sample))).await;
    for sample in PROMISED {
        assert!(has(&text, sample), "{sample} is not in\n{text}");
    }
    for (name, _) in names::ZEROES {
        assert!(has(&text, name), "{name} is not shown before it first counts");
    }
    for value in ["measured", "0xD902", "/callback", "http://"] {
        assert!(!text.contains(value), "{value} is a label");
    }
    println!(
        "{} samples, {} promised ones among them",
        text.lines().filter(|line| !line.starts_with('#')).count(),
        PROMISED.len()
    );
}

/// The names of all labels.
fn labels(text: &str) -> BTreeSet<&str> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let labelled = samples.filter_map(|line| line.split_once('{')?.1.rsplit_once('}'));
    labelled
        .flat_map(|(labels, _)| labels.split("\","))
        .filter_map(|one| Some(one.split_once('=')?.0))
        .collect()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_metrics_say_who_is_not_heard_only_if_the_operator_wants_it_and_only_in_a_label_of_its_own(
    pool: PgPool,
) {
    let around = Around::new(pool).await;
    assert!(around.start(&[]).await.stop().await.success());
    sqlx::query(
        "update gap set ended_at = null, repaired_at = null, started_at = now() - interval '9 minutes'",
    )
    .execute(&around.pool)
    .await
    .unwrap();
    let unheard = "insert into gap (partner_id, gap_id, started_at, reason)
         select partner_id, gen_random_uuid(), now() - interval '9 minutes', 'test' from partner
         where not exists (select from gap)";
    sqlx::query(unheard).execute(&around.pool).await.unwrap();
    let partner: PartnerId =
        sqlx::query_scalar("select partner_id from partner").fetch_one(&around.pool).await.unwrap();
    let shown = |text: &str| has(text, "relay_access_token_expiry_timestamp_seconds ");
    // Whoever listened would hear the partner.
    for (named, expected) in
        [("false", "relay_partner_unheard_seconds 5"), ("true", "relay_partner_unheard_seconds{")]
    {
        let mut relay = around.start(&[("RELAY_ROLES", "api"), ("RELAY_METRICS_PARTNERS", named)]).await;
        let text = relay.metrics_when(shown).await;
        assert!(has(&text, expected), "{text}");
        assert!(!text.contains(API_KEY) && !text.contains(&partner.uuid().to_string()), "{text}");
        let id = partner.to_string();
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(&id)).collect();
        assert_eq!(lines.len(), usize::from(named == "true"), "{lines:?}");
        let known: BTreeSet<&str> = names::LABELS.iter().copied().chain(["le"]).collect();
        assert!(labels(&text).is_subset(&known), "{:?}", labels(&text));
        assert!(relay.stop().await.success(), "{}", relay.log());
    }
}

fn has(text: &str, sample: &str) -> bool {
    text.lines().any(|line| line.starts_with(sample))
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_security_page_is_served(pool: PgPool) {
    let world = World::new(pool).await;
    let (status, page) = world.call_raw("GET", "/docs/security.md", None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(page, std::fs::read("docs/security.md").unwrap());
}
