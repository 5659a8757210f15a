//! The spool when its disk is full, and when what it holds was erased meanwhile.

use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use transak_relay::intake::Writer;
use transak_relay::intake::spool::Spool;
use transak_relay::store::pool::MIGRATOR;

use crate::heard_is_kept::allow_connections;
use crate::parts;
use crate::world::{World, order};

/// A spool on a disk that is full: each write fails with ENOSPC.
fn on_a_full_disk(folder: &std::path::Path) -> Spool {
    for place in ["0", "1"] {
        std::fs::create_dir_all(folder.join(place)).unwrap();
        std::os::unix::fs::symlink("/dev/full", folder.join(place).join("messages")).unwrap();
    }
    Spool::open(folder, 1 << 24).unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_webhook_is_answered_503_and_kept_when_it_comes_again(pool: PgPool) {
    let mut world = World::new(pool).await;
    let folder = tempfile::tempdir().unwrap();
    let directory = world.directory.subscribe();
    let (intake, writer) =
        Writer::new(parts::intake(&world.pool, directory, (on_a_full_disk(folder.path()), None)));
    world.api = parts::api(&world.pool, &world.key, (intake.clone(), world.feed.clone()));
    (world.intake, world.writer) = (intake, writer);
    let path = format!("/ingest/transak/{}", world.partner);
    let body = json!({ "data": world.signed(&order("o1", "COMPLETED", 1)) });
    let options = world.pool.connect_options();
    allow_connections(&options, false).await;
    let (status, problem) = world.post_while_writing(&path, body.clone()).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("/docs/problems/unavailable"))
    );
    let message = world.signed(&order("o2", "COMPLETED", 1));
    world.hear(&message).await;
    assert_eq!(world.writer.health().borrow().refused, 2);
    allow_connections(&options, true).await;
    world.writer.drain().await;
    let (status, _) = world.post_while_writing(&path, body).await;
    assert_eq!(status, StatusCode::OK, "whoever comes again is heard");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_neither_the_tables_nor_the_disk_take_is_answered_503(pool: PgPool) {
    let mut world = World::new(pool).await;
    let folder = tempfile::tempdir().unwrap();
    let directory = world.directory.subscribe();
    let (intake, writer) =
        Writer::new(parts::intake(&world.pool, directory, (on_a_full_disk(folder.path()), None)));
    world.api = parts::api(&world.pool, &world.key, (intake.clone(), world.feed.clone()));
    (world.intake, world.writer) = (intake, writer);
    world.sql("alter table event rename to away").await;
    let path = format!("/ingest/transak/{}", world.partner);
    let body = json!({ "data": world.signed(&order("o1", "COMPLETED", 1)) });
    let (status, _) = world.post_while_writing(&path, body).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.writer.health().borrow().refused, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_waits_in_the_spool_of_an_order_that_is_erased_meanwhile_is_forgotten(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (erased, other) = ("erased-while-it-waits", "another-order");
    let message = world.signed(&order(erased, "PROCESSING", 1));
    world.hear(&message).await;
    let options = world.pool.connect_options();
    allow_connections(&options, false).await;
    for id in [erased, other] {
        let message = world.signed(&order(id, "COMPLETED", 2));
        world.hear(&message).await;
    }
    assert!(world.writer.health().borrow().spooled_bytes > 0);
    allow_connections(&options, true).await;
    let (status, _) = world.call("DELETE", &format!("/v1/orders/{erased}"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    world.writer.drain().await;
    assert_eq!(world.writer.health().borrow().spooled_bytes, 0);
    let kept: Vec<String> =
        sqlx::query_scalar("select order_id from \"order\"").fetch_all(&world.pool).await.unwrap();
    assert_eq!(kept, [other]);
    assert_eq!(world.count("event").await, 1);
    // What is told of it afterwards is a new order.
    let message = world.signed(&order(erased, "COMPLETED", 3));
    world.hear(&message).await;
    assert_eq!(world.count("event").await, 2);
}
