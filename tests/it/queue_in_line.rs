//! What an endpoint is owed follows what the endpoint is, also what was written at the moment at which it changed.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use transak_relay::model::id::DeliveryId;
use transak_relay::store::delivery::by_hand::retry;
use transak_relay::store::delivery::lane::{LaneKey, advance, lock};
use transak_relay::store::endpoint::in_line::STEP;
use transak_relay::store::pool::MIGRATOR;

use crate::stub::Stub;
use crate::world::{World, order, pluck};

/// What an intake writes that has read an endpoint as disabled a moment before it was enabled.
const HELD_BESIDE_IT: &str =
    "update delivery set state = 'held', next_attempt_at = null where state = 'pending' and attempts = 0";

fn path(endpoint: &Value, what: &str) -> String {
    format!("/v1/endpoints/{}{what}", endpoint["id"].as_str().unwrap())
}

async fn call(world: &World, method: &str, path: &str) {
    let (status, _) = world.call_raw(method, path, None).await;
    assert!(status.is_success(), "{method} {path}: {status}");
}

/// The statuses of an order as they came to a receiver.
fn statuses(stub: &Stub) -> Vec<String> {
    stub.seen().iter().map(|seen| seen.body["data"]["status"].as_str().unwrap().to_owned()).collect()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_held_while_its_endpoint_was_being_enabled_is_sent(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({})).await;
    world.hear_many(2).await;
    world.sql(HELD_BESIDE_IT).await;
    assert_eq!(world.in_state("held").await, 2);
    world.dispatcher.drain().await.unwrap();
    assert_eq!((world.in_state("succeeded").await, stub.count()), (2, 2));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_owed_while_its_endpoint_was_being_deleted_is_cancelled(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({})).await;
    world.hear_many(2).await;
    call(&world, "DELETE", &path(&endpoint, "")).await;
    world.sql("update delivery set state = 'pending', next_attempt_at = now(), finished_at = null").await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!((world.in_state("cancelled").await, stub.count()), (2, 0));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_due_while_its_endpoint_was_being_disabled_is_held(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({})).await;
    world.hear_many(2).await;
    call(&world, "POST", &path(&endpoint, "/disable")).await;
    world.sql("update delivery set state = 'pending', next_attempt_at = now()").await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!((world.in_state("held").await, stub.count()), (2, 0));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_waits_in_a_lane_of_an_endpoint_that_is_ordered_no_more_is_sent(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({})).await;
    world.hear_many(2).await;
    world.sql("update delivery set position = 1, next_attempt_at = '9999-01-01Z'").await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(stub.count(), 2);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn enabling_an_endpoint_sends_all_that_was_held_however_much_it_is(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({})).await;
    call(&world, "POST", &path(&endpoint, "/disable")).await;
    let count = usize::try_from(STEP).unwrap() + 10;
    world.hear_many(count).await;
    call(&world, "POST", &path(&endpoint, "/enable")).await;
    assert_eq!(world.in_state("held").await, 10);
    world.dispatcher.drain().await.unwrap();
    assert_eq!((world.in_state("held").await, stub.count()), (0, count));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn disabling_an_endpoint_holds_all_that_waits_however_much_it_is(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({})).await;
    let count = STEP + 10;
    world.hear_many(usize::try_from(count).unwrap()).await;
    call(&world, "POST", &path(&endpoint, "/disable")).await;
    assert_eq!(world.in_state("held").await, STEP);
    world.dispatcher.drain().await.unwrap();
    assert_eq!((world.in_state("held").await, stub.count()), (count, 0));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_retry_takes_the_lock_of_its_lane_before_that_of_its_delivery(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({ "ordered": true })).await;
    world.hear(&world.signed(&order("o1", "PROCESSING", 1))).await;
    let id: DeliveryId =
        sqlx::query_scalar("select delivery_id from delivery").fetch_one(&world.pool).await.unwrap();
    let mut finisher = world.pool.begin().await.unwrap();
    lock(&mut finisher, [(world.partner, "o1")].into_iter()).await.unwrap();
    let mut person = world.pool.begin().await.unwrap();
    sqlx::query("set local lock_timeout = '1ms'").execute(&mut *person).await.unwrap();
    assert!(retry(&mut person, world.partner, id).await.unwrap_err().is_lock_timeout());
    // Who has the lock of the lane finds none of its deliveries locked.
    let free = sqlx::query("select from delivery for update nowait").fetch_all(&mut *finisher).await;
    assert_eq!(free.unwrap().len(), 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn in_a_lane_whose_head_is_held_nothing_is_sent_before_it(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({ "ordered": true })).await;
    world.hear(&world.signed(&order("o1", "AWAITING_PAYMENT_FROM_USER", 1))).await;
    world.sql(HELD_BESIDE_IT).await;
    world.hear(&world.signed(&order("o1", "PROCESSING", 2))).await;
    let due: i64 = sqlx::query_scalar("select count(*) from delivery where next_attempt_at <= now()")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(due, 0, "it waits behind the one that is held");
    world.dispatcher.drain().await.unwrap();
    assert_eq!(statuses(&stub), ["AWAITING_PAYMENT_FROM_USER", "PROCESSING"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_retried_while_it_is_held_keeps_its_place_in_its_lane(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({ "ordered": true })).await;
    call(&world, "POST", &path(&endpoint, "/disable")).await;
    for (minute, status) in [(1, "AWAITING_PAYMENT_FROM_USER"), (2, "PROCESSING"), (3, "COMPLETED")] {
        world.hear(&world.signed(&order("o1", status, minute))).await;
    }
    let (_, list) = world.call("GET", "/v1/deliveries", None).await;
    let first = *pluck(&list["data"], "id").last().unwrap();
    call(&world, "POST", &format!("/v1/deliveries/{first}/retry")).await;
    call(&world, "POST", &path(&endpoint, "/enable")).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(statuses(&stub), ["AWAITING_PAYMENT_FROM_USER", "PROCESSING", "COMPLETED"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn two_who_advance_one_lane_take_turns(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({ "ordered": true })).await;
    world.hear(&world.signed(&order("o1", "PROCESSING", 1))).await;
    let endpoint_id = endpoint["id"].as_str().unwrap().parse().unwrap();
    let lane = [LaneKey { partner_id: world.partner, endpoint_id, order_id: "o1".to_owned() }];
    let mut first = world.pool.begin().await.unwrap();
    advance(&mut first, &lane).await.unwrap();
    let mut second = world.pool.begin().await.unwrap();
    sqlx::query("set local lock_timeout = '1ms'").execute(&mut *second).await.unwrap();
    assert!(advance(&mut second, &lane).await.unwrap_err().is_lock_timeout(), "it waits for the first");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_delivery_retried_while_a_request_is_under_way_is_sent_once_more_after_it(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (asked, mut requests) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
    let stub = Stub::start(move |number, _| {
        let (go, wait) = oneshot::channel();
        if number == 0 {
            asked.send(go).unwrap();
        }
        async move {
            let _ = wait.await;
            StatusCode::OK.into_response()
        }
    })
    .await;
    stub.register(&world, json!({})).await;
    world.hear_many(1).await;
    let mut other = world.another_dispatcher();
    let retry = async {
        let go = requests.recv().await.unwrap();
        let (_, list) = world.call("GET", "/v1/deliveries", None).await;
        let id = pluck(&list["data"], "id")[0].to_owned();
        call(&world, "POST", &format!("/v1/deliveries/{id}/retry")).await;
        go.send(()).unwrap();
    };
    let (sent, ()) = tokio::join!(other.drain(), retry);
    assert_eq!((sent.unwrap(), stub.count()), (2, 2));
    assert_eq!(world.in_state("succeeded").await, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_delivery_whose_payload_is_not_kept_any_more_is_cancelled(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({})).await;
    world.hear_many(1).await;
    world.sql("delete from payload").await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!((world.in_state("cancelled").await, stub.count()), (1, 0));
}
