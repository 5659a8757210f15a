//! `ordered: true`: of each order one request at a time, in the order of hearing.

use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;
use sqlx::PgPool;
use transak_relay::store::pool::MIGRATOR;

use crate::stub::Stub;
use crate::world::{World, order};

/// An order's life, one event a minute.
async fn live(world: &mut World, id: &str, minutes: std::ops::Range<u32>) {
    for minute in minutes {
        let status = if minute % 2 == 0 { "PROCESSING" } else { "PENDING_DELIVERY_FROM_TRANSAK" };
        let message = world.signed(&order(id, status, minute));
        world.hear(&message).await;
    }
}

/// The minutes of an order's events in the order of their coming.
fn minutes(stub: &Stub, id: &str) -> Vec<u32> {
    let of_order = stub.seen().into_iter().map(|seen| seen.order()).filter(|(order, _)| order == id);
    of_order.map(|(_, updated)| updated[14..16].parse().unwrap()).collect()
}

/// A receiver that fails those whose order and minute are in the list.
async fn picky(failing: &Arc<Mutex<Vec<(&'static str, u32)>>>) -> Stub {
    let failing = Arc::clone(failing);
    Stub::start(move |_, body| {
        let (id, updated) = (body["data"]["id"].clone(), body["data"]["updatedAt"].clone());
        let minute: u32 = updated.as_str().map_or(0, |text| text[14..16].parse().unwrap());
        let fails = failing.lock().unwrap().iter().any(|(order, at)| id == **order && minute == *at);
        async move { if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }.into_response() }
    })
    .await
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_head_of_an_order_is_tried_again_before_its_successors_are_sent(pool: PgPool) {
    let mut world = World::new(pool).await;
    let failing = Arc::new(Mutex::new(vec![("o1", 1)]));
    let stub = picky(&failing).await;
    stub.register(&world, json!({ "ordered": true })).await;
    live(&mut world, "o1", 0..4).await;
    live(&mut world, "o2", 0..3).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!((minutes(&stub, "o1"), minutes(&stub, "o2")), (vec![0, 1], vec![0, 1, 2]));
    failing.lock().unwrap().clear();
    world.pass_time().await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(minutes(&stub, "o1"), [0, 1, 1, 2, 3]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_exhausted_head_lets_its_order_pass_and_says_so(pool: PgPool) {
    let mut world = World::new(pool).await;
    let failing = Arc::new(Mutex::new(vec![("o1", 0)]));
    let stub = picky(&failing).await;
    let watcher = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({ "ordered": true, "retrySchedule": [5] })).await;
    watcher.register(&world, json!({ "events": ["relay.delivery.exhausted"] })).await;
    live(&mut world, "o1", 0..3).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(minutes(&stub, "o1"), [0]);
    world.pass_time().await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(minutes(&stub, "o1"), [0, 0, 1, 2]);
    assert_eq!(watcher.seen()[0].body["data"]["releasedLane"], json!(true));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_waits_for_its_head_is_pending_with_no_time(pool: PgPool) {
    let mut world = World::new(pool).await;
    let failing = Arc::new(Mutex::new(vec![("o1", 0)]));
    let stub = picky(&failing).await;
    stub.register(&world, json!({ "ordered": true })).await;
    live(&mut world, "o1", 0..2).await;
    world.dispatcher.drain().await.unwrap();
    let (_, list) = world.call("GET", "/v1/deliveries?state=pending", None).await;
    let waiting: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|one| one["nextAttemptAt"].is_null()).collect();
    assert_eq!(waiting, [true, false]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn lanes_come_and_go_with_the_setting_of_a_live_endpoint(pool: PgPool) {
    let mut world = World::new(pool).await;
    let failing = Arc::new(Mutex::new(vec![("o1", 0), ("o1", 3)]));
    let stub = picky(&failing).await;
    let endpoint = stub.register(&world, json!({})).await;
    let path = format!("/v1/endpoints/{}", endpoint["id"].as_str().unwrap());
    live(&mut world, "o1", 0..1).await;
    world.dispatcher.drain().await.unwrap();
    // The first waits for its retry. From now on it holds up the others.
    live(&mut world, "o1", 1..2).await;
    world.call("PATCH", &path, Some(json!({ "ordered": true }))).await;
    live(&mut world, "o1", 2..3).await;
    world.dispatcher.drain().await.unwrap();
    failing.lock().unwrap().retain(|(_, minute)| *minute != 0);
    world.pass_time().await;
    world.dispatcher.drain().await.unwrap();
    // The second was born leased to this process before the change and may go first; the third may not.
    let seen = minutes(&stub, "o1");
    assert_eq!((seen.len(), seen.last()), (4, Some(&2)), "{seen:?}");
    live(&mut world, "o1", 3..6).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(minutes(&stub, "o1")[4..], [3]);
    world.call("PATCH", &path, Some(json!({ "ordered": false }))).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(world.in_state("succeeded").await, 5, "the one that fails holds up nobody any more");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_delivery_written_beside_its_lane_finds_its_place_in_it(pool: PgPool) {
    let mut world = World::new(pool).await;
    let failing = Arc::new(Mutex::new(vec![("o1", 0)]));
    let stub = picky(&failing).await;
    stub.register(&world, json!({ "ordered": true })).await;
    live(&mut world, "o1", 0..3).await;
    world.dispatcher.drain().await.unwrap();
    // As a process of the version before would write it, or one that had not heard of the setting yet.
    world
        .sql("update delivery set position = null, next_attempt_at = now() where position = (select max(position) from delivery)")
        .await;
    assert_eq!(world.dispatcher.drain().await.unwrap(), 1, "taken up, not sent");
    assert_eq!(minutes(&stub, "o1"), [0]);
    failing.lock().unwrap().clear();
    world.pass_time().await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(minutes(&stub, "o1"), [0, 0, 1, 2]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn disabling_and_enabling_keeps_the_order(pool: PgPool) {
    let mut world = World::new(pool).await;
    let failing = Arc::new(Mutex::new(vec![("o1", 0)]));
    let stub = picky(&failing).await;
    let endpoint = stub.register(&world, json!({ "ordered": true })).await;
    let path = format!("/v1/endpoints/{}", endpoint["id"].as_str().unwrap());
    live(&mut world, "o1", 0..3).await;
    world.dispatcher.drain().await.unwrap();
    world.call("POST", &format!("{path}/disable"), None).await;
    live(&mut world, "o1", 3..5).await;
    failing.lock().unwrap().clear();
    world.call("POST", &format!("{path}/enable"), None).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(minutes(&stub, "o1"), [0, 0, 1, 2, 3, 4]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn redelivering_an_event_of_an_ordered_endpoint_waits_for_its_turn(pool: PgPool) {
    let mut world = World::new(pool).await;
    let failing = Arc::new(Mutex::new(vec![("o1", 1)]));
    let stub = picky(&failing).await;
    stub.register(&world, json!({ "ordered": true })).await;
    live(&mut world, "o1", 0..3).await;
    world.dispatcher.drain().await.unwrap();
    let first = stub.seen()[0].id.clone();
    let (status, _) = world.call("POST", &format!("/v1/events/{first}/redeliver"), None).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(world.dispatcher.drain().await.unwrap(), 0, "the head waits for its retry");
    failing.lock().unwrap().clear();
    world.pass_time().await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(minutes(&stub, "o1"), [0, 1, 1, 2, 0]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn two_processes_that_hear_at_once_leave_no_lane_stuck(pool: PgPool) {
    let mut world = World::new(pool.clone()).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({ "ordered": true })).await;
    let mut other = world.another_writer();
    for minute in 0..12 {
        for (intake, parity) in [(&world.intake, 0), (&other.0, 1)] {
            let message = world.signed(&order("o1", "PROCESSING", 2 * minute + parity));
            intake.offer(world.heard(&message)).unwrap();
        }
        let (World { writer, dispatcher, .. }, other) = (&mut world, &mut other.1);
        let (sent, (), ()) = tokio::join!(dispatcher.drain(), writer.drain(), other.drain());
        sent.unwrap();
    }
    world.dispatcher.drain().await.unwrap();
    assert_eq!((world.in_state("succeeded").await, stub.count()), (24, 24));
}
