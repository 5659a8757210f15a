//! What this machine has not enough of is no failure of a receiver.

use std::io;
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use transak_relay::delivery::resolver::{Lookup, Resolve};
use transak_relay::delivery::sender::SenderSettings;
use transak_relay::store::pool::MIGRATOR;

use crate::parts::dispatcher_sending;
use crate::world::World;

/// A resolver in a process that may open no more files (`EMFILE`).
#[derive(Debug)]
struct NoFiles;

impl Resolve for NoFiles {
    fn lookup(&self, _name: &str) -> Lookup {
        Box::pin(std::future::ready(Err(io::Error::from_raw_os_error(24))))
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_delivery_for_which_no_file_is_left_waits_without_an_attempt(pool: PgPool) {
    let mut world = World::new(pool).await;
    let settings = SenderSettings { resolver: Arc::new(NoFiles), ..SenderSettings::default() };
    world.dispatcher = dispatcher_sending(&world.pool, &world.key, settings).1;
    let body = json!({ "partnerId": world.partner.to_string(), "url": "http://receiver.example/hook" });
    let (status, endpoint) = world.call("POST", "/v1/endpoints", Some(body)).await;
    assert_eq!(status, StatusCode::CREATED);
    world.hear_many(1).await;
    world.dispatcher.drain().await.unwrap();
    let (_, page) = world.call("GET", "/v1/deliveries", None).await;
    let delivery = &page["data"][0];
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("pending"), &json!(0)));
    assert!(delivery["nextAttemptAt"].is_string(), "{delivery}");
    let failing: Option<bool> = sqlx::query_scalar("select failing_since is not null from endpoint")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!((failing, &world.show(&endpoint).await["state"]), (Some(false), &json!("enabled")));
}
