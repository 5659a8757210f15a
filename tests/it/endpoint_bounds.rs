//! How many endpoints a partner may have.

use axum::http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::store::endpoint::bound::{Bound, lock};
use transak_relay::store::pool::MIGRATOR;

use crate::world::World;

async fn register(world: &World) -> (StatusCode, Value) {
    let body = json!({ "partnerId": world.partner.to_string(), "url": "https://example.com/hook" });
    world.call("POST", "/v1/endpoints", Some(body)).await
}

async fn allow(world: &World, most: Value) -> (StatusCode, Value) {
    world
        .call("PATCH", &format!("/v1/partners/{}", world.partner), Some(json!({ "maxEndpoints": most })))
        .await
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn one_endpoint_more_than_the_partner_may_have_is_refused_with_the_bound(pool: PgPool) {
    let world = World::new(pool).await;
    assert_eq!(allow(&world, json!(2)).await.1["maxEndpoints"], json!(2));
    assert_eq!(register(&world).await.0, StatusCode::CREATED);
    assert_eq!(register(&world).await.0, StatusCode::CREATED);
    let (status, problem) = register(&world).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let detail = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("the 2 endpoints") && detail.contains("maxEndpoints"), "{detail}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_deleted_endpoint_makes_room_for_another(pool: PgPool) {
    let world = World::new(pool).await;
    allow(&world, json!(1)).await;
    let (_, made) = register(&world).await;
    assert_eq!(register(&world).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let path = format!("/v1/endpoints/{}", made["id"].as_str().unwrap());
    assert_eq!(world.call_raw("DELETE", &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(register(&world).await.0, StatusCode::CREATED);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn without_a_bound_of_its_own_a_partner_has_the_installations(pool: PgPool) {
    let world = World::new(pool).await;
    allow(&world, json!(1)).await;
    register(&world).await;
    assert_eq!(allow(&world, Value::Null).await.1["maxEndpoints"], Value::Null);
    assert_eq!(register(&world).await.0, StatusCode::CREATED);
    let mut tx = world.pool.begin().await.unwrap();
    assert_eq!(lock(&mut tx, world.partner, 2).await.unwrap(), Bound::Full { most: 2 });
    assert_eq!(lock(&mut tx, world.partner, 3).await.unwrap(), Bound::Room);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_bound_of_nothing_or_of_too_much_is_refused(pool: PgPool) {
    let world = World::new(pool).await;
    for most in [0, -1, 1_000_001] {
        assert_eq!(allow(&world, json!(most)).await.0, StatusCode::UNPROCESSABLE_ENTITY, "{most}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn two_who_register_the_last_endpoint_take_turns(pool: PgPool) {
    let world = World::new(pool).await;
    let (mut first, mut second) = (world.pool.begin().await.unwrap(), world.pool.begin().await.unwrap());
    assert_eq!(lock(&mut first, world.partner, 1).await.unwrap(), Bound::Room);
    sqlx::query("set local lock_timeout = '1ms'").execute(&mut *second).await.unwrap();
    assert!(
        lock(&mut second, world.partner, 1).await.unwrap_err().is_lock_timeout(),
        "it waits for the first"
    );
}
