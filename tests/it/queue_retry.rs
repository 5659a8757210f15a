//! When a delivery is tried again, and what ends it.

use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::json;
use sqlx::PgPool;
use transak_relay::store::pool::MIGRATOR;

use crate::stub::Stub;
use crate::world::{World, order, pluck};

/// The seconds until the next try of the only delivery that waits.
async fn wait(world: &World) -> f64 {
    let wait =
        "select extract(epoch from next_attempt_at - now())::float8 from delivery where state = 'pending'";
    sqlx::query_scalar(wait).fetch_one(&world.pool).await.unwrap()
}

async fn wait_after(pool: PgPool, status: StatusCode, retry_after: &'static str) -> f64 {
    let mut world = World::new(pool).await;
    let name: HeaderName = header::RETRY_AFTER;
    let stub = Stub::start(move |_, _| {
        let answer = (status, [(name.clone(), retry_after)]).into_response();
        async { answer }
    })
    .await;
    stub.register(&world, json!({})).await;
    world.hear_many(1).await;
    assert_eq!(world.dispatcher.drain().await.unwrap(), 1);
    wait(&world).await
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn retry_after_in_seconds_postpones_on_429(pool: PgPool) {
    let wait = wait_after(pool, StatusCode::TOO_MANY_REQUESTS, "3600").await;
    assert!((3500.0..=3600.0).contains(&wait), "{wait}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn retry_after_as_a_date_ten_years_away_postpones_by_a_day_on_503(pool: PgPool) {
    let wait = wait_after(pool, StatusCode::SERVICE_UNAVAILABLE, "Fri, 31 Dec 2049 23:59:59 GMT").await;
    assert!((86_300.0..=86_400.0).contains(&wait), "{wait}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn garbage_in_retry_after_is_ignored(pool: PgPool) {
    let wait = wait_after(pool, StatusCode::TOO_MANY_REQUESTS, "-3600.5 s").await;
    assert!((3.0..=5.5).contains(&wait), "{wait}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn retry_after_on_500_is_ignored(pool: PgPool) {
    let wait = wait_after(pool, StatusCode::INTERNAL_SERVER_ERROR, "3600").await;
    assert!((3.0..=5.5).contains(&wait), "{wait}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_redirect_is_a_failure_and_is_tried_again(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::PERMANENT_REDIRECT).await;
    stub.register(&world, json!({})).await;
    world.hear_many(1).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!((stub.count(), world.in_state("pending").await), (1, 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn refused_connections_and_names_that_do_not_resolve_are_tried_again(pool: PgPool) {
    let mut world = World::new(pool).await;
    for url in ["http://127.0.0.1:1/", "http://nowhere.invalid/"] {
        let body = json!({ "partnerId": world.partner.to_string(), "url": url });
        assert_eq!(world.call("POST", "/v1/endpoints", Some(body)).await.0, StatusCode::CREATED);
    }
    world.hear_many(1).await;
    assert_eq!(world.dispatcher.drain().await.unwrap(), 2);
    assert_eq!(world.in_state("pending").await, 2);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn gone_disables_the_endpoint_says_so_and_holds_the_rest(pool: PgPool) {
    let mut world = World::new(pool).await;
    let gone = Stub::always(StatusCode::GONE).await;
    let watcher = Stub::always(StatusCode::OK).await;
    let endpoint = gone
        .register(
            &world,
            json!({ "maxInFlight": 1, "events": ["ORDER_PROCESSING", "relay.endpoint.disabled"] }),
        )
        .await;
    watcher.register(&world, json!({ "events": ["relay.endpoint.disabled"] })).await;
    world.hear_many(3).await;
    world.dispatcher.drain().await.unwrap();
    let shown = world.show(&endpoint).await;
    assert_eq!(
        (&shown["state"], &shown["disabledReason"]),
        (&json!("disabled"), &json!("the endpoint answered 410 Gone"))
    );
    assert!(gone.count() <= 2, "what was under way may still end");
    assert!(world.in_state("held").await >= 2, "an order at the least, and what it would be told of itself");
    assert_eq!(watcher.count(), 1);
    assert_eq!(watcher.seen()[0].body["data"]["endpointId"], endpoint["id"]);
    assert_eq!(watcher.seen()[0].body["type"], json!("relay.endpoint.disabled"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn disabling_by_hand_is_told_once_to_those_who_ask_and_to_the_endpoint_when_it_is_enabled(
    pool: PgPool,
) {
    let mut world = World::new(pool).await;
    let (itself, watcher) = (Stub::always(StatusCode::OK).await, Stub::always(StatusCode::OK).await);
    let asking = json!({ "events": ["relay.endpoint.disabled"] });
    let endpoint = itself.register(&world, asking.clone()).await;
    watcher.register(&world, asking).await;
    let path = format!("/v1/endpoints/{}", endpoint["id"].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(world.call("POST", &format!("{path}/disable"), None).await.0, StatusCode::OK);
        world.dispatcher.drain().await.unwrap();
    }
    assert_eq!((itself.count(), watcher.count(), world.in_state("held").await), (0, 1, 1));
    let told = &watcher.seen()[0].body["data"];
    assert_eq!((&told["endpointId"], &told["reason"]), (&endpoint["id"], &json!("disabled by hand")));
    assert_eq!(world.call("POST", &format!("{path}/enable"), None).await.0, StatusCode::OK);
    world.dispatcher.drain().await.unwrap();
    assert_eq!((itself.count(), watcher.count()), (1, 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_endpoint_that_is_gone_is_told_so_once_each_time_it_is_enabled_again(pool: PgPool) {
    let mut world = World::new(pool).await;
    let gone = Stub::always(StatusCode::GONE).await;
    let endpoint =
        gone.register(&world, json!({ "events": ["ORDER_PROCESSING", "relay.endpoint.disabled"] })).await;
    world.hear_many(1).await;
    for times in 1..=3 {
        world.dispatcher.drain().await.unwrap();
        assert_eq!((gone.count(), world.in_state("held").await), (times, 1));
        assert_eq!(world.events("relay.endpoint.disabled").await.len(), times);
        let enable = format!("/v1/endpoints/{}/enable", endpoint["id"].as_str().unwrap());
        assert_eq!(world.call("POST", &enable, None).await.0, StatusCode::OK);
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_delivery_that_fails_while_its_endpoint_is_being_disabled_is_held_and_sent_when_it_is_enabled(
    pool: PgPool,
) {
    let mut world = World::new(pool).await;
    let (asked, mut requests) = tokio::sync::mpsc::unbounded_channel::<tokio::sync::oneshot::Sender<()>>();
    let stub = Stub::start(move |number, _| {
        let (go, wait) = tokio::sync::oneshot::channel();
        if number == 0 {
            asked.send(go).unwrap();
        }
        async move {
            let failed = wait.await.is_ok();
            if failed { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }.into_response()
        }
    })
    .await;
    let endpoint = stub.register(&world, json!({})).await;
    let path = format!("/v1/endpoints/{}", endpoint["id"].as_str().unwrap());
    world.hear_many(1).await;
    let mut other = world.another_dispatcher();
    let disable = async {
        let go = requests.recv().await.unwrap();
        assert_eq!(world.call("POST", &format!("{path}/disable"), None).await.0, StatusCode::OK);
        go.send(()).unwrap();
    };
    let (sent, ()) = tokio::join!(other.drain(), disable);
    assert_eq!(sent.unwrap(), 1);
    assert_eq!(world.in_state("held").await, 1);
    assert_eq!(world.call("POST", &format!("{path}/enable"), None).await.0, StatusCode::OK);
    assert_eq!(other.drain().await.unwrap(), 1);
    assert_eq!((world.in_state("succeeded").await, stub.count()), (1, 2));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_given_up_delivery_is_told_once_to_those_who_ask_itself_included_and_never_about_telling(
    pool: PgPool,
) {
    let mut world = World::new(pool).await;
    let failing = Stub::always(StatusCode::INTERNAL_SERVER_ERROR).await;
    let deaf = Stub::always(StatusCode::INTERNAL_SERVER_ERROR).await;
    let watcher = Stub::always(StatusCode::OK).await;
    let endpoint = failing.register(&world, json!({ "retrySchedule": [], "statuses": ["PROCESSING"], "events": ["ORDER_PROCESSING", "relay.delivery.exhausted"] })).await;
    deaf.register(&world, json!({ "retrySchedule": [], "events": ["relay.delivery.exhausted"] })).await;
    watcher.register(&world, json!({ "events": ["relay.delivery.exhausted"] })).await;
    let message = world.signed(&order("o1", "PROCESSING", 1));
    world.hear(&message).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!((failing.count(), deaf.count(), watcher.count()), (2, 1, 1));
    assert_eq!(failing.seen()[1].body, watcher.seen()[0].body);
    let told = &watcher.seen()[0].body["data"];
    assert_eq!(
        (&told["endpointId"], &told["orderId"], &told["lastStatusCode"]),
        (&endpoint["id"], &json!("o1"), &json!(500))
    );
    assert_eq!(world.events("relay.delivery.exhausted").await.len(), 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn retrying_a_delivery_of_a_deleted_endpoint_is_a_conflict_that_says_so(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({})).await;
    world.hear_many(1).await;
    world.dispatcher.drain().await.unwrap();
    let (_, list) = world.call("GET", "/v1/deliveries", None).await;
    let id = pluck(&list["data"], "id")[0].to_owned();
    let retry = format!("/v1/deliveries/{id}/retry");
    assert_eq!(world.call("POST", &retry, None).await.0, StatusCode::ACCEPTED);
    world.dispatcher.drain().await.unwrap();
    assert_eq!(stub.count(), 2, "it is sent whatever came before");
    world.call_raw("DELETE", &format!("/v1/endpoints/{}", endpoint["id"].as_str().unwrap()), None).await;
    let (status, problem) = world.call("POST", &retry, None).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().contains("deleted"), "{problem}");
}
