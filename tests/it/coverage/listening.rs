//! What a process that listens, or cannot, says of it: whom it hears, what it could not keep, and that it stops.

use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::task::JoinSet;
use transak_relay::intake::stream::SlotTrouble;
use transak_relay::model::id::PartnerId;
use transak_relay::sandbox::pusher::{Server, Settings};
use transak_relay::store::pool::MIGRATOR;
use uuid::Uuid;

use crate::heard_is_kept::process;
use crate::soon::soon;
use crate::watches::listen;
use crate::world::{API_KEY, World};

async fn heard(world: &World) -> Vec<Uuid> {
    let now = "select partner_id from stream_subscription where ended_at is null order by confirmed_at";
    sqlx::query_scalar(now).fetch_all(&world.pool).await.unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_channel_that_is_heard_already_is_heard_for_whoever_has_its_key(pool: PgPool) {
    let world = World::new(pool).await;
    let server = Server::start(Settings::local("app")).await.unwrap();
    let mut tasks = JoinSet::new();
    let mut seen = listen(&world, &server, &mut tasks).await;
    assert_eq!(heard(&world).await, [world.partner.uuid()]);
    let body = json!({ "name": "two", "environment": "PRODUCTION", "apiKey": API_KEY });
    let (_, made) = world.call("POST", "/v1/partners", Some(body)).await;
    let other: PartnerId = made["id"].as_str().unwrap().parse().unwrap();
    soon(seen.wait_for(|health| health.noted >= 2)).await.unwrap();
    assert_eq!(heard(&world).await, [world.partner.uuid(), other.uuid()]);
    world.call("DELETE", &format!("/v1/partners/{}", world.partner), None).await;
    soon(seen.wait_for(|health| health.noted >= 3)).await.unwrap();
    assert_eq!(heard(&world).await, [other.uuid()]);
    assert_eq!(server.counts().borrow().connects, 1, "on the one connection");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_watched_no_longer_or_was_lost_is_not_among_what_is_heard(pool: PgPool) {
    let world = World::new(pool).await;
    let server = Server::start(Settings::local("app")).await.unwrap();
    let mut tasks = JoinSet::new();
    let mut seen = listen(&world, &server, &mut tasks).await;
    let body = json!({ "orderId": "o1", "partnerId": world.partner.to_string() });
    let (_, made) = world.call("POST", "/v1/watches", Some(body)).await;
    soon(seen.wait_for(|health| health.confirmed.contains("o1"))).await.unwrap();
    world.call("DELETE", &format!("/v1/watches/{}", made["id"].as_str().unwrap()), None).await;
    soon(seen.wait_for(|health| health.confirmed.len() == 1)).await.unwrap();
    assert!(seen.borrow().confirmed.contains(API_KEY));
    server.stop().await;
    soon(seen.wait_for(|health| health.confirmed.is_empty())).await.unwrap();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_process_that_cannot_ask_for_a_slot_stands_by_and_says_why(pool: PgPool) {
    let world = World::new(pool).await;
    let server = Server::start(Settings::local("app")).await.unwrap();
    for (code, trouble) in [("53300", SlotTrouble::NoConnection), ("42501", SlotTrouble::Unavailable)] {
        let refuse = format!(
            "create or replace function lock_key(name text) returns bigint language plpgsql as
             $$ begin raise exception 'refused' using errcode = '{code}'; end $$"
        );
        sqlx::raw_sql(AssertSqlSafe(refuse)).execute(&world.pool).await.unwrap();
        let mut process = process(&world, &server, 1).await;
        soon(process.health.wait_for(|health| health.stands_by)).await.unwrap();
        assert_eq!(process.health.borrow().slots, Some(trouble));
        process.end().await;
    }
}

/// Why there are gaps, in the tables as they are.
async fn reasons(world: &World) -> Vec<(String, bool)> {
    let all =
        "select reason, ended_at is not null from gap where reason <> 'the channel was not confirmed yet'
               order by started_at";
    sqlx::query_as(all).fetch_all(&world.pool).await.unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_heard_and_can_be_put_nowhere_is_a_gap_and_so_is_what_comes_after_the_last_process(
    pool: PgPool,
) {
    let mut world = World::new(pool).await;
    world
        .sql("insert into quarantine_usage (partner_id, messages, bytes) select partner_id, 10000, 0 from partner")
        .await;
    let server = Server::start(Settings::local("app")).await.unwrap();
    let mut listening = process(&world, &server, 1).await;
    listening.listens().await;
    assert_eq!(server.publish(API_KEY, "ORDER_PROCESSING", "not signed"), 1);
    listening.hears().await;
    world.writer.drain().await;
    listening.end().await;
    let told = [("messages were heard and could not be kept", true), ("the relay was told to stop", false)];
    assert_eq!(reasons(&world).await, told.map(|(reason, is_over)| (reason.to_owned(), is_over)));
}
