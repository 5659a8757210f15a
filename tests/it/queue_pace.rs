//! How much at once, how fast, and in whose turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use transak_relay::store::pool::MIGRATOR;

use crate::stub::Stub;
use crate::world::World;

#[sqlx::test(migrator = "MIGRATOR")]
async fn two_processes_together_never_have_more_requests_under_way_than_max_in_flight(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let highest = Arc::clone(&most);
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let stub = Stub::start(move |_, _| {
        let (now, most, arrived) = (Arc::clone(&now), Arc::clone(&most), arrived.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            now.fetch_sub(1, Ordering::SeqCst);
            arrived.send(()).unwrap();
            StatusCode::OK.into_response()
        }
    })
    .await;
    stub.register(&world, json!({ "maxInFlight": 3 })).await;
    world.hear_many(60).await;
    let stop = CancellationToken::new();
    let (first, second) = (world.another_dispatcher(), world.another_dispatcher());
    let all = async {
        for _ in 0..60 {
            arrivals.recv().await.unwrap();
        }
        stop.cancel();
    };
    let (one, two, ()) = tokio::join!(first.run(stop.clone()), second.run(stop.clone()), all);
    one.and(two).unwrap();
    assert_eq!((stub.count(), highest.load(Ordering::SeqCst)), (60, 3));
    assert_eq!(world.in_state("succeeded").await, 60);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn two_processes_together_keep_the_cap_and_the_rate_of_an_endpoint(pool: PgPool) {
    const COUNT: u32 = 30;
    const BURST: u32 = 4;
    const PER_SECOND: u32 = 40;
    let mut world = World::new(pool).await;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let highest = Arc::clone(&most);
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let stub = Stub::start(move |_, _| {
        arrived.send(Instant::now()).unwrap();
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            now.fetch_sub(1, Ordering::SeqCst);
            StatusCode::OK.into_response()
        }
    })
    .await;
    let rate = json!({ "perSecond": PER_SECOND, "burst": BURST });
    stub.register(&world, json!({ "maxInFlight": 2, "rateLimit": rate })).await;
    world.hear_many(COUNT as usize).await;
    let stop = CancellationToken::new();
    let (first, second) = (world.another_dispatcher(), world.another_dispatcher());
    let began = Instant::now();
    let all = async {
        let mut times = Vec::new();
        for _ in 0..COUNT {
            times.push(arrivals.recv().await.unwrap() - began);
        }
        stop.cancel();
        times
    };
    let (one, two, times) = tokio::join!(first.run(stop.clone()), second.run(stop.clone()), all);
    one.and(two).unwrap();
    for (at, time) in (1..).zip(&times) {
        let not_before = Duration::from_secs(1) * u32::saturating_sub(at, BURST) / PER_SECOND;
        assert!(*time >= not_before, "request {at} came after {time:?}, and not before {not_before:?}");
    }
    let (most, took) = (highest.load(Ordering::SeqCst), times.last().unwrap());
    println!("two dispatchers, {COUNT} deliveries: at most {most} at once, the last after {took:?}");
    assert!(most <= 2 && stub.count() == COUNT as usize, "{most}");
    let tried: i64 =
        sqlx::query_scalar("select sum(attempts) from delivery").fetch_one(&world.pool).await.unwrap();
    assert_eq!((tried, world.in_state("succeeded").await), (COUNT.into(), COUNT.into()));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_rate_limit_holds_over_all_processes_and_their_deaths_and_burns_no_attempt(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({ "rateLimit": { "perSecond": 0.001, "burst": 3 } })).await;
    assert_eq!(world.show(&endpoint).await["rateLimit"], json!({ "perSecond": 0.001, "burst": 3 }));
    world.hear_many(10).await;
    let mut other = world.another_dispatcher();
    assert_eq!(other.drain().await.unwrap(), 3);
    assert_eq!(world.dispatcher.drain().await.unwrap(), 0);
    // Nobody knows how many tokens a dead process had left: its successor begins with none.
    let _ = other.die_with_what_is_due().await.unwrap();
    world.bury_the_dead().await;
    assert_eq!(world.dispatcher.drain().await.unwrap(), 0);
    let tried: i64 =
        sqlx::query_scalar("select sum(attempts) from delivery").fetch_one(&world.pool).await.unwrap();
    assert_eq!((stub.count(), tried, world.in_state("pending").await), (3, 3, 7));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_endpoint_that_hangs_and_one_with_a_backlog_keep_nobody_waiting(pool: PgPool) {
    let mut world = World::new(pool).await;
    let hanging = Stub::start(|_, _| std::future::pending()).await;
    let busy = Stub::always(StatusCode::OK).await;
    hanging.register(&world, json!({ "timeoutMs": 30000 })).await;
    busy.register(&world, json!({ "rateLimit": { "perSecond": 0.001, "burst": 1 } })).await;
    world.hear_many(200).await;
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let healthy = Stub::start(move |_, _| {
        arrived.send(()).unwrap();
        async { StatusCode::OK.into_response() }
    })
    .await;
    healthy.register(&world, json!({})).await;
    let message = world.signed(&crate::world::order("o1", "PROCESSING", 1));
    world.hear(&message).await;
    let running = world.another_dispatcher().run(CancellationToken::new());
    tokio::select! {
        _ = running => unreachable!("it was not told to stop"),
        arrived = arrivals.recv() => arrived.unwrap(),
    }
    assert!(hanging.count() <= 2 && busy.count() <= 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn fresh_deliveries_go_straight_to_an_endpoint_without_being_claimed(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({})).await;
    world.hear_many(1).await;
    assert_eq!(world.dispatcher.drain().await.unwrap(), 1);
    let message = world.signed(&crate::world::order("o1", "PROCESSING", 1));
    world.hear(&message).await;
    let leased: i64 =
        sqlx::query_scalar("select count(*) from delivery where leased_at is not null and attempts = 1")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(leased, 1);
    assert_eq!(world.dispatcher.drain().await.unwrap(), 1);
    assert_eq!(world.in_state("succeeded").await, 2);
}
