//! Two relays in two schemas of one database do not stand in each other's way, and an error is not a missing migration.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use transak_relay::store::listener::Slot;
use transak_relay::store::maintenance_lock::Turn;
use transak_relay::store::pool::MIGRATOR;
use transak_relay::store::wake::{self, Wakes};
use uuid::Uuid;

use crate::world::World;

/// The same database, another schema of it, migrated.
async fn neighbour(pool: &PgPool) -> PgPool {
    sqlx::query("create schema neighbour").execute(pool).await.unwrap();
    let options = (*pool.connect_options()).clone().options([("search_path", "neighbour")]);
    let neighbour = PgPoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
    MIGRATOR.run(&neighbour).await.unwrap();
    neighbour
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn slots_and_turns_of_one_schema_are_free_in_another(pool: PgPool) {
    let neighbour = neighbour(&pool).await;
    let ours = Slot::take(&pool, Uuid::now_v7(), 1).await.unwrap();
    let theirs = Slot::take(&neighbour, Uuid::now_v7(), 1).await.unwrap();
    assert!(ours.is_some() && theirs.is_some());
    assert!(Slot::take(&pool, Uuid::now_v7(), 1).await.unwrap().is_none(), "in its own schema it is held");
    let (ours, theirs) = (Turn::take(&pool).await.unwrap(), Turn::take(&neighbour).await.unwrap());
    assert!(ours.is_some() && theirs.is_some());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_wake_up_of_another_schema_wakes_nobody(pool: PgPool) {
    let neighbour = neighbour(&pool).await;
    let (wakes, stop) = (Wakes::default(), CancellationToken::new());
    let mut tasks = JoinSet::new();
    tasks.spawn(wake::listen(pool.clone(), wakes.clone(), stop.clone()));
    // It wakes everybody when it begins.
    for woken in [&wakes.partners, &wakes.deliveries, &wakes.events] {
        woken.notified().await;
    }
    wake::partners(&mut neighbour.acquire().await.unwrap()).await.unwrap();
    wake::deliveries_now(&pool).await.unwrap();
    wakes.deliveries.notified().await;
    let partners = Arc::clone(&wakes.partners);
    let woken = tokio::time::timeout(std::time::Duration::ZERO, partners.notified()).await;
    assert!(woken.is_err(), "the neighbour's came first, and was not ours");
    stop.cancel();
    tasks.join_all().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_error_of_the_database_is_not_told_as_a_missing_migration(pool: PgPool) {
    let world = World::new(pool).await;
    world.sql("alter table _sqlx_migrations rename column success to succeeded").await;
    let (status, answer) = world.call("GET", "/readyz", None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer["reasons"][0]["code"], json!("database_refuses"));
    world.sql("alter table _sqlx_migrations rename column succeeded to success").await;
    world
        .sql("delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)")
        .await;
    let (_, answer) = world.call("GET", "/readyz", None).await;
    assert_eq!(answer["reasons"][0]["code"], json!("migrations_behind"));
    world.sql("alter table _sqlx_migrations rename to away").await;
    let (status, answer) = world.call("GET", "/readyz", None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer["reasons"][0]["code"], json!("database_tables_missing"), "nobody is told to migrate");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_partner_that_nobody_hears_is_a_warning_and_the_process_is_ready(pool: PgPool) {
    let world = World::new(pool).await;
    sqlx::query("insert into gap (partner_id, gap_id, started_at, reason) values ($1, $2, now(), 'r')")
        .bind(world.partner)
        .bind(Uuid::now_v7())
        .execute(&world.pool)
        .await
        .unwrap();
    let (status, answer) = world.call("GET", "/readyz", None).await;
    assert_eq!((status, &answer["warnings"][0]["code"]), (StatusCode::OK, &json!("partners_unheard")));
}
