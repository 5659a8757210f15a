//! Callbacks that would lead back to a process of the relay, this one or another.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::model::own_address::Listening;
use transak_relay::store::api_process;
use transak_relay::store::pool::MIGRATOR;
use uuid::Uuid;

use crate::process::{Around, Process};
use crate::stub::Stub;

/// What an attempt of a test delivery to this URL says of itself.
async fn tried(relay: &Process, url: &str) -> Value {
    let body = json!({ "partnerId": relay.partner().await, "url": url });
    let (status, made) = relay.call(Method::POST, "/v1/endpoints", Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let path = format!("/v1/endpoints/{}/test", made["id"].as_str().unwrap());
    let (status, attempt) = relay.call(Method::POST, &path, None).await;
    assert_eq!(status, StatusCode::OK, "{attempt}");
    attempt
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_callback_to_another_process_of_the_installation_is_not_made_and_one_to_its_neighbour_is(
    pool: PgPool,
) {
    let around = Around::new(pool).await;
    let mut other = around.start(&[("RELAY_ROLES", "api")]).await;
    let sends = around.start(&[]).await;
    for process in [&other, &sends] {
        let attempt = tried(&sends, &format!("{}/ingest/transak/x", process.url)).await;
        assert!(attempt["statusCode"].is_null(), "{attempt}");
        assert!(attempt["error"].to_string().contains("relay"), "{attempt}");
    }
    let receiver = Stub::always(StatusCode::OK).await;
    let neighbour = tried(&sends, receiver.url()).await;
    assert_eq!(neighbour["statusCode"], 200, "{neighbour}");

    assert!(other.stop().await.success());
    let left = api_process::alive(&mut around.pool.acquire().await.unwrap()).await.unwrap();
    assert_eq!(left.len(), 1, "who stops says so: its port may be somebody else's next");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_process_that_says_nothing_any_more_is_forgotten(pool: PgPool) {
    let mut conn = pool.acquire().await.unwrap();
    let process = |port| Listening::new("here", port, ["198.41.0.4".parse().unwrap()]);
    let (dead, alive) = (Uuid::from_u128(1), Uuid::from_u128(2));
    for (id, port) in [(dead, 1), (alive, 2), (alive, 3)] {
        api_process::beat(&mut conn, id, &process(port)).await.unwrap();
    }
    let later = "update api_process set heartbeat_at = now() - interval '2 hours' where api_process_id = $1";
    sqlx::query(later).bind(dead).execute(&mut *conn).await.unwrap();
    assert_eq!(api_process::alive(&mut conn).await.unwrap(), [process(3)]);
    api_process::beat(&mut conn, alive, &process(3)).await.unwrap();
    let rows: i64 =
        sqlx::query_scalar("select count(*) from api_process").fetch_one(&mut *conn).await.unwrap();
    assert_eq!(rows, 1);
}
