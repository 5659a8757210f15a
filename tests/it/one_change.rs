//! One change of an order is one event and is told once, however it is heard: the message of it and the row of the order's
//! history, by two processes at once.

use std::pin::pin;

use bytes::Bytes;
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::intake::{Form, Heard};
use transak_relay::model::event::Source;
use transak_relay::store::pool::MIGRATOR;

use crate::world::{World, order};

/// What REST's history tells, a moment after the message.
fn row(world: &World, order_id: &str, status: &str, minute: u32) -> Heard {
    let mut row: Value = serde_json::from_str(&order(order_id, status, minute)).unwrap();
    row["updatedAt"] = json!(format!("2025-04-04T13:{minute:02}:48.774Z"));
    let data = Bytes::from(row.to_string());
    Heard { source: Source::Reconcile, form: Form::History, data, ..world.heard("") }
}

/// How many events of an order and status there are, and how many deliveries of them.
async fn told(world: &World, order_id: &str, status: &str) -> (i64, i64) {
    let (events, deliveries) = sqlx::query_as(
        "select count(distinct event_id), count(delivery_id)
         from event left join delivery using (partner_id, event_id)
         where event.order_id = $1 and status = $2",
    )
    .bind(order_id)
    .bind(status)
    .fetch_one(&world.pool)
    .await
    .unwrap();
    (events, deliveries)
}

/// Waits until so many sessions wait for locks of others.
async fn until_blocked(pool: &PgPool, sessions: i64) {
    let blocked = "select count(*) from pg_stat_activity
                   where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0";
    while sqlx::query_scalar::<_, i64>(blocked).fetch_one(pool).await.unwrap() < sessions {
        tokio::task::yield_now().await;
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_row_and_the_message_of_one_change_in_one_batch_are_one_event(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (_receiver, _) = world.endpoint(json!({})).await;
    for message_first in [true, false] {
        let id = format!("o-{message_first}");
        let message = world.heard(&world.signed(&order(&id, "PROCESSING", 1)));
        let mut batch = [message, row(&world, &id, "PROCESSING", 1)];
        if !message_first {
            batch.reverse();
        }
        for heard in batch {
            world.intake.offer(heard).unwrap();
        }
        world.writer.drain().await;
        assert_eq!(told(&world, &id, "PROCESSING").await, (1, 1), "the message first: {message_first}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_row_and_the_message_of_one_change_are_one_event_when_two_processes_wait_for_the_order(
    pool: PgPool,
) {
    let mut world = World::new(pool).await;
    let (_receiver, _) = world.endpoint(json!({})).await;
    let (intake, mut writer, _spool) = world.another_writer();
    world.hear(&world.signed(&order("o1", "AWAITING_PAYMENT_FROM_USER", 1))).await;
    world.hear(&world.signed(&order("o1", "PENDING_DELIVERY_FROM_TRANSAK", 9))).await;
    let mut held = world.pool.begin().await.unwrap();
    sqlx::query(r#"select from "order" for update"#).execute(&mut *held).await.unwrap();
    intake.offer(row(&world, "o1", "PROCESSING", 5)).unwrap();
    let message = world.heard(&world.signed(&order("o1", "PROCESSING", 5)));
    world.intake.offer(message).unwrap();
    let other = async {
        until_blocked(&world.pool, 1).await;
        let mut mine = pin!(world.writer.drain());
        tokio::select! {
            () = until_blocked(&world.pool, 2) => {
                held.rollback().await.unwrap();
                mine.await;
            }
            () = &mut mine => held.rollback().await.unwrap(),
        }
    };
    tokio::join!(writer.drain(), other);
    assert_eq!(told(&world, "o1", "PROCESSING").await, (1, 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_row_and_the_message_of_an_order_that_nobody_knew_are_one_event_when_two_processes_make_it(
    pool: PgPool,
) {
    let mut world = World::new(pool).await;
    let (_receiver, _) = world.endpoint(json!({})).await;
    let (intake, mut writer, _spool) = world.another_writer();
    // Somebody is about to make the order too: both have read that there is none when they find out.
    let mut held = world.pool.begin().await.unwrap();
    sqlx::query(
        r#"insert into "order" (partner_id, order_id, status, status_at, verified, created_at, updated_at,
                                snapshot_event_id, snapshot_received_at, snapshot_at)
           values ($1, 'o1', 'PROCESSING', now(), true, now(), now(), gen_random_uuid(), now(), now())"#,
    )
    .bind(world.partner.uuid())
    .execute(&mut *held)
    .await
    .unwrap();
    intake.offer(row(&world, "o1", "PROCESSING", 5)).unwrap();
    world.intake.offer(world.heard(&world.signed(&order("o1", "PROCESSING", 5)))).unwrap();
    let release = async {
        until_blocked(&world.pool, 2).await;
        held.rollback().await.unwrap();
    };
    tokio::join!(writer.drain(), world.writer.drain(), release);
    assert_eq!(told(&world, "o1", "PROCESSING").await, (1, 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_message_that_comes_after_its_row_is_shown_as_it_came(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.intake.offer(row(&world, "o1", "PROCESSING", 1)).unwrap();
    world.writer.drain().await;
    let mut message: Value = serde_json::from_str(&order("o1", "PROCESSING", 1)).unwrap();
    message["transactionHash"] = json!("0xREAL");
    world.hear(&world.signed(&message.to_string())).await;
    let (_, events) = world.call("GET", "/v1/events?orderId=o1", None).await;
    assert_eq!(events["data"].as_array().unwrap().len(), 1);
    let id = events["data"][0]["id"].as_str().unwrap();
    let (_, event) = world.call("GET", &format!("/v1/events/{id}"), None).await;
    assert_eq!((&event["payload"], &event["occurredAt"]), (&message, &json!("2025-04-04T13:01:48.374Z")));
    let (_, kept) = world.call("GET", "/v1/orders/o1", None).await;
    assert_eq!(kept["order"], message);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_second_visit_to_a_status_that_only_a_row_told_of_is_told(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (_receiver, _) = world.endpoint(json!({})).await;
    let pending = "PENDING_DELIVERY_FROM_TRANSAK";
    world.intake.offer(row(&world, "o1", pending, 1)).unwrap();
    world.writer.drain().await;
    world.hear(&world.signed(&order("o1", "ON_HOLD_PENDING_DELIVERY_FROM_TRANSAK", 20))).await;
    world.hear(&world.signed(&order("o1", pending, 40))).await;
    assert_eq!(told(&world, "o1", pending).await, (2, 2));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_user_who_is_verified_twice_in_the_same_words_is_told_of_twice(pool: PgPool) {
    let mut world = World::new(pool).await;
    let kyc = r#"{"kycStatus":"SUBMITTED","eventID":"KYC_SUBMITTED","partnerUserId":"u1"}"#;
    let at = |minute| format!("2025-04-04T13:0{minute}:00.000Z");
    for (claims, events) in [
        (format!(r#"{{"webhookData":{kyc},"createdAt":"{}"}}"#, at(1)), 1),
        (format!(r#"{{"webhookData":{kyc},"createdAt":"{}"}}"#, at(2)), 2),
        (format!(r#"{{"createdAt":"{}","data":{kyc}}}"#, at(2)), 2),
        (format!(r#"{{"data":{kyc}}}"#), 3),
        (kyc.to_owned(), 3),
    ] {
        world.hear_from(Source::Webhook, Form::Signed, &world.signed(&claims)).await;
        assert_eq!((world.count("event").await, world.count("quarantine").await), (events, 0), "{claims}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_kyc_event_kept_by_the_version_before_is_known_again(pool: PgPool) {
    let mut world = World::new(pool).await;
    let kyc = r#"{"kycStatus":"APPROVED","eventID":"KYC_APPROVED","partnerUserId":"u1"}"#;
    let plain = world.signed(kyc);
    let dated = world.signed(&format!(r#"{{"webhookData":{kyc},"createdAt":"2025-04-04T13:01:00.000Z"}}"#));
    // As that version kept the second: without its time in the identity.
    world.hear(&plain).await;
    world.sql("update event set occurred_at = '2025-04-04T13:01:00Z'").await;
    world.sql(include_str!("../../migrations/0020_identity_of_kyc_events.sql")).await;
    world.hear(&dated).await;
    assert_eq!((world.count("event").await, world.count("sighting").await), (1, 2));
}
