//! One thing that is stuck delays only itself: rows that somebody has locked, and a database that falls silent.

use std::time::Duration;

use axum::http::StatusCode;
use chrono::{TimeDelta, Utc};
use serde_json::json;
use sqlx::{PgPool, Postgres, Transaction};
use tokio::time::timeout;
use transak_relay::intake::spool::Spool;
use transak_relay::intake::{Fate, Writer};
use transak_relay::maintenance::Maintenance;
use transak_relay::sandbox::receiver::Answer;
use transak_relay::store::pool::{MIGRATOR, pool_options};

use crate::hush::Hush;
use crate::parts;
use crate::world::{World, order};

async fn hold(world: &World, statement: &'static str) -> Transaction<'static, Postgres> {
    let mut tx = world.pool.begin().await.unwrap();
    sqlx::raw_sql(statement).execute(&mut *tx).await.unwrap();
    tx
}

fn offer(world: &World, id: &str, status: &str, minute: u32) {
    world.intake.offer(world.heard(&world.signed(&order(id, status, minute)))).unwrap();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_that_somebody_has_locked_keeps_no_other_order_waiting(pool: PgPool) {
    let mut world = World::new(pool).await;
    offer(&world, "locked", "AWAITING_PAYMENT_FROM_USER", 1);
    world.writer.drain().await;
    let tx = hold(&world, r#"select from "order" where order_id = 'locked' for update"#).await;
    offer(&world, "locked", "PROCESSING", 2);
    for number in 0..20 {
        offer(&world, &format!("free-{number}"), "PROCESSING", 2);
    }
    world.writer.drain().await;
    assert_eq!(world.count("event").await, 1 + 20);
    // What else is heard of it costs nobody anything, for as long as it is locked.
    offer(&world, "locked", "COMPLETED", 3);
    offer(&world, "free-20", "PROCESSING", 3);
    world.writer.write_next().await;
    world.writer.write_next().await;
    assert_eq!(world.count("event").await, 1 + 21);
    drop(tx);
    world.writer.drain().await;
    assert_eq!(world.count("event").await, 1 + 21 + 2);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_webhook_about_a_locked_order_is_answered_at_once_and_survives_the_process(pool: PgPool) {
    let mut world = World::new(pool).await;
    let folder = tempfile::tempdir().unwrap();
    let writer = |world: &World| {
        let spool = Spool::open(folder.path(), 1 << 24).unwrap();
        Writer::new(parts::intake(&world.pool, world.directory.subscribe(), (spool, None)))
    };
    (world.intake, world.writer) = writer(&world);
    world.api = parts::api(&world.pool, &world.key, (world.intake.clone(), world.feed.clone()));
    offer(&world, "locked", "AWAITING_PAYMENT_FROM_USER", 1);
    world.writer.drain().await;
    let tx = hold(&world, r#"select from "order" where order_id = 'locked' for update"#).await;
    let path = format!("/ingest/transak/{}", world.partner);
    let body = json!({ "data": world.signed(&order("locked", "COMPLETED", 2)) });
    let (status, answer) = world.post_while_writing(&path, body).await;
    assert_eq!((status.as_u16(), &answer["result"]), (200, &json!("spooled")));
    // The process dies, and another takes over what it left.
    (world.intake, world.writer) = writer(&world);
    drop(tx);
    world.writer.drain().await;
    assert_eq!(world.count("event").await, 2);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_event_that_a_frozen_process_has_not_committed_keeps_no_other_event_waiting(pool: PgPool) {
    let mut world = World::new(pool).await;
    offer(&world, "twin", "PROCESSING", 1);
    world.writer.drain().await;
    world
        .sql(
            r#"create table twin as select * from event;
               delete from event; delete from sighting; delete from payload; delete from "order""#,
        )
        .await;
    let tx = hold(&world, "insert into event select * from twin").await;
    let (intake, writer, _folder) = world.another_writer();
    (world.intake, world.writer) = (intake, writer);
    offer(&world, "twin", "PROCESSING", 1);
    for number in 0..10 {
        offer(&world, &format!("free-{number}"), "PROCESSING", 2);
    }
    world.writer.drain().await;
    assert_eq!(world.count("event").await, 10);
    drop(tx);
    world.writer.drain().await;
    assert_eq!(world.count("event").await, 11);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_partner_whose_quarantine_is_locked_keeps_nobody_elses_messages_waiting(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.intake.offer(world.heard("unsigned 1")).unwrap();
    world.writer.drain().await;
    let tx = hold(&world, "select from quarantine_usage for update").await;
    for number in 2..6 {
        world.intake.offer(world.heard(&format!("unsigned {number}"))).unwrap();
    }
    offer(&world, "free", "PROCESSING", 2);
    let nobodys = transak_relay::intake::Heard { partner_id: None, ..world.heard("nobody's") };
    world.intake.offer(nobodys).unwrap();
    world.writer.drain().await;
    assert_eq!((world.count("event").await, world.count("quarantine").await), (1, 2));
    drop(tx);
    world.writer.drain().await;
    assert_eq!(world.count("quarantine").await, 6);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_locked_table_sends_everything_to_disk_and_nothing_to_quarantine(pool: PgPool) {
    let mut world = World::new(pool).await;
    let tx = hold(&world, r#"lock table "order" in access exclusive mode"#).await;
    offer(&world, "o1", "PROCESSING", 1);
    offer(&world, "o2", "PROCESSING", 1);
    world.writer.write_next().await;
    world.writer.write_next().await;
    drop(tx);
    assert_eq!((world.count("event").await, world.count("quarantine").await), (0, 0));
    world.writer.drain().await;
    assert_eq!(world.count("event").await, 2);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_endpoint_that_somebody_has_locked_keeps_no_other_result_from_being_written(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (failing, _) = world.endpoint(json!({ "description": "locked" })).await;
    failing.answer(Answer { status: StatusCode::INTERNAL_SERVER_ERROR, ..Answer::default() });
    let (_fine, _) = world.endpoint(json!({})).await;
    offer(&world, "o1", "PROCESSING", 1);
    world.writer.drain().await;
    let tx = hold(&world, "select from endpoint where description = 'locked' for no key update").await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(world.in_state("succeeded").await, 1);
    drop(tx);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_locked_order_keeps_nothing_else_from_being_tidied(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.hear("nonsense").await;
    offer(&world, "locked", "COMPLETED", 1);
    world.writer.drain().await;
    let tx = hold(&world, r#"select from "order" for update"#).await;
    let mut maintenance = Maintenance::new(world.pool.clone(), Some(Duration::from_hours(24)));
    let later = Utc::now() + TimeDelta::days(3);
    let report = maintenance.run_once(later).await.unwrap().unwrap();
    assert_eq!((report.orders, report.rows), (0, 1), "{report:?}");
    assert_eq!((world.count("quarantine").await, world.count(r#""order""#).await), (0, 1));
    drop(tx);
    let report = maintenance.run_once(later).await.unwrap().unwrap();
    assert_eq!((report.orders, report.put_off), (1, 0), "{report:?}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_database_that_falls_silent_is_left_once_new_connections_work(pool: PgPool) {
    let mut world = World::new(pool).await;
    let options = world.pool.connect_options();
    let hush = Hush::before(&options).await;
    let far = pool_options().max_connections(3).connect_with(hush.options(&options)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 1 << 24).unwrap();
    (world.intake, world.writer) =
        Writer::new(parts::intake(&far, world.directory.subscribe(), (spool, None)));
    offer(&world, "before", "PROCESSING", 1);
    world.writer.drain().await;
    assert_eq!(world.count("event").await, 1);
    hush.fall_silent();
    let heard = world.heard(&world.signed(&order("during", "PROCESSING", 1)));
    let intake = world.intake.clone();
    // An hour passes at once when everybody waits.
    tokio::time::pause();
    let kept = async { tokio::join!(intake.keep(heard), world.writer.write_next()).0 };
    assert_eq!(timeout(Duration::from_hours(1), kept).await, Ok(Ok(Fate::Spooled)));
    let idle_ones_are_left = timeout(Duration::from_hours(1), world.writer.drain()).await;
    assert!(idle_ones_are_left.is_ok());
    tokio::time::resume();
    world.writer.drain().await;
    assert_eq!(world.count("event").await, 2);
}
