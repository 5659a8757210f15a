//! Small for ever: partitions come and go, what is over goes, what is still needed stays.

use std::time::Duration;

use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::PgPool;
use transak_relay::maintenance::{Maintenance, Report};
use transak_relay::store::maintenance_lock::Turn;
use transak_relay::store::pool::MIGRATOR;

use crate::world::{World, order};

const DAY: Duration = Duration::from_hours(24);

/// What a partner of some size leaves behind, table by table.
const GROWING: [&str; 6] = ["event", "\"order\"", "delivery", "payload", "sighting", "attempt"];

async fn run(world: &World, kept: Duration, days_later: i64) -> Report {
    let mut maintenance = Maintenance::new(world.pool.clone(), Some(kept));
    maintenance.run_once(in_days(days_later)).await.unwrap().unwrap()
}

fn in_days(days: i64) -> DateTime<Utc> {
    Utc::now() + TimeDelta::days(days)
}

/// An order's life, told.
async fn live(world: &mut World, id: &str, statuses: &[&str]) {
    for (minute, status) in (0..).zip(statuses) {
        let message = world.signed(&order(id, status, minute));
        world.hear(&message).await;
    }
    world.dispatcher.drain().await.unwrap();
}

async fn counts(world: &World) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in GROWING {
        counts.push(world.count(table).await);
    }
    counts
}

async fn partitions(world: &World) -> Vec<String> {
    let names = "select c.relname::text from pg_inherits join pg_class c on c.oid = inhrelid
                 join pg_class p on p.oid = inhparent where p.relkind = 'p' order by 1";
    sqlx::query_scalar(names).fetch_all(&world.pool).await.unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn partitions_are_made_a_week_ahead_and_what_is_heard_lands_in_them(pool: PgPool) {
    let mut world = World::new(pool).await;
    assert_eq!(run(&world, 90 * DAY, 0).await.made, 3 * 8);
    assert_eq!(run(&world, 90 * DAY, 0).await, Report::default(), "a second run finds nothing to do");
    let _receiver = world.endpoint(json!({})).await;
    live(&mut world, "o1", &["COMPLETED"]).await;
    assert_eq!(counts(&world).await, [1, 1, 1, 1, 1, 1]);
    for table in ["attempt_default", "payload_default", "sighting_default"] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_over_goes_with_its_partitions_and_not_a_day_too_soon(pool: PgPool) {
    let mut world = World::new(pool).await;
    run(&world, 90 * DAY, 0).await;
    let _receiver = world.endpoint(json!({})).await;
    live(&mut world, "o1", &["PROCESSING", "COMPLETED"]).await;
    run(&world, 90 * DAY, 89).await;
    assert_eq!(counts(&world).await, [2, 1, 2, 2, 2, 2]);
    let before = partitions(&world).await;
    let report = run(&world, 90 * DAY, 93).await;
    assert_eq!(report.orders, 1);
    assert!(report.dropped >= 3, "{report:?}");
    assert_eq!(counts(&world).await, [0; 6]);
    let today = Utc::now().format("p%Y%m%d").to_string();
    let after = partitions(&world).await;
    assert_eq!(before.iter().filter(|name| name.ends_with(&today)).count(), 3);
    assert_eq!(after.iter().filter(|name| name.ends_with(&today)).count(), 0, "{after:?}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_that_is_not_over_is_kept_whole_long_after_the_age(pool: PgPool) {
    let mut world = World::new(pool).await;
    run(&world, 90 * DAY, 0).await;
    let _receiver = world.endpoint(json!({})).await;
    live(&mut world, "o1", &["PROCESSING"]).await;
    let report = run(&world, 90 * DAY, 400).await;
    assert_eq!(report.orders, 0);
    assert!(report.dropped > 0);
    assert_eq!(counts(&world).await, [1; 6]);
    let (_, kept) = world.call("GET", "/v1/orders/o1", None).await;
    assert_eq!(kept["order"]["id"], json!("o1"), "its payload is still read");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_still_owed_is_kept_and_sent_however_old_it_is(pool: PgPool) {
    let mut world = World::new(pool).await;
    run(&world, 90 * DAY, 0).await;
    let (receiver, endpoint) = world.endpoint(json!({})).await;
    let id = endpoint["id"].as_str().unwrap().to_owned();
    let (status, _) = world.call("POST", &format!("/v1/endpoints/{id}/disable"), None).await;
    assert!(status.is_success());
    live(&mut world, "o1", &["COMPLETED"]).await;
    run(&world, 90 * DAY, 400).await;
    assert_eq!(world.count("delivery where state = 'held'").await, 1);
    world.call("POST", &format!("/v1/endpoints/{id}/enable"), None).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(receiver.arrivals().len(), 1);
    // Answered: now it goes, and with it what had been moved out of the dropped partitions.
    run(&world, 90 * DAY, 401).await;
    assert_eq!(counts(&world).await, [0; 6]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_owed_keeps_its_payload_though_it_was_heard_a_partition_before_it_was_kept(pool: PgPool) {
    let mut world = World::new(pool).await;
    run(&world, 90 * DAY, -5).await;
    let (receiver, endpoint) = world.endpoint(json!({})).await;
    let id = endpoint["id"].as_str().unwrap().to_owned();
    world.call("POST", &format!("/v1/endpoints/{id}/disable"), None).await;
    // Heard five days ago, and kept now that a token verifies it: its id is of today, its payload of that day.
    let message = world.signed(&order("o1", "COMPLETED", 1));
    let heard = transak_relay::intake::Heard { at: in_days(-5), ..world.heard(&message) };
    world.intake.offer(heard).unwrap();
    world.writer.drain().await;
    let report = run(&world, 90 * DAY, 88).await;
    assert!(report.dropped >= 3, "{report:?}");
    assert_eq!(counts(&world).await, [2, 1, 1, 2, 1, 0], "with what was told of the endpoint");
    world.call("POST", &format!("/v1/endpoints/{id}/enable"), None).await;
    world.dispatcher.drain().await.unwrap();
    let arrived = receiver.arrivals();
    assert_eq!(arrived.len(), 1, "it is told with its payload");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_reader_that_holds_its_locks_puts_partitions_off_and_nothing_else(pool: PgPool) {
    let mut world = World::new(pool).await;
    run(&world, 90 * DAY, 0).await;
    world.hear("nonsense").await;
    live(&mut world, "o1", &["COMPLETED"]).await;
    let mut dump = world.pool.begin().await.unwrap();
    let lock = "lock table payload, sighting, attempt in access share mode";
    sqlx::query(lock).execute(&mut *dump).await.unwrap();
    let report = run(&world, 90 * DAY, 93).await;
    assert_eq!((report.made, report.dropped, report.put_off), (0, 0, 6), "{report:?}");
    assert_eq!((report.orders, world.count("quarantine").await), (1, 0), "{report:?}");
    dump.rollback().await.unwrap();
    let report = run(&world, 90 * DAY, 93).await;
    assert!(report.made == 3 * 8 && report.dropped >= 3 && report.put_off == 0, "{report:?}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn rows_that_came_before_their_partition_are_drained_by_age(pool: PgPool) {
    let mut world = World::new(pool).await;
    let _receiver = world.endpoint(json!({})).await;
    live(&mut world, "o1", &["COMPLETED"]).await;
    assert_eq!(world.count("payload_default").await, 1);
    assert_eq!(run(&world, 90 * DAY, 0).await.made, 3 * 7, "not the day that has rows already");
    run(&world, 90 * DAY, 91).await;
    assert_eq!(counts(&world).await, [0; 6]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn retention_of_minutes_has_partitions_of_minutes(pool: PgPool) {
    let mut world = World::new(pool).await;
    let kept = Duration::from_mins(3);
    let mut maintenance = Maintenance::new(world.pool.clone(), Some(kept));
    assert_eq!(maintenance.run_once(Utc::now()).await.unwrap().unwrap().made, 3 * 16);
    live(&mut world, "o1", &["COMPLETED"]).await;
    let later = Utc::now() + TimeDelta::minutes(6);
    let report = maintenance.run_once(later).await.unwrap().unwrap();
    assert_eq!(report.orders, 1);
    assert!(report.dropped >= 3, "{report:?}");
    assert_eq!(counts(&world).await, [0; 6]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn without_retention_nothing_is_dropped(pool: PgPool) {
    let mut world = World::new(pool).await;
    live(&mut world, "o1", &["COMPLETED"]).await;
    let mut maintenance = Maintenance::new(world.pool.clone(), None);
    let report = maintenance.run_once(in_days(5_000)).await.unwrap().unwrap();
    assert_eq!((report.orders, report.dropped), (0, 0));
    assert_eq!(world.count("event").await, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn one_process_at_a_time_maintains(pool: PgPool) {
    let world = World::new(pool).await;
    let turn = Turn::take(&world.pool).await.unwrap().unwrap();
    let mut maintenance = Maintenance::new(world.pool.clone(), Some(DAY));
    assert_eq!(maintenance.run_once(Utc::now()).await.unwrap(), None);
    turn.end().await.unwrap();
    assert!(maintenance.run_once(Utc::now()).await.unwrap().is_some());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn old_messages_in_quarantine_gaps_and_expired_secrets_go(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (_, endpoint) = world.endpoint(json!({})).await;
    let id = endpoint["id"].as_str().unwrap();
    world
        .call("POST", &format!("/v1/endpoints/{id}/rotate-secret"), Some(json!({"overlapSeconds": 60})))
        .await;
    world.hear("nonsense").await;
    sqlx::query("insert into gap (partner_id, gap_id, started_at, ended_at, reason) values ($1, gen_random_uuid(), now(), now(), 'a'), ($1, gen_random_uuid(), now(), null, 'b')")
        .bind(world.partner).execute(&world.pool).await.unwrap();
    run(&world, 90 * DAY, 91).await;
    assert_eq!(world.count("quarantine").await, 0);
    assert_eq!(world.count("gap").await, 1, "the one that lasts is kept");
    assert_eq!(world.count("endpoint_secret").await, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_erased_order_is_nowhere_and_only_the_fact_is_kept(pool: PgPool) {
    let mut world = World::new(pool).await;
    run(&world, 90 * DAY, 0).await;
    let _receiver = world.endpoint(json!({})).await;
    let id = "aa39d8e1-0000-4000-8000-00000000ce7f";
    live(&mut world, id, &["PROCESSING", "COMPLETED"]).await;
    live(&mut world, "other", &["COMPLETED"]).await;
    // A message about it that nobody can verify.
    let strange =
        transak_relay::sandbox::signing::sign(&"another".into(), &order(id, "REFUNDED", 9)).unwrap();
    world.hear(&strange).await;
    assert_eq!(world.count("quarantine").await, 1);
    let (status, _) = world.call("DELETE", &format!("/v1/orders/{id}"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(counts(&world).await, [1; 6], "the other order is untouched");
    assert_eq!(world.count("quarantine").await, 0);
    let record: (String, i32, i32, i32, i32, i32) =
        sqlx::query_as("select order_id, events, deliveries, attempts, sightings, quarantined from erasure")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(record, (id.to_owned(), 2, 2, 2, 2, 1));
    for (method, path) in [("GET", format!("/v1/orders/{id}")), ("DELETE", format!("/v1/orders/{id}"))] {
        assert_eq!(world.call(method, &path, None).await.0, StatusCode::NOT_FOUND);
    }
}
