//! The database is away and the disk under the spool is full.

use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use transak_relay::intake::spool::Spool;
use transak_relay::intake::Writer;
use transak_relay::store::pool::MIGRATOR;

use crate::parts;
use crate::heard_is_kept::allow_connections;
use crate::world::{World, order};

/// A spool on a disk that is full: each write fails with ENOSPC.
fn on_a_full_disk(folder: &std::path::Path) -> Spool {
    std::fs::create_dir_all(folder.join("0")).unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.join("0/messages")).unwrap();
    Spool::open(folder, 1 << 24).unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_webhook_is_answered_503_and_the_span_of_the_stream_becomes_a_gap(pool: PgPool) {
    let mut world = World::new(pool).await;
    let folder = tempfile::tempdir().unwrap();
    let directory = world.directory.subscribe();
    let (intake, writer) = Writer::new(parts::intake(&world.pool, directory, (on_a_full_disk(folder.path()), None)));
    world.api = parts::api(&world.pool, &world.key, (intake.clone(), world.feed.clone()));
    (world.intake, world.writer) = (intake, writer);
    let path = format!("/ingest/transak/{}", world.partner);
    let body = json!({ "data": world.signed(&order("o1", "COMPLETED", 1)) });
    let options = world.pool.connect_options();
    allow_connections(&options, false).await;
    let (status, problem) = world.post_while_writing(&path, body.clone()).await;
    assert_eq!((status, &problem["type"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("/docs/problems/unavailable")));
    let message = world.signed(&order("o2", "COMPLETED", 1));
    world.hear(&message).await;
    assert_eq!(world.writer.health().borrow().refused, 2);
    allow_connections(&options, true).await;
    world.writer.drain().await;
    let gaps: Vec<(String, bool)> =
        sqlx::query_as("select reason, repaired_at is null and ended_at > started_at from gap")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    assert_eq!(gaps, [("messages could be neither kept nor spooled".to_owned(), true)]);
    let (status, _) = world.post_while_writing(&path, body).await;
    assert_eq!(status, StatusCode::OK, "whoever comes again is heard");
}
