//! What is held for an endpoint that nobody enables again has an end.

use std::time::Duration;

use axum::http::StatusCode;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::maintenance::Maintenance;
use transak_relay::store::pool::MIGRATOR;

use crate::stub::Stub;
use crate::world::{World, order};

const DAY: Duration = Duration::from_hours(24);

/// Maintains, so many days later, with 30 days for what is held.
async fn run(world: &World, days_later: i64) {
    let mut maintenance = Maintenance::new(world.pool.clone(), Some(90 * DAY)).holding_for(Some(30 * DAY));
    maintenance.run_once(Utc::now() + TimeDelta::days(days_later)).await.unwrap().unwrap();
}

/// A disabled endpoint for which one delivery is held.
async fn forgotten(world: &mut World) -> String {
    let (_receiver, endpoint) = world.endpoint(json!({})).await;
    let id = endpoint["id"].as_str().unwrap().to_owned();
    world.call("POST", &format!("/v1/endpoints/{id}/disable"), None).await;
    let message = world.signed(&order("o1", "COMPLETED", 1));
    world.hear(&message).await;
    assert_eq!(world.in_state("held").await, 1);
    id
}

async fn delivery(world: &World) -> Value {
    world.call("GET", "/v1/deliveries?orderId=o1", None).await.1["data"][0].clone()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_held_for_a_forgotten_endpoint_is_exhausted_with_the_reason_and_told(pool: PgPool) {
    let mut world = World::new(pool).await;
    let id = forgotten(&mut world).await;
    let watcher = Stub::always(StatusCode::OK).await;
    watcher.register(&world, json!({ "events": ["relay.delivery.exhausted"] })).await;
    run(&world, 29).await;
    assert_eq!(delivery(&world).await["state"], "held");
    run(&world, 31).await;
    let given_up = delivery(&world).await;
    let reason = "its endpoint has been disabled, and this delivery held, for 30 days";
    assert_eq!((&given_up["state"], &given_up["reason"]), (&json!("exhausted"), &json!(reason)));
    world.dispatcher.drain().await.unwrap();
    let told = &watcher.seen()[0].body["data"];
    assert_eq!((&told["endpointId"], &told["reason"]), (&json!(id), &json!(reason)));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_held_anew_for_an_endpoint_disabled_long_ago_has_its_time(pool: PgPool) {
    let mut world = World::new(pool).await;
    forgotten(&mut world).await;
    world.sql("update endpoint set disabled_at = now() - interval '40 days'").await;
    run(&world, 0).await;
    assert_eq!(world.in_state("held").await, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_old_delivery_of_an_endpoint_that_is_disabled_now_has_its_time(pool: PgPool) {
    let mut world = World::new(pool).await;
    let id = forgotten(&mut world).await;
    world.call("POST", &format!("/v1/endpoints/{id}/enable"), None).await;
    world.sql("update delivery set delivery_id = '01000000-0000-7000-8000-000000000001'").await;
    world.call("POST", &format!("/v1/endpoints/{id}/disable"), None).await;
    run(&world, 29).await;
    assert_eq!(world.in_state("held").await, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_endpoint_of_which_nobody_noted_when_it_was_disabled_counts_from_now_on(pool: PgPool) {
    let mut world = World::new(pool).await;
    forgotten(&mut world).await;
    // As the version before writes it.
    world.sql("update endpoint set disabled_at = null").await;
    run(&world, 31).await;
    run(&world, 60).await;
    assert_eq!(world.in_state("held").await, 1);
    run(&world, 62).await;
    assert_eq!(world.in_state("exhausted").await, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_given_up_is_owed_again_without_a_reason_when_it_is_asked_for(pool: PgPool) {
    let mut world = World::new(pool).await;
    let id = forgotten(&mut world).await;
    run(&world, 31).await;
    world.call("POST", &format!("/v1/endpoints/{id}/enable"), None).await;
    let delivery_id = delivery(&world).await["id"].as_str().unwrap().to_owned();
    world.call("POST", &format!("/v1/deliveries/{delivery_id}/retry"), None).await;
    assert_eq!(world.count("delivery where state = 'pending' and reason is null").await, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn without_a_bound_it_is_held_for_ever(pool: PgPool) {
    let mut world = World::new(pool).await;
    forgotten(&mut world).await;
    let mut maintenance = Maintenance::new(world.pool.clone(), Some(90 * DAY));
    maintenance.run_once(Utc::now() + TimeDelta::days(3_650)).await.unwrap().unwrap();
    assert_eq!(world.in_state("held").await, 1);
}
