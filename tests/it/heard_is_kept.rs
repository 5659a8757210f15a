//! Nothing that was heard is lost: the database goes away, listeners die, strangers write.

use std::sync::Arc;

use axum::http::StatusCode;
use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, PgPool};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use transak_relay::intake::listener::{self, Listener};
use transak_relay::intake::{Fate, Form, Heard, directory, stream::StreamHealth};
use transak_relay::model::event::Source;
use transak_relay::model::hops::Hops;
use transak_relay::pusher;
use transak_relay::sandbox::pusher::{Server, Settings};
use transak_relay::store::{figures, pool::MIGRATOR};
use uuid::Uuid;

use crate::world::{API_KEY, World, order, pluck};

/// Cuts a database off, or lets it be reached again, from a connection to another one.
pub(crate) async fn allow_connections(options: &PgConnectOptions, allow: bool) {
    let database = options.get_database().unwrap().to_owned();
    let mut admin: PgConnection = options.clone().database("postgres").connect().await.unwrap();
    let alter = format!(r#"alter database "{database}" with allow_connections {allow}"#);
    sqlx::query(AssertSqlSafe(alter)).execute(&mut admin).await.unwrap();
    sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
        .bind(database)
        .execute(&mut admin)
        .await
        .unwrap();
}

fn webhook(world: &World, number: u32) -> Heard {
    Heard {
        partner_id: Some(world.partner),
        source: Source::Webhook,
        form: Form::Signed,
        channel: None,
        event: None,
        data: Bytes::from(world.signed(&order(&format!("o{number}"), "PROCESSING", 1))),
        at: Utc::now(),
        trace: None,
        hops: Hops::default(),
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_heard_while_postgres_is_away_is_spooled_and_kept_when_it_is_back(pool: PgPool) {
    let mut world = World::new(pool).await;
    let options = world.pool.connect_options();
    allow_connections(&options, false).await;
    for number in 0..3 {
        let heard = webhook(&world, number);
        let intake = world.intake.clone();
        let (fate, ()) = tokio::join!(intake.keep(heard), world.writer.write_next());
        assert_eq!(fate.unwrap(), Fate::Spooled);
    }
    allow_connections(&options, true).await;
    world.writer.drain().await;
    assert_eq!(world.count("event").await, 3);
    assert_eq!(world.writer.health().borrow().spooled_bytes, 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_still_heard_while_a_process_stops_is_kept(pool: PgPool) {
    let world = World::new(pool).await;
    let (intake, writer, _spool) = world.another_writer();
    let (stop, heard) = (CancellationToken::new(), webhook(&world, 1));
    stop.cancel();
    let hear = async {
        let fate = intake.keep(heard).await;
        drop(intake);
        fate
    };
    let (fate, ended) = tokio::join!(hear, writer.run(stop));
    ended.unwrap();
    assert_eq!((fate, world.count("event").await), (Ok(Fate::New), 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn transaks_webhook_is_answered_200_only_when_it_is_kept(pool: PgPool) {
    let mut world = World::new(pool).await;
    let path = format!("/ingest/transak/{}", world.partner);
    let snapshot = order("o1", "COMPLETED", 1);
    let claims = format!(
        r#"{{"webhookData":{snapshot},"eventID":"ORDER_COMPLETED","createdAt":"2025-04-04T13:01:49.000Z"}}"#
    );
    let body = json!({ "data": world.signed(&claims), "eventID": "tolerated", "extra": [1] });
    let (status, answer) = world.post_while_writing(&path, body.clone()).await;
    assert_eq!((status, &answer["result"]), (StatusCode::OK, &json!("new")));
    let (status, answer) = world.post_while_writing(&path, body).await;
    assert_eq!((status, &answer["result"]), (StatusCode::OK, &json!("sighted")));
    let (_, timeline) = world.call("GET", "/v1/orders/o1/timeline", None).await;
    assert_eq!(pluck(&timeline["entries"][0]["sightings"], "source"), ["webhook", "webhook"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_webhook_that_no_token_verifies_is_refused_and_kept_as_evidence(pool: PgPool) {
    let mut world = World::new(pool).await;
    let path = format!("/ingest/transak/{}", world.partner);
    for body in [
        json!({ "data": "a.b.c" }),
        json!({ "data": { "id": "o1", "status": "COMPLETED" } }),
        json!({}),
        json!([]),
    ] {
        let (status, problem) = world.post_while_writing(&path, body).await;
        assert_eq!(
            (status, &problem["type"]),
            (StatusCode::UNAUTHORIZED, &json!("/docs/problems/unverified"))
        );
    }
    assert_eq!(world.count("event").await, 0);
    assert_eq!(world.count("quarantine").await, 4);
    let (status, _) =
        world.post_while_writing("/ingest/transak/ptr_00000000000000000000000000000000", json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_body_beyond_256_kib_is_refused_and_nothing_of_it_is_put_aside(pool: PgPool) {
    let mut world = World::new(pool).await;
    let path = format!("/ingest/transak/{}", world.partner);
    for (length, expected) in [
        (250 << 10, StatusCode::UNAUTHORIZED),
        (257 << 10, StatusCode::PAYLOAD_TOO_LARGE),
        (2 << 20, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let (status, problem) = world.post_while_writing(&path, json!({ "data": "x".repeat(length) })).await;
        assert_eq!(status, expected, "{length}");
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            assert_eq!(problem["detail"], json!("The body must be at most 256 KiB."));
        }
    }
    assert_eq!(world.count("quarantine").await, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_stranger_who_goes_on_is_told_to_slow_down_and_a_verified_webhook_still_gets_in(pool: PgPool) {
    let mut world = World::new(pool).await;
    let path = format!("/ingest/transak/{}", world.partner);
    let mut refused = 0;
    for number in 0..60 {
        let (status, _) =
            world.post_while_writing(&path, json!({ "data": format!("stranger {number}") })).await;
        refused += u32::from(status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused > 0, "nobody was told to slow down");
    let body = json!({ "data": world.signed(&order("o1", "COMPLETED", 1)) });
    let (status, _) = world.post_while_writing(&path, body).await;
    assert_eq!(status, StatusCode::OK);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn transaks_canned_test_order_is_noticed_and_kept_out_of_real_data(pool: PgPool) {
    let mut world = World::new(pool).await;
    let path = format!("/ingest/transak/{}", world.partner);
    let body =
        json!({ "data": world.signed(&order("9151faa1-e69b-4a36-b959-3c4f894afb68", "COMPLETED", 1)) });
    let (status, answer) = world.post_while_writing(&path, body).await;
    assert_eq!((status, &answer["result"]), (StatusCode::OK, &json!("test")));
    assert_eq!(world.count("event").await + world.count("quarantine").await, 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_kyc_event_is_kept_and_told_without_an_order(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (receiver, _) = world.endpoint(json!({ "events": ["KYC_APPROVED"] })).await;
    let claims = r#"{"kycStatus":"APPROVED","eventID":"KYC_APPROVED","partnerUserId":"u1"}"#;
    let path = format!("/ingest/transak/{}", world.partner);
    let (status, _) = world.post_while_writing(&path, json!({ "data": world.signed(claims) })).await;
    assert_eq!(status, StatusCode::OK);
    world.dispatcher.drain().await.unwrap();
    let body: Value = serde_json::from_slice(&receiver.arrivals()[0].body).unwrap();
    assert_eq!((&body["type"], &body["data"]["kycStatus"]), (&json!("KYC_APPROVED"), &json!("APPROVED")));
    let (_, events) = world.call("GET", "/v1/events", None).await;
    assert_eq!(events["data"][0]["orderId"], Value::Null);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_a_public_channel_says_is_marked_and_never_overrides_what_was_verified(pool: PgPool) {
    let mut world = World::new(pool).await;
    let verified = world.signed(&order("o1", "PROCESSING", 1));
    world.hear(&verified).await;
    world.hear_from(Source::Stream, Form::Open, &order("o1", "COMPLETED", 5)).await;
    let (_, kept) = world.call("GET", "/v1/orders/o1", None).await;
    assert_eq!((&kept["status"], &kept["order"]["status"]), (&json!("PROCESSING"), &json!("PROCESSING")));
    let (_, events) = world.call("GET", "/v1/events", None).await;
    let verified: Vec<_> =
        events["data"].as_array().unwrap().iter().map(|e| &e["sightings"][0]["verified"]).collect();
    assert_eq!(verified, [&json!(false), &json!(true)], "newest first");
    let completed = world.signed(&order("o1", "COMPLETED", 5));
    world.hear(&completed).await;
    let (_, kept) = world.call("GET", "/v1/orders/o1", None).await;
    assert_eq!((&kept["status"], &kept["order"]["status"]), (&json!("COMPLETED"), &json!("COMPLETED")));
}

/// A listener of its own, as another process has it; dropping its task is a `kill -9`.
pub(crate) struct Process {
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
    pub(crate) health: watch::Receiver<StreamHealth>,
    stop: CancellationToken,
}

pub(crate) async fn process(world: &World, server: &Server, copies: i32) -> Process {
    let picture = Arc::new(directory::load(&world.pool, &world.key).await.unwrap());
    let (keep, directory) = watch::channel(picture);
    let (health, seen) = watch::channel(StreamHealth::default());
    let listener = Listener {
        pool: world.pool.clone(),
        pusher: pusher::Settings::new(server.url().parse().unwrap(), "app"),
        directory,
        intake: world.intake.clone(),
        copies,
        health,
    };
    let stop = CancellationToken::new();
    let run = Box::pin(listener.run(stop.clone()));
    #[expect(clippy::disallowed_methods, reason = "the test is its owner and kills it")]
    let task = tokio::spawn(async move {
        let _keep = keep;
        run.await
    });
    Process { task, health: seen, stop }
}

impl Process {
    pub(crate) async fn listens(&mut self) {
        self.health.wait_for(|health| health.noted > 0).await.unwrap();
    }

    pub(crate) async fn hears(&mut self) {
        self.health.wait_for(|health| health.last_event_at.is_some()).await.unwrap();
    }

    /// Ends in order; everything it had to write down is written.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

/// The gaps that are found once whoever died is known to be dead. How long the first subscribing took is of no interest.
async fn gaps(world: &World) -> Vec<(String, bool)> {
    let mut tx = world.pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(lock_key('coverage'))").execute(&mut *tx).await.unwrap();
    let now = figures::clock(&mut tx).await.unwrap() + TimeDelta::seconds(6);
    listener::find_gaps(&mut tx, (Uuid::now_v7(), true), now).await.unwrap();
    tx.commit().await.unwrap();
    sqlx::query_as(
        "select reason, ended_at is not null from gap where reason <> 'the channel was not confirmed yet'
         order by started_at",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn when_the_only_listener_dies_another_takes_over_and_the_span_is_a_gap(pool: PgPool) {
    let world = World::new(pool).await;
    let server = Server::start(Settings::local("app")).await.unwrap();
    let mut first = process(&world, &server, 1).await;
    first.listens().await;
    let mut second = process(&world, &server, 1).await;
    first.task.abort();
    second.listens().await;
    assert_eq!(gaps(&world).await, [("the listener ended without a word".to_owned(), true)]);
    second.end().await;
    // Ended in order, it says so itself.
    let told = ("the relay was told to stop".to_owned(), false);
    assert_eq!(gaps(&world).await.last(), Some(&told));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn with_two_listeners_one_death_loses_nothing_and_tells_nothing_twice(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (receiver, _) = world.endpoint(json!({})).await;
    let server = Server::start(Settings::local("app")).await.unwrap();
    let (mut first, mut second) = (process(&world, &server, 2).await, process(&world, &server, 2).await);
    tokio::join!(first.listens(), second.listens());
    let message = world.signed(&order("o1", "PROCESSING", 1));
    assert_eq!(server.publish(API_KEY, "ORDER_PROCESSING", &message), 2);
    tokio::join!(first.hears(), second.hears());
    world.sql("update stream_subscription set confirmed_at = (select min(confirmed_at) from stream_subscription)").await;
    first.task.abort();
    let mut third = process(&world, &server, 2).await;
    third.listens().await;
    world.writer.drain().await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!((world.count("event").await, world.count("sighting").await), (1, 2));
    assert_eq!(receiver.arrivals().len(), 1);
    third.end().await;
    assert_eq!(gaps(&world).await, [], "the second heard all along");
    second.end().await;
}
