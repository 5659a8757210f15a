//! Tests of an endpoint that stand for an event of Transak's.

use axum::http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use transak_relay::store::pool::MIGRATOR;

use crate::stub::Stub;
use crate::world::World;

async fn test(world: &World, endpoint: &Value, event: &str) -> (StatusCode, Value) {
    let path = format!("/v1/endpoints/{}/test", endpoint["id"].as_str().unwrap());
    let stop = CancellationToken::new();
    let call = async {
        let answer = world.call("POST", &path, Some(json!({ "event": event }))).await;
        stop.cancel();
        answer
    };
    let dispatcher = Box::pin(world.another_dispatcher().run(stop.clone()));
    let (ended, answer) = tokio::join!(dispatcher, call);
    ended.unwrap();
    answer
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_test_is_told_as_the_event_it_stands_for_and_says_that_nothing_happened(pool: PgPool) {
    let world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({})).await;
    let (status, attempt) = test(&world, &endpoint, "ORDER_COMPLETED").await;
    assert_eq!((status, &attempt["statusCode"]), (StatusCode::OK, &json!(200)), "{attempt}");
    let told = &stub.seen()[0].body;
    assert_eq!((&told["type"], &told["data"]["status"]), (&json!("ORDER_COMPLETED"), &json!("COMPLETED")));
    assert_eq!(told["data"]["message"], "This is a test. Nothing happened to any order.");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_test_is_no_order_and_its_failure_wakes_nobody(pool: PgPool) {
    let world = World::new(pool).await;
    let stub = Stub::always(StatusCode::BAD_GATEWAY).await;
    let endpoint = stub.register(&world, json!({})).await;
    assert_eq!(test(&world, &endpoint, "ORDER_COMPLETED").await.1["statusCode"], 502);
    assert_eq!((world.count(r#""order""#).await, stub.count()), (0, 1), "it is tried once");
    assert_eq!((world.in_state("exhausted").await, world.in_state("cancelled").await), (0, 1));
    let (_, exhausted) = world.call("GET", "/v1/deliveries?state=exhausted", None).await;
    assert_eq!(exhausted["data"], json!([]), "nobody has to see to it");
    let (_, all) = world.call("GET", "/v1/deliveries", None).await;
    let path = format!("/v1/deliveries/{}/retry", all["data"][0]["id"].as_str().unwrap());
    assert_eq!(world.call("POST", &path, None).await.0, StatusCode::ACCEPTED);
    world.another_dispatcher().drain().await.unwrap();
    assert_eq!(
        (stub.count(), world.in_state("cancelled").await),
        (2, 1),
        "it can be sent again all the same"
    );
    assert_eq!(world.events("relay.delivery.exhausted").await.len(), 0);
    assert_eq!(world.events("ORDER_COMPLETED").await.len(), 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_no_test_stands_for_is_refused_with_what_was_meant_and_tries_nothing(pool: PgPool) {
    let world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({})).await;
    for (event, meant) in [
        ("order_completed", "did you mean `ORDER_COMPLETED`?"),
        ("relay.delivery.exhausted", "must be one of"),
    ] {
        let (status, problem) = test(&world, &endpoint, event).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(problem["detail"].as_str().unwrap().contains(meant), "{problem}");
    }
    assert_eq!(stub.count(), 0);
}
