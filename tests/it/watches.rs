//! Watched channels at scale: many on one connection, on every listening process, until their orders are over.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use transak_relay::intake::directory;
use transak_relay::intake::listener::Listener;
use transak_relay::intake::stream::StreamHealth;
use transak_relay::pusher;
use transak_relay::sandbox::pusher::{Garbage, Server, Settings};
use transak_relay::store::pool::MIGRATOR;
use transak_relay::store::wake::{self, Wakes};

use crate::soon::soon;
use crate::world::{API_KEY, World, order};

const WATCHES: usize = 10_000;

/// A listening process: it follows the tables as `serve` does.
pub(crate) async fn listen(
    world: &World,
    server: &Server,
    tasks: &mut JoinSet<anyhow::Result<()>>,
) -> watch::Receiver<StreamHealth> {
    let stop = CancellationToken::new();
    let picture = Arc::new(directory::load(&world.pool, &world.key).await.unwrap());
    let pictures = watch::Sender::new(picture);
    let (health, mut seen) = watch::channel(StreamHealth::default());
    let listener = Listener {
        pool: world.pool.clone(),
        pusher: pusher::Settings::new(server.url().parse().unwrap(), "app"),
        directory: pictures.subscribe(),
        intake: world.intake.clone(),
        copies: 2,
        health,
    };
    let wakes = Wakes::default();
    let place = (world.pool.clone(), world.key.clone());
    let pictures = directory::Pictures::new(place, pictures);
    tasks.spawn(directory::follow(pictures, Arc::clone(&wakes.partners), stop.clone()));
    tasks.spawn(wake::listen(world.pool.clone(), wakes, stop.clone()));
    tasks.spawn(listener.run(stop));
    soon(seen.wait_for(|health| health.noted > 0)).await.unwrap();
    seen
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn ten_thousand_watches_are_one_connection_and_one_more_is_one_subscription_more(pool: PgPool) {
    let mut world = World::new(pool).await;
    let server = Server::start(Settings::local("app")).await.unwrap();
    let mut tasks = JoinSet::new();
    listen(&world, &server, &mut tasks).await;
    listen(&world, &server, &mut tasks).await;
    let began = Instant::now();
    sqlx::query(
        "insert into watch (partner_id, watch_id, order_id, channel)
         select $1, gen_random_uuid(), 'w' || n, 'w' || n from generate_series(1, $2) as n",
    )
    .bind(world.partner)
    .bind(i32::try_from(WATCHES).unwrap())
    .execute(&world.pool)
    .await
    .unwrap();
    world.sql("select pg_notify('relay_partner', '')").await;
    let mut counts = server.counts();
    soon(counts.wait_for(|counts| counts.subscribed == 2 * (WATCHES + 1))).await.unwrap();
    eprintln!("{WATCHES} watches on each of 2 connections: {} ms", began.elapsed().as_millis());
    assert_eq!(counts.borrow().open, 2, "one connection each");

    let before = *counts.borrow();
    assert_eq!(before.subscribe_requests, before.subscriptions, "each was asked for once");
    let body = json!({ "orderId": "one-more", "partnerId": world.partner.to_string() });
    let (status, _) = world.call("POST", "/v1/watches", Some(body)).await;
    assert_eq!(status.as_u16(), 201);
    server.subscribed("one-more", 2).await;
    let after = *counts.borrow();
    assert_eq!(after.subscribe_requests - before.subscribe_requests, 2, "one on each connection");
    assert_eq!(after.connects, before.connects);

    assert_eq!(server.publish("w5000", "ORDER_PROCESSING", &order("w5000", "PROCESSING", 1)), 2);
    let over = world.signed(&order("w7000", "COMPLETED", 1));
    assert_eq!(server.publish(API_KEY, "ORDER_COMPLETED", &over), 2);
    while world.count("sighting").await < 4 {
        world.writer.write_next().await;
    }
    let (_, events) = world.call("GET", "/v1/events?orderId=w5000", None).await;
    assert_eq!(events["data"][0]["sightings"][0]["verified"], json!(false));

    world.sql("select pg_notify('relay_partner', '')").await;
    soon(counts.wait_for(|counts| counts.subscribed == 2 * (WATCHES + 1))).await.unwrap();
    assert_eq!(server.publish("w7000", "ORDER_COMPLETED", "{}"), 0, "its order is over");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_no_frame_is_kept_under_the_channel_it_names_and_says_why(pool: PgPool) {
    let mut world = World::new(pool).await;
    // The sandbox sends its oversized frame on a channel of this name.
    world.sql("update partner set api_key = 'oversized'").await;
    let server = Server::start(Settings::local("app")).await.unwrap();
    let mut tasks = JoinSet::new();
    listen(&world, &server, &mut tasks).await;
    for garbage in [Garbage::Oversized(2 << 20), Garbage::Binary] {
        assert_eq!(server.send_garbage(garbage), 1);
    }
    while world.count("quarantine").await < 2 {
        world.writer.write_next().await;
    }
    let kept: Vec<(Option<uuid::Uuid>, Option<String>, String)> =
        sqlx::query_as("select partner_id, channel, reason from quarantine order by octet_length(raw) desc")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    let (partner, channel, reason) = &kept[0];
    assert_eq!((*partner, channel.as_deref()), (Some(world.partner.uuid()), Some("oversized")));
    assert!(reason.contains("longer than the limit"), "{reason}");
    assert_eq!(kept[1], (None, None, "a binary message".to_owned()));
}
