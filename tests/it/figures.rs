//! What is measured, and that it is measured cheaply.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use sqlx::PgPool;
use transak_relay::store::dispatcher::DispatcherId;
use transak_relay::store::due::look;
use transak_relay::store::figures;
use transak_relay::store::pool::MIGRATOR;
use transak_relay::telemetry::names;

use crate::world::{World, order};

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_owed_held_and_put_aside_is_counted(pool: PgPool) {
    let mut world = World::new(pool).await;
    let _due = world.endpoint(json!({})).await;
    let (_receiver, held) = world.endpoint(json!({})).await;
    let id = held["id"].as_str().unwrap();
    world.call("POST", &format!("/v1/endpoints/{id}/disable"), None).await;
    let message = world.signed(&order("o1", "COMPLETED", 1));
    world.hear(&message).await;
    world.hear("nonsense").await;
    sqlx::query("update delivery set leased_at = null, next_attempt_at = now() - interval '10 minutes' where state = 'pending'")
        .execute(&world.pool).await.unwrap();
    world.sql("update endpoint_due set due_at = now() - interval '10 minutes'").await;
    let mut conn = world.pool.acquire().await.unwrap();
    let queue = figures::queue(&mut conn).await.unwrap();
    assert_eq!((queue.due, queue.held), (1, 1));
    assert!((600.0..700.0).contains(&queue.oldest_due_seconds), "{queue:?}");
    assert!((600.0..700.0).contains(&queue.oldest_stuck_seconds), "{queue:?}");
    let troubles = figures::troubles(&mut conn).await.unwrap();
    assert_eq!((troubles.quarantined, troubles.gaps_open), (1, 0));
    assert_eq!((troubles.endpoints_answering, troubles.endpoints_disabled), (1, 1));
    assert!(figures::server(&mut conn).await.unwrap().bytes > 0);
    assert!(figures::first_token_end(&mut conn).await.unwrap().is_some());
    assert!(figures::dead_rows(&mut conn).await.unwrap().iter().any(|(table, _)| table == "delivery"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_queue_that_somebody_works_on_is_old_but_not_stuck(pool: PgPool) {
    let mut world = World::new(pool).await;
    let _receiver = world.endpoint(json!({})).await;
    for id in ["o1", "o2"] {
        let message = world.signed(&order(id, "COMPLETED", 1));
        world.hear(&message).await;
    }
    // One is under way, the other waits behind it, and whoever sends has just looked at their endpoint.
    sqlx::query("update delivery set leased_at = null, next_attempt_at = now() - interval '10 minutes' where order_id = 'o1'")
        .execute(&world.pool).await.unwrap();
    world.sql("update endpoint_due set due_at = now() - interval '10 minutes'").await;
    let mut dispatcher = world.pool.acquire().await.unwrap();
    look(&mut dispatcher, DispatcherId::new(), None).await.unwrap();
    sqlx::query("update delivery set attempts = 1, leased_at = now(), next_attempt_at = now() + interval '1 minute' where order_id = 'o2'")
        .execute(&world.pool).await.unwrap();
    let mut conn = world.pool.acquire().await.unwrap();
    let queue = figures::queue(&mut conn).await.unwrap();
    assert!(queue.oldest_due_seconds > 600.0 && queue.oldest_stuck_seconds < 1.0, "{queue:?}");
}

#[test]
fn every_metric_that_is_counted_is_described_and_the_other_way_round() {
    let counted: BTreeSet<String> = sources(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path())
        .iter()
        .flat_map(|path| named(&std::fs::read_to_string(path).unwrap()))
        .collect();
    let described = names::COUNTERS.iter().map(|(name, _)| *name);
    let described = described.chain(names::HISTOGRAMS.iter().map(|(name, _, _)| *name));
    let described =
        described.chain(names::GAUGES.iter().chain(names::DATABASE_GAUGES).map(|(name, _)| *name));
    assert_eq!(
        counted,
        described.map(str::to_owned).collect::<BTreeSet<_>>(),
        "left: counted, right: described"
    );
}

#[test]
fn a_gauge_with_a_label_is_shown_by_rounds_alone_so_that_it_goes_with_what_it_is_about() {
    for path in sources(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path()) {
        let source = std::fs::read_to_string(&path).unwrap();
        for set in source.split("gauge!(").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(!set.contains("=>"), "{}: gauge!({set})", path.display());
        }
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The names given to `counter!`, `gauge!`, `histogram!` and rounds.
fn named(source: &str) -> Vec<String> {
    let calls = ["counter!(", "gauge!(", "histogram!(", ".show(", ".show_of(", ".show_some("];
    let after = calls.iter().flat_map(|call| source.split(call).skip(1));
    let names = after.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    names.map(str::to_owned).collect()
}
