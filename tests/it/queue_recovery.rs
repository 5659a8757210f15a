//! Owing an endpoint again what it missed, and trying one out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use transak_relay::store::pool::MIGRATOR;
use transak_relay::store::recovery::{Step, step};

use crate::stub::Stub;
use crate::world::World;

pub(crate) const SINCE: &str = "2020-01-01T00:00:00Z";

pub(crate) async fn recover(world: &World, endpoint: &Value, only: &str) -> Value {
    let path = format!("/v1/endpoints/{}/recover", endpoint["id"].as_str().unwrap());
    let (status, job) = world.call("POST", &path, Some(json!({ "since": SINCE, "only": only }))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{job}");
    job
}

pub(crate) async fn shown(world: &World, job: &Value) -> Value {
    world.call("GET", &format!("/v1/recoveries/{}", job["id"].as_str().unwrap()), None).await.1
}

/// A receiver that fails until it is told otherwise.
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

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_given_up_is_recovered_with_the_full_schedule(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (stub, up) = breakable().await;
    let endpoint = stub.register(&world, json!({ "retrySchedule": [5] })).await;
    world.hear_many(3).await;
    for _ in 0..2 {
        world.dispatcher.drain().await.unwrap();
        world.pass_time().await;
    }
    assert_eq!(world.in_state("exhausted").await, 3);
    let job = recover(&world, &endpoint, "failed").await;
    assert_eq!((&job["state"], &job["total"], &job["done"]), (&json!("running"), &json!(3), &json!(0)));
    world.dispatcher.drain().await.unwrap();
    assert_eq!(world.in_state("pending").await, 3, "a first failure is not the last");
    up.store(true, Ordering::SeqCst);
    world.pass_time().await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(world.in_state("succeeded").await, 3);
    let after = shown(&world, &job).await;
    assert_eq!((&after["state"], &after["done"]), (&json!("finished"), &json!(3)));
    assert!(after["finishedAt"].is_string());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_endpoint_that_was_registered_late_gets_what_it_is_missing_once(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.hear_many(30).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({ "statuses": ["PROCESSING"] })).await;
    let message = world.signed(&crate::world::order("other", "COMPLETED", 1));
    world.hear(&message).await;
    let path = format!("/v1/endpoints/{}/recover", endpoint["id"].as_str().unwrap());
    let dry = json!({ "since": SINCE, "only": "missing", "dryRun": true });
    assert_eq!(
        world.call("POST", &path, Some(dry)).await,
        (StatusCode::OK, json!({ "total": 30, "totalIsAtLeast": false }))
    );
    for _ in 0..2 {
        let job = recover(&world, &endpoint, "missing").await;
        world.dispatcher.drain().await.unwrap();
        assert_eq!(shown(&world, &job).await["state"], json!("finished"));
    }
    assert_eq!(stub.count(), 30);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn all_of_a_span_is_sent_again_whatever_happened_before_and_nothing_outside_of_it(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({})).await;
    world.hear_many(5).await;
    world.dispatcher.drain().await.unwrap();
    world.sql("with old as (select event_id from event limit 2), moved as (update payload set received_at = received_at - interval '1 day' where event_id in (select event_id from old)) update event set received_at = received_at - interval '1 day' where event_id in (select event_id from old)").await;
    let path = format!("/v1/endpoints/{}/recover", endpoint["id"].as_str().unwrap());
    let since = (chrono::Utc::now() - chrono::TimeDelta::hours(1)).to_rfc3339();
    let (_, job) = world.call("POST", &path, Some(json!({ "since": since, "only": "all" }))).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!((stub.count(), &shown(&world, &job).await["done"]), (8, &json!(3)));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_a_process_received_whose_clock_is_ahead_is_recovered(pool: PgPool) {
    let mut world = World::new(pool).await;
    for n in 0..3 {
        let mut heard = world.heard(&world.signed(&crate::world::order(&format!("o{n}"), "PROCESSING", 1)));
        heard.at += chrono::TimeDelta::minutes(10);
        world.intake.offer(heard).unwrap();
    }
    world.writer.drain().await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({})).await;
    let job = recover(&world, &endpoint, "all").await;
    assert_eq!(job["total"], json!(3));
    world.dispatcher.drain().await.unwrap();
    let after = shown(&world, &job).await;
    assert_eq!((stub.count(), &after["state"], &after["done"]), (3, &json!("finished"), &json!(3)));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_recovery_goes_on_where_a_dead_process_left_it_and_owes_nothing_twice(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.hear_many(40).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({ "maxInFlight": 1 })).await;
    let job = recover(&world, &endpoint, "missing").await;
    // A batch is owed by a process that dies before it commits.
    let mut tx = world.pool.begin().await.unwrap();
    assert_eq!(step(&mut tx).await.unwrap(), Step::Worked);
    // Meanwhile nobody else works on it.
    assert_eq!(step(&mut world.pool.begin().await.unwrap()).await.unwrap(), Step::Waits);
    tx.rollback().await.unwrap();
    assert_eq!(world.count("delivery").await, 0);
    let mut tx = world.pool.begin().await.unwrap();
    step(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.count("delivery").await, 16, "the next batch waits until most of this one was sent");
    let mut tx = world.pool.begin().await.unwrap();
    assert_eq!(step(&mut tx).await.unwrap(), Step::Waits);
    drop(tx);
    world.dispatcher.drain().await.unwrap();
    assert_eq!((world.in_state("succeeded").await, stub.count()), (40, 40));
    assert_eq!(shown(&world, &job).await["done"], json!(40));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_span_within_a_microsecond_is_no_span_and_says_so(pool: PgPool) {
    let world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({})).await;
    let path = format!("/v1/endpoints/{}/recover", endpoint["id"].as_str().unwrap());
    let span = json!({ "since": "2020-01-01T00:00:00.0000001Z", "until": "2020-01-01T00:00:00.0000009Z", "only": "all" });
    let (status, problem) = world.call("POST", &path, Some(span)).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("since")));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_recovery_ends_with_its_endpoint(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.hear_many(3).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({})).await;
    let job = recover(&world, &endpoint, "missing").await;
    world.call_raw("DELETE", &format!("/v1/endpoints/{}", endpoint["id"].as_str().unwrap()), None).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(shown(&world, &job).await["state"], json!("cancelled"));
    assert_eq!(stub.count(), 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_recovery_that_is_cancelled_owes_nothing_more_and_what_it_owed_is_told(pool: PgPool) {
    let mut world = World::new(pool.clone()).await;
    world.hear_many(20).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({ "maxInFlight": 4 })).await;
    let job = recover(&world, &endpoint, "missing").await;
    let mut tx = pool.begin().await.unwrap();
    assert_eq!(step(&mut tx).await.unwrap(), Step::Worked);
    tx.commit().await.unwrap();
    let path = format!("/v1/recoveries/{}/cancel", job["id"].as_str().unwrap());
    for _ in 0..2 {
        let (status, cancelled) = world.call("POST", &path, None).await;
        assert_eq!((status, &cancelled["state"]), (StatusCode::OK, &json!("cancelled")));
    }
    world.dispatcher.drain().await.unwrap();
    assert_eq!((shown(&world, &job).await["done"].clone(), stub.count()), (json!(16), 16));
    let (_, page) = world.call("GET", "/v1/recoveries", None).await;
    assert_eq!(page["data"], json!([shown(&world, &job).await]));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_ordered_endpoint_is_recovered_in_order(pool: PgPool) {
    let mut world = World::new(pool).await;
    for minute in 0..10 {
        let message = world.signed(&crate::world::order("o1", "PROCESSING", minute));
        world.hear(&message).await;
    }
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({ "ordered": true })).await;
    recover(&world, &endpoint, "missing").await;
    world.dispatcher.drain().await.unwrap();
    let seen: Vec<_> = stub.seen().iter().map(|seen| seen.order().1).collect();
    assert!(seen.len() == 10 && seen.is_sorted(), "{seen:?}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_span_that_ends_before_it_begins_is_refused(pool: PgPool) {
    let world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({})).await;
    let path = format!("/v1/endpoints/{}/recover", endpoint["id"].as_str().unwrap());
    for body in [
        json!({ "since": "2025-01-02T00:00:00Z", "until": "2025-01-01T00:00:00Z", "only": "all" }),
        json!({ "since": "2999-01-01T00:00:00Z", "only": "all" }),
        json!({ "since": SINCE, "only": "everything" }),
        json!({ "since": SINCE }),
    ] {
        assert_eq!(world.call("POST", &path, Some(body)).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(world.count("recovery").await, 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_test_is_sent_at_once_to_an_endpoint_that_is_paused_and_answered_with_the_attempt(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (stub, up) = breakable().await;
    let endpoint = stub.register(&world, json!({})).await;
    world.hear_many(20).await;
    let mut other = world.another_dispatcher();
    other.drain().await.unwrap();
    let before = stub.count();
    up.store(true, Ordering::SeqCst);
    let path = format!("/v1/endpoints/{}/test", endpoint["id"].as_str().unwrap());
    let stop = CancellationToken::new();
    let call = async {
        let answer = world.call("POST", &path, None).await;
        stop.cancel();
        answer
    };
    let (ended, (status, attempt)) = tokio::join!(other.run(stop.clone()), call);
    ended.unwrap();
    assert_eq!((status, &attempt["statusCode"]), (StatusCode::OK, &json!(200)), "{attempt}");
    assert_eq!(stub.seen()[before].body["type"], json!("relay.test"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_test_is_tried_once_and_a_disabled_endpoint_is_not_tried(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::BAD_GATEWAY).await;
    let endpoint = stub.register(&world, json!({})).await;
    let path = format!("/v1/endpoints/{}", endpoint["id"].as_str().unwrap());
    let stop = CancellationToken::new();
    let call = async {
        let answer = world.call("POST", &format!("{path}/test"), None).await;
        stop.cancel();
        answer
    };
    let (ended, (status, attempt)) = tokio::join!(world.another_dispatcher().run(stop.clone()), call);
    ended.unwrap();
    assert_eq!((status, &attempt["statusCode"]), (StatusCode::OK, &json!(502)));
    assert_eq!(
        (world.in_state("cancelled").await, world.events("relay.delivery.exhausted").await.len()),
        (1, 0)
    );
    world.call("POST", &format!("{path}/disable"), None).await;
    assert_eq!(world.call("POST", &format!("{path}/test"), None).await.0, StatusCode::CONFLICT);
    assert_eq!(world.dispatcher.drain().await.unwrap(), 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_test_that_failed_is_no_event_to_recover_whatever_it_stood_for(pool: PgPool) {
    let world = World::new(pool).await;
    let (stub, _) = breakable().await;
    let endpoint = stub.register(&world, json!({})).await;
    let test = format!("/v1/endpoints/{}/test", endpoint["id"].as_str().unwrap());
    let mut other = world.another_dispatcher();
    let body = Some(json!({ "event": "ORDER_COMPLETED" }));
    let (tested, sent) = tokio::join!(world.call("POST", &test, body), async {
        // What the call owes is there as soon as it wakes the dispatchers.
        let mut listener = sqlx::postgres::PgListener::connect_with(&world.pool).await.unwrap();
        listener.listen("relay_delivery").await.unwrap();
        if world.in_state("pending").await == 0 {
            listener.recv().await.unwrap();
        }
        other.drain().await
    });
    assert_eq!((tested.0, sent.unwrap()), (StatusCode::OK, 1));
    assert_eq!(world.in_state("cancelled").await, 1);
    for only in ["failed", "all"] {
        assert_eq!(recover(&world, &endpoint, only).await["total"], json!(0));
    }
}
