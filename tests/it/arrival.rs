//! What the intake remembers of orders and endpoints is never taken for the truth: others change them too.

use axum::http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::intake::{Intake, Writer};
use transak_relay::sandbox::receiver::Receiver;
use transak_relay::store::pool::MIGRATOR;

use crate::world::{World, order, pluck};

/// Another process hears an order.
async fn hear_elsewhere(world: &World, (intake, writer): (&Intake, &mut Writer), order: &str) {
    intake.offer(world.heard(&world.signed(order))).unwrap();
    writer.drain().await;
}

async fn told(world: &mut World, receiver: &Receiver) -> Vec<String> {
    world.dispatcher.drain().await.unwrap();
    receiver.arrivals().into_iter().map(|arrival| arrival.status).collect()
}

async fn timeline(world: &World, order_id: &str) -> Value {
    world.call("GET", &format!("/v1/orders/{order_id}/timeline"), None).await.1
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_endpoint_that_was_changed_since_the_last_event_is_told_the_next_one_as_it_is_now(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.hear(&world.signed(&order("o1", "AWAITING_PAYMENT_FROM_USER", 1))).await;
    let (receiver, endpoint) = world.endpoint(json!({})).await;
    world.hear(&world.signed(&order("o1", "PROCESSING", 2))).await;
    assert_eq!(told(&mut world, &receiver).await, ["PROCESSING"], "it was not there before");
    let path = format!("/v1/endpoints/{}", endpoint["id"].as_str().unwrap());
    let (status, _) = world.call("PATCH", &path, Some(json!({ "statuses": ["COMPLETED"] }))).await;
    assert_eq!(status, StatusCode::OK);
    world.hear(&world.signed(&order("o1", "PENDING_DELIVERY_FROM_TRANSAK", 3))).await;
    world.hear(&world.signed(&order("o1", "COMPLETED", 4))).await;
    assert_eq!(told(&mut world, &receiver).await, ["PROCESSING", "COMPLETED"]);
    assert_eq!(world.call("DELETE", &path, None).await.0, StatusCode::NO_CONTENT);
    world.hear(&world.signed(&order("o2", "COMPLETED", 5))).await;
    assert_eq!(told(&mut world, &receiver).await.len(), 2, "it is gone");
    assert_eq!(world.count("event").await, 5);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_that_another_process_moved_goes_on_from_where_it_stands(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (intake, mut writer, _spool) = world.another_writer();
    let lives = ["AWAITING_PAYMENT_FROM_USER", "PROCESSING", "PENDING_DELIVERY_FROM_TRANSAK", "COMPLETED"];
    for (second, status) in (1..).zip(lives) {
        let now = order("o1", status, second);
        if second % 2 == 0 {
            hear_elsewhere(&world, (&intake, &mut writer), &now).await;
        } else {
            world.hear(&world.signed(&now)).await;
        }
    }
    let timeline = timeline(&world, "o1").await;
    let entries = timeline["entries"].as_array().unwrap();
    assert_eq!(pluck(&timeline["entries"], "status"), lives);
    assert!(entries.iter().all(|entry| entry["anomaly"].is_null()), "{entries:?}");
    let revision: i32 =
        sqlx::query_scalar(r#"select revision from "order""#).fetch_one(&world.pool).await.unwrap();
    assert_eq!(revision, 4);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_two_processes_hear_is_one_event_however_they_take_turns(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (receiver, _) = world.endpoint(json!({})).await;
    let (intake, mut writer, _spool) = world.another_writer();
    let lives = ["AWAITING_PAYMENT_FROM_USER", "PROCESSING", "PENDING_DELIVERY_FROM_TRANSAK", "COMPLETED"];
    for (second, status) in (1..).zip(lives) {
        let now = order("o1", status, second);
        if second % 2 == 0 {
            world.hear(&world.signed(&now)).await;
            hear_elsewhere(&world, (&intake, &mut writer), &now).await;
        } else {
            hear_elsewhere(&world, (&intake, &mut writer), &now).await;
            world.hear(&world.signed(&now)).await;
        }
    }
    assert_eq!((world.count("event").await, world.count("sighting").await), (4, 8));
    let mut told = told(&mut world, &receiver).await;
    told.sort_unstable();
    let mut all = lives.map(str::to_owned);
    all.sort_unstable();
    assert_eq!(told, all);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_that_was_erased_begins_anew(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.hear(&world.signed(&order("o1", "PROCESSING", 1))).await;
    let (status, _) = world.call("DELETE", "/v1/orders/o1", None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    world.hear(&world.signed(&order("o1", "COMPLETED", 2))).await;
    let timeline = timeline(&world, "o1").await;
    assert_eq!(pluck(&timeline["entries"], "status"), ["COMPLETED"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn nothing_of_an_erased_order_comes_back_with_its_next_event(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.hear(&world.signed(&order("o1", "PROCESSING", 1))).await;
    assert_eq!(world.call("DELETE", "/v1/orders/o1", None).await.0, StatusCode::NO_CONTENT);
    let bare = r#"{"id":"o1","status":"COMPLETED","updatedAt":"2025-04-04T13:09:48.374Z"}"#;
    world.hear(&world.signed(bare)).await;
    let (_, kept) = world.call("GET", "/v1/orders/o1", None).await;
    for field in ["partnerOrderId", "walletAddress", "fiatAmount", "network"] {
        assert!(kept[field].is_null(), "{field}: {kept}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_comes_late_does_not_move_an_order_that_is_remembered(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.hear(&world.signed(&order("o1", "AWAITING_PAYMENT_FROM_USER", 1))).await;
    world.hear(&world.signed(&order("o1", "COMPLETED", 9))).await;
    world.hear(&world.signed(&order("o1", "PROCESSING", 5))).await;
    let (_, kept) = world.call("GET", "/v1/orders/o1", None).await;
    assert_eq!((&kept["status"], &kept["order"]["status"]), (&json!("COMPLETED"), &json!("COMPLETED")));
    assert_eq!(world.count("event").await, 3);
}
