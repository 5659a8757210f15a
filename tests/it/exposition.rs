//! What a relay shows of itself. `/metrics`: every figure that an operator is promised is there, with its labels.

use reqwest::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use transak_relay::sandbox::receiver::Answer;
use transak_relay::store::pool::MIGRATOR;
use transak_relay::telemetry::names;

use crate::process::Around;
use crate::world::{World, order};

/// What an operator is promised, each as a sample that must be there.
const PROMISED: [&str; 27] = [
    "relay_stream_connected ",
    "relay_stream_last_heard_timestamp_seconds{partner=",
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
    "relay_access_token_expiry_timestamp_seconds{partner=",
    "relay_pool_connections{state=\"idle\"}",
    "relay_pool_connections{state=\"used\"}",
    "relay_pool_connections_max ",
    "relay_database_dead_rows{table=",
    "relay_database_oldest_transaction_seconds ",
    "relay_clock_ahead_seconds{of=\"database\"}",
    "relay_intake_messages_total{fate=\"new\"}",
];

#[sqlx::test(migrator = "MIGRATOR")]
async fn every_promised_figure_is_there(pool: PgPool) {
    let around = Around::new(pool).await;
    let relay = around.start(&[]).await;
    let (good, bad) = (relay.endpoint(json!({})).await, relay.endpoint(json!({})).await);
    bad.answer(Answer { status: StatusCode::INTERNAL_SERVER_ERROR, ..Answer::default() });
    let private = order("measured", "PROCESSING", 1);
    around.publish(&private);
    good.count().wait_for(|count| *count >= 1).await.unwrap();
    bad.count().wait_for(|count| *count >= 1).await.unwrap();
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
