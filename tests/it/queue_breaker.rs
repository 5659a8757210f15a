//! Endpoints that only fail: paused, probed, resumed, and in the end disabled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::store::delivery::hasten::hasten;
use transak_relay::store::pool::MIGRATOR;

use crate::stub::Stub;
use crate::world::World;

async fn breakable() -> (Stub, Arc<AtomicBool>) {
    let up = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&up);
    let stub = Stub::start(move |_, _| {
        let up = state.load(Ordering::SeqCst);
        async move { if up { StatusCode::OK } else { StatusCode::BAD_GATEWAY }.into_response() }
    })
    .await;
    (stub, up)
}

async fn tried(world: &World) -> i64 {
    sqlx::query_scalar("select sum(attempts) from delivery").fetch_one(&world.pool).await.unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_receiver_that_is_down_is_paused_probed_and_caught_up_with_and_nobody_has_to_help(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (stub, up) = breakable().await;
    let watcher = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({ "retrySchedule": [3600, 3600] })).await;
    watcher.register(&world, json!({ "events": ["relay.endpoint.recovered"] })).await;
    world.hear_many(40).await;
    world.dispatcher.drain().await.unwrap();
    let first = stub.count();
    assert!((13..=15).contains(&first), "{first} tries before the pause");
    assert!(world.show(&endpoint).await["pausedUntil"].is_string());
    assert_eq!(world.dispatcher.drain().await.unwrap(), 0, "paused");
    assert_eq!(tried(&world).await, i64::try_from(first).unwrap(), "a pause burns no attempt");

    world.sql("update endpoint set paused_until = now() where paused_until is not null").await;
    assert_eq!(world.dispatcher.drain().await.unwrap(), 1, "one probe");
    assert!(world.show(&endpoint).await["pausedUntil"].is_string(), "and a longer pause");

    up.store(true, Ordering::SeqCst);
    world.sql("update endpoint set paused_until = now() where paused_until is not null").await;
    // What failed waits for an hour, but everything is sent at once.
    world.dispatcher.drain().await.unwrap();
    assert_eq!(world.in_state("succeeded").await, 41);
    let shown = world.show(&endpoint).await;
    assert_eq!((&shown["pausedUntil"], &shown["failingSince"]), (&Value::Null, &Value::Null));
    assert_eq!((watcher.count(), world.events("relay.endpoint.recovered").await.len()), (1, 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_pause_outlives_the_process(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (stub, up) = breakable().await;
    stub.register(&world, json!({})).await;
    world.hear_many(40).await;
    let mut other = world.another_dispatcher();
    other.drain().await.unwrap();
    let _ = other.die_with_what_is_due().await.unwrap();
    world.bury_the_dead().await;
    up.store(true, Ordering::SeqCst);
    assert_eq!(world.dispatcher.drain().await.unwrap(), 0);
    world.pass_time().await;
    assert_eq!(world.dispatcher.drain().await.unwrap(), 40);
}

/// 30 deliveries of which the first is answered with this `Retry-After`, until the receiver is up again: how many of them
/// have succeeded, and how many wait, as soon as it answers.
async fn hastened(pool: PgPool, retry_after: &'static str) -> (i64, i64) {
    let mut world = World::new(pool).await;
    let up = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&up);
    let stub = Stub::start(move |number, _| {
        let up = state.load(Ordering::SeqCst);
        async move {
            match (up, number) {
                (true, _) => StatusCode::OK.into_response(),
                (false, 0) => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", retry_after)]).into_response(),
                (false, _) => StatusCode::BAD_GATEWAY.into_response(),
            }
        }
    })
    .await;
    stub.register(&world, json!({})).await;
    world.hear_many(30).await;
    world.dispatcher.drain().await.unwrap();
    up.store(true, Ordering::SeqCst);
    world.sql("update endpoint set paused_until = now() where paused_until is not null").await;
    world.dispatcher.drain().await.unwrap();
    (world.in_state("succeeded").await, world.in_state("pending").await)
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_the_receiver_asked_to_be_spared_is_not_hastened(pool: PgPool) {
    assert_eq!(hastened(pool, "3600").await, (29, 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_the_receiver_asked_to_be_spared_for_no_time_is_hastened_with_the_rest(pool: PgPool) {
    assert_eq!(hastened(pool, "0").await, (30, 0));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn five_days_of_only_failures_disable_an_endpoint_and_enabling_it_sends_what_was_held(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (stub, up) = breakable().await;
    let watcher = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({})).await;
    watcher.register(&world, json!({ "events": ["relay.endpoint.disabled"] })).await;
    world.hear_many(3).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(world.show(&endpoint).await["state"], json!("enabled"));
    world.sql("update endpoint set failing_since = failing_since - interval '5 days'").await;
    world.pass_time().await;
    world.dispatcher.drain().await.unwrap();
    let shown = world.show(&endpoint).await;
    assert_eq!(shown["disabledReason"], json!("the endpoint has only failed for 5 days"));
    assert_eq!((world.in_state("held").await, watcher.count()), (3, 1));
    world.hear_many(5).await;
    up.store(true, Ordering::SeqCst);
    let path = format!("/v1/endpoints/{}/enable", endpoint["id"].as_str().unwrap());
    assert_eq!(world.call("POST", &path, None).await.0, StatusCode::OK);
    world.dispatcher.drain().await.unwrap();
    assert_eq!((world.in_state("held").await, world.in_state("succeeded").await), (0, 6));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn one_answer_in_five_days_keeps_an_endpoint_enabled(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (stub, up) = breakable().await;
    let endpoint = stub.register(&world, json!({})).await;
    world.hear_many(1).await;
    world.dispatcher.drain().await.unwrap();
    world.sql("update endpoint set failing_since = failing_since - interval '5 days'").await;
    up.store(true, Ordering::SeqCst);
    world.pass_time().await;
    world.dispatcher.drain().await.unwrap();
    up.store(false, Ordering::SeqCst);
    world.hear_many(2).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(world.show(&endpoint).await["state"], json!("enabled"));
}

/// What a back end answers that knows some orders and not the others.
async fn knows_every_fifth() -> Stub {
    Stub::start(|_, body| async move {
        let id = body["data"]["id"].as_str().unwrap_or_default();
        let number: usize = id.trim_start_matches("many-").parse().unwrap();
        if number.is_multiple_of(5) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }.into_response()
    })
    .await
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_endpoint_that_refuses_most_events_is_told_its_own_at_once(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = knows_every_fifth().await;
    let endpoint = stub.register(&world, json!({ "retrySchedule": [3600] })).await;
    world.hear_many(40).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!((world.in_state("succeeded").await, stub.count()), (8, 40));
    assert_eq!(world.show(&endpoint).await["pausedUntil"], Value::Null);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_refused_uses_up_its_own_schedule(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::NOT_FOUND).await;
    stub.register(&world, json!({ "retrySchedule": [60] })).await;
    world.hear_many(12).await;
    world.dispatcher.drain().await.unwrap();
    world.pass_time().await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!((world.in_state("exhausted").await, stub.count()), (12, 24));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refused_probe_ends_the_pause_because_the_endpoint_is_up(pool: PgPool) {
    let mut world = World::new(pool).await;
    let up = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&up);
    let stub = Stub::start(move |_, _| {
        let up = state.load(Ordering::SeqCst);
        async move { if up { StatusCode::NOT_FOUND } else { StatusCode::BAD_GATEWAY }.into_response() }
    })
    .await;
    let endpoint = stub.register(&world, json!({ "retrySchedule": [3600, 3600] })).await;
    world.hear_many(20).await;
    world.dispatcher.drain().await.unwrap();
    assert!(world.show(&endpoint).await["pausedUntil"].is_string());
    up.store(true, Ordering::SeqCst);
    world.sql("update endpoint set paused_until = now() where paused_until is not null").await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(world.show(&endpoint).await["pausedUntil"], Value::Null);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn only_refusals_for_five_days_are_only_failures(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::NOT_FOUND).await;
    let endpoint = stub.register(&world, json!({})).await;
    world.hear_many(1).await;
    world.dispatcher.drain().await.unwrap();
    world.sql("update endpoint set failing_since = failing_since - interval '5 days'").await;
    world.pass_time().await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(world.show(&endpoint).await["state"], json!("disabled"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn probes_are_by_turns_of_what_was_never_tried_and_what_was(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::BAD_GATEWAY).await;
    stub.register(&world, json!({ "maxInFlight": 1, "retrySchedule": [1, 1, 1, 1, 1, 1, 1] })).await;
    world.hear_many(30).await;
    world.dispatcher.drain().await.unwrap();
    let before = stub.count();
    for _ in 0..4 {
        world.pass_time().await;
        assert_eq!(world.dispatcher.drain().await.unwrap(), 1, "one probe");
    }
    let (earlier, probes) = (stub.seen(), stub.seen().split_off(before));
    let tried = |at: usize| earlier[..before + at].iter().any(|seen| seen.id == probes[at].id);
    let tried: Vec<bool> = (0..4).map(tried).collect();
    assert!(tried == [false, true, false, true] || tried == [true, false, true, false], "{tried:?}");
}

/// A back end that answers 500 to the events for which `fails` says so, by their number.
async fn erring(fails: impl Fn(usize) -> bool + Clone + Send + Sync + 'static) -> Stub {
    Stub::start(move |_, body| {
        let fails = fails.clone();
        async move {
            let id = body["data"]["id"].as_str().unwrap_or_default();
            let number: usize = id.trim_start_matches("many-").parse().unwrap();
            if fails(number) { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::NO_CONTENT }
                .into_response()
        }
    })
    .await
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_block_of_events_that_are_answered_with_errors_hides_none_of_the_others(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = erring(|number| number < 60).await;
    let endpoint = stub.register(&world, json!({ "retrySchedule": [3600] })).await;
    world.hear_many(120).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!((world.in_state("succeeded").await, stub.count()), (60, 120));
    assert_eq!(world.show(&endpoint).await["pausedUntil"], Value::Null);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_failed_before_an_outage_is_not_hastened_when_it_ends(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = erring(|number| number < 5).await;
    let endpoint = stub.register(&world, json!({ "retrySchedule": [3600] })).await;
    world.hear_many(5).await;
    world.dispatcher.drain().await.unwrap();
    world
        .sql(
            "update attempt set at = at - interval '1 minute'
             where delivery_id in (select delivery_id from delivery order by delivery_id limit 3)",
        )
        .await;
    let place = (world.partner, endpoint["id"].as_str().unwrap().parse().unwrap());
    hasten(&world.pool, place, Duration::from_secs(10)).await.unwrap();
    assert_eq!(world.dispatcher.drain().await.unwrap(), 2);
}
