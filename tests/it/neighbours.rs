//! Partners beside each other: what one does to its own endpoints is nothing to another's.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use transak_relay::model::announcement::Announcement;
use transak_relay::model::id::{EndpointId, PartnerId};
use transak_relay::store::delivery::trial::owe_test;
use transak_relay::store::dispatcher::DispatcherId;
use transak_relay::store::due::look;
use transak_relay::store::pool::MIGRATOR;

use crate::stub::Stub;
use crate::world::World;

/// Longer than anything here takes, and shorter than a request that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Another partner with one endpoint, to which a test is owed.
async fn another_partner(world: &World, url: &str) {
    let body = json!({ "name": "other", "environment": "STAGING", "apiKey": "another-key" });
    let (_, partner) = world.call("POST", "/v1/partners", Some(body)).await;
    let body = json!({ "partnerId": partner["id"], "url": url });
    let (status, endpoint) = world.call("POST", "/v1/endpoints", Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{endpoint}");
    let partner: PartnerId = partner["id"].as_str().unwrap().parse().unwrap();
    let endpoint: EndpointId = endpoint["id"].as_str().unwrap().parse().unwrap();
    let mut tx = world.pool.begin().await.unwrap();
    owe_test(&mut tx, &Announcement::test((partner, endpoint))).await.unwrap();
    tx.commit().await.unwrap();
}

/// A receiver that says when it was called.
async fn bell() -> (Stub, Arc<Notify>) {
    let rung = Arc::new(Notify::new());
    let bell = Arc::clone(&rung);
    let stub = Stub::start(move |_, _| {
        bell.notify_one();
        async { StatusCode::OK.into_response() }
    })
    .await;
    (stub, rung)
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_hundred_endpoints_that_hang_do_not_keep_another_partners_first_event_waiting(pool: PgPool) {
    let mut world = World::new(pool).await;
    let called = Arc::new(Notify::new());
    let calling = Arc::clone(&called);
    let hanging = Stub::start(move |_, _| {
        calling.notify_one();
        std::future::pending()
    })
    .await;
    for _ in 0..100 {
        hanging.register(&world, json!({})).await;
    }
    world.hear_many(2).await;
    let (healthy, rung) = bell().await;
    let watching = async {
        timeout(PATIENCE, called.notified()).await.unwrap();
        another_partner(&world, healthy.url()).await;
        timeout(PATIENCE, rung.notified()).await.expect("the other partner waits for those that hang");
    };
    tokio::select! {
        ended = world.another_dispatcher().run(CancellationToken::new()) => panic!("{ended:?}"),
        () = watching => {}
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_thousand_endpoints_that_are_due_do_not_hide_another_partners_only_one(pool: PgPool) {
    let world = World::new(pool).await;
    let (stub, _) = bell().await;
    let endpoint = stub.register(&world, json!({})).await;
    world
        .sql(
            "insert into endpoint (partner_id, endpoint_id, url, retry_schedule)
             select partner_id, gen_random_uuid(), url, retry_schedule from endpoint, generate_series(1, 999)",
        )
        .await;
    world
        .sql(
            "insert into delivery (partner_id, delivery_id, event_id, endpoint_id, next_attempt_at, due_noted)
             select partner_id, gen_random_uuid(), gen_random_uuid(), endpoint_id, now() - interval '1 hour', true
             from endpoint",
        )
        .await;
    world
        .sql(
            "insert into endpoint_due (partner_id, endpoint_id, due_at)
             select partner_id, endpoint_id, now() - interval '1 hour' from endpoint",
        )
        .await;
    another_partner(&world, endpoint["url"].as_str().unwrap()).await;
    let mut conn = world.pool.acquire().await.unwrap();
    let looked = look(&mut conn, DispatcherId::new(), None).await.unwrap();
    assert!(looked.due.iter().any(|place| place.0 != world.partner), "of {} endpoints", looked.due.len());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn one_look_sees_something_of_every_partner_while_there_are_not_too_many(pool: PgPool) {
    let world = World::new(pool).await;
    let (stub, _) = bell().await;
    stub.register(&world, json!({})).await;
    world
        .sql(
            "with crowd as (
                 insert into partner (partner_id, name, environment, api_key)
                 select gen_random_uuid(), 'crowd', 'STAGING', 'key-' || n from generate_series(1, 60) as n
                 returning partner_id
             ), hanging as (
                 insert into endpoint (partner_id, endpoint_id, url, retry_schedule)
                 select crowd.partner_id, gen_random_uuid(), url, retry_schedule
                 from crowd, endpoint, generate_series(1, 10) returning partner_id, endpoint_id
             ), owed as (
                 insert into delivery (partner_id, delivery_id, event_id, endpoint_id, next_attempt_at, due_noted)
                 select partner_id, gen_random_uuid(), gen_random_uuid(), endpoint_id, now() - interval '1 hour', true
                 from hanging
             )
             insert into endpoint_due (partner_id, endpoint_id, due_at)
             select partner_id, endpoint_id, now() - interval '1 hour' from hanging",
        )
        .await;
    let mut conn = world.pool.acquire().await.unwrap();
    let looked = look(&mut conn, DispatcherId::new(), None).await.unwrap();
    let partners: HashSet<PartnerId> = looked.due.iter().map(|place| place.0).collect();
    assert_eq!(partners.len(), 60, "of {} endpoints", looked.due.len());
}
