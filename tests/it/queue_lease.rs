//! Who sends: leases of deliveries, leases of endpoints, and what becomes of both when a process stops or dies.

use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use transak_relay::model::delivery::DeliveryState;
use transak_relay::store::delivery::claim::{Claimed, claim, release};
use transak_relay::store::delivery::finish::{Finished, finish};
use transak_relay::store::dispatcher::{DispatcherId, beat};
use transak_relay::store::pool::MIGRATOR;

use crate::stub::Stub;
use crate::world::{World, order};

async fn claim_all(world: &World, id: DispatcherId) -> Vec<Claimed> {
    let wanted = world.rooms(2).await;
    claim(&mut world.pool.acquire().await.unwrap(), id, &wanted).await.unwrap()
}

async fn attempts(world: &World) -> Vec<i32> {
    let rows = sqlx::query_scalar("select attempts from delivery order by delivery_id");
    rows.fetch_all(&world.pool).await.unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_stale_workers_write_back_after_its_lease_changes_0_rows(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({})).await;
    world.hear_many(1).await;
    let id = DispatcherId::new();
    beat(&mut world.pool.acquire().await.unwrap(), id).await.unwrap();
    let stale = claim_all(&world, id).await.remove(0).job;
    // The lease runs out, and somebody else takes the delivery.
    world.pass_time().await;
    let fresh = claim_all(&world, id).await.remove(0).job;
    assert_eq!((stale.attempts, fresh.attempts), (1, 2));

    let mut conn = world.pool.acquire().await.unwrap();
    let result = |job, state| Finished {
        job,
        state,
        retry_after: None,
        asked: None,
        status_code: Some(200),
        is_over: false,
    };
    assert!(finish(&mut conn, &[result(&stale, DeliveryState::Succeeded)]).await.unwrap().is_empty());
    assert!(finish(&mut conn, &[result(&stale, DeliveryState::Exhausted)]).await.unwrap().is_empty());
    assert_eq!(release(&mut conn, &[(&stale, std::time::Duration::ZERO)]).await.unwrap(), 0);
    assert_eq!((world.in_state("pending").await, attempts(&world).await), (1, vec![2]));
    assert_eq!(finish(&mut conn, &[result(&fresh, DeliveryState::Succeeded)]).await.unwrap().len(), 1);
    assert!(finish(&mut conn, &[result(&fresh, DeliveryState::Exhausted)]).await.unwrap().is_empty());
    assert_eq!(world.in_state("succeeded").await, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_endpoint_is_sent_to_by_one_process_at_a_time_until_that_one_lets_go(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({})).await;
    let mut other = world.another_dispatcher();
    world.hear_many(1).await;
    assert_eq!(other.drain().await.unwrap(), 1);
    world.sql("update delivery set state = 'pending', finished_at = null, next_attempt_at = now()").await;
    assert_eq!(world.dispatcher.drain().await.unwrap(), 0, "it is the other's");
    let stopped = CancellationToken::new();
    stopped.cancel();
    Box::pin(other.run(stopped)).await.unwrap();
    assert_eq!(world.dispatcher.drain().await.unwrap(), 1, "the other let go");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_a_killed_process_had_begun_is_sent_by_another_as_soon_as_it_is_known_to_be_dead(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({})).await;
    world.hear_many(1).await;
    let begun = world.another_dispatcher().die_with_what_is_due().await.unwrap();
    assert_eq!(begun.len(), 1);
    assert_eq!(world.dispatcher.drain().await.unwrap(), 0, "nobody knows yet");
    world.bury_the_dead().await;
    assert_eq!(world.dispatcher.drain().await.unwrap(), 1);
    assert_eq!((stub.count(), attempts(&world).await), (1, vec![2]));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_process_that_lives_is_not_taken_for_dead_while_its_session_stands(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({})).await;
    let mut other = world.another_dispatcher();
    other.drain().await.unwrap();
    world.sql("update dispatcher set heartbeat_at = now() - interval '5 s'").await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(world.count("dispatcher").await, 2);
    // A heartbeat that old is a process that hangs.
    world.sql("update dispatcher set heartbeat_at = now() - interval '16 s'").await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(world.count("dispatcher").await, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_process_that_stops_gives_back_what_it_has_not_begun_and_counts_no_attempt(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (started, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    let stub = Stub::start(move |_, _| {
        started.send(()).unwrap();
        std::future::pending()
    })
    .await;
    // One is under way and never answered, the others wait behind it.
    stub.register(&world, json!({ "maxInFlight": 1, "timeoutMs": 100 })).await;
    world.hear_many(5).await;
    let stop = CancellationToken::new();
    let running = world.another_dispatcher().run(stop.clone());
    let interrupt = async {
        waiting.recv().await.unwrap();
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(running, interrupt);
    ended.unwrap();
    let mut attempts = attempts(&world).await;
    attempts.sort_unstable();
    assert_eq!(attempts, [0, 0, 0, 0, 1]);
    let leased: i64 = sqlx::query_scalar("select count(*) from delivery where leased_at is not null")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!((leased, world.in_state("pending").await), (0, 5));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_already_waits_in_a_process_is_held_when_its_endpoint_is_disabled(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({})).await;
    let path = format!("/v1/endpoints/{}", endpoint["id"].as_str().unwrap());
    world.hear_many(1).await;
    assert_eq!(world.dispatcher.drain().await.unwrap(), 1);
    // Born leased to this process, whose endpoint it is.
    for number in 0..2 {
        let message = world.signed(&order(&format!("waiting-{number}"), "PROCESSING", 1));
        world.hear(&message).await;
    }
    let leased: i64 = sqlx::query_scalar("select count(*) from delivery where leased_at is not null")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(leased, 2);
    world.call("POST", &format!("{path}/disable"), None).await;
    assert_eq!(world.dispatcher.drain().await.unwrap(), 0);
    assert_eq!((stub.count(), world.in_state("held").await), (1, 2));
    world.call("POST", &format!("{path}/enable"), None).await;
    assert_eq!(world.dispatcher.drain().await.unwrap(), 2);
}
