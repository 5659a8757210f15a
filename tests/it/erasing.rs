//! Erasing an order while something about it is under way, and what the quarantine says of it.

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::{mpsc, watch};
use transak_relay::intake::Heard;
use transak_relay::model::token::TokenHash;
use transak_relay::store::erasure::erase;
use transak_relay::store::pool::MIGRATOR;

use crate::heard_is_kept::allow_connections;
use crate::stub::Stub;
use crate::world::{World, order};

/// A receiver that says when it is asked, and answers once it may.
async fn slow(status: StatusCode) -> (Stub, mpsc::UnboundedReceiver<()>, watch::Sender<bool>) {
    let (asked, being_asked) = mpsc::unbounded_channel();
    let (may, answers) = watch::channel(false);
    let stub = Stub::start(move |_, _| {
        asked.send(()).unwrap();
        let mut answers = answers.clone();
        async move {
            answers.wait_for(|may| *may).await.unwrap();
            (status, "personal").into_response()
        }
    })
    .await;
    (stub, being_asked, may)
}

/// Has an order erased while its callback is under way, and answered with this status before the erasure commits, or
/// after.
async fn erase_during_a_callback(pool: &PgPool, status: StatusCode, answered_first: bool) {
    let mut world = World::new(pool.clone()).await;
    let (stub, mut being_asked, may) = slow(status).await;
    stub.register(&world, json!({})).await;
    let message = world.signed(&order("o1", "COMPLETED", 1));
    world.hear(&message).await;
    let (partner, World { dispatcher, .. }) = (world.partner, &mut world);
    let erasing = async {
        being_asked.recv().await.unwrap();
        let mut tx = pool.begin().await.unwrap();
        assert!(erase(&mut tx, (partner, "o1"), TokenHash::of("somebody")).await.unwrap());
        may.send_replace(answered_first);
        while answered_first && !somebody_waits_for_a_lock(pool).await {
            tokio::task::yield_now().await;
        }
        tx.commit().await.unwrap();
        may.send_replace(true);
    };
    let (drained, ()) = tokio::join!(dispatcher.drain(), erasing);
    drained.unwrap();
    assert_eq!(stub.count(), 1);
    for table in ["event", "\"order\"", "delivery", "payload", "sighting", "attempt"] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
}

async fn somebody_waits_for_a_lock(pool: &PgPool) -> bool {
    let waits = "select exists (select from pg_stat_activity
                                where datname = current_database() and wait_event_type = 'Lock')";
    sqlx::query_scalar(waits).fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_callback_that_succeeds_after_its_order_was_erased_leaves_nothing(pool: PgPool) {
    erase_during_a_callback(&pool, StatusCode::OK, false).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_callback_that_fails_after_its_order_was_erased_leaves_nothing(pool: PgPool) {
    erase_during_a_callback(&pool, StatusCode::INTERNAL_SERVER_ERROR, false).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_success_that_is_written_while_its_order_is_being_erased_leaves_nothing(pool: PgPool) {
    erase_during_a_callback(&pool, StatusCode::OK, true).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_failure_that_is_written_while_its_order_is_being_erased_leaves_nothing(pool: PgPool) {
    erase_during_a_callback(&pool, StatusCode::INTERNAL_SERVER_ERROR, true).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_result_that_is_being_written_when_its_order_is_erased_is_erased_with_it(pool: PgPool) {
    let mut world = World::new(pool.clone()).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({})).await;
    let message = world.signed(&order("o1", "COMPLETED", 1));
    world.hear(&message).await;
    // What a write-back does, up to its commit.
    let mut writing = pool.begin().await.unwrap();
    for statement in [
        "select from delivery for key share",
        "insert into attempt (partner_id, delivery_id, attempt_id, at, status_code, total_ms, request_headers)
         select partner_id, delivery_id, gen_random_uuid(), now(), 200, 1, '{}' from delivery",
    ] {
        sqlx::query(statement).execute(&mut *writing).await.unwrap();
    }
    let committing = async {
        while !somebody_waits_for_a_lock(&pool).await {
            tokio::task::yield_now().await;
        }
        writing.commit().await.unwrap();
    };
    let (erased, ()) = tokio::join!(world.call("DELETE", "/v1/orders/o1", None), committing);
    assert_eq!(erased.0, StatusCode::NO_CONTENT);
    assert_eq!((world.count("delivery").await, world.count("attempt").await), (0, 0));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn erasing_an_order_takes_the_messages_that_speak_of_it_and_no_others(pool: PgPool) {
    let mut world = World::new(pool).await;
    let token = std::mem::replace(&mut world.access_token, "a-token-that-is-not-known".into());
    let about = world.signed(&order("e", "REFUNDED", 9));
    let other = world.signed(&order("one-with-an-e", "REFUNDED", 9));
    for message in [&about, &other, &"garbage that is a frame of nobody e".to_owned()] {
        world.hear(message).await;
    }
    let wrapped = json!({ "data": about }).to_string();
    world.hear(&wrapped).await;
    world.access_token = token;
    let known = world.signed(&order("e", "PROCESSING", 1));
    world.hear(&known).await;
    assert_eq!(world.count("quarantine").await, 4);
    let (status, _) = world.call("DELETE", "/v1/orders/e", None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let left: Vec<String> = sqlx::query_scalar("select convert_from(raw, 'UTF8') from quarantine order by 1")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    assert_eq!(left, [other, "garbage that is a frame of nobody e".to_owned()]);
    let counted: i32 =
        sqlx::query_scalar("select quarantined from erasure").fetch_one(&world.pool).await.unwrap();
    assert_eq!(counted, 2);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_the_relay_told_of_an_erased_order_goes_with_it_whichever_version_told_it(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::NOT_FOUND).await;
    stub.register(&world, json!({ "retrySchedule": [] })).await;
    let told = Stub::always(StatusCode::OK).await;
    told.register(&world, json!({ "events": ["relay.delivery.exhausted"] })).await;
    for id in ["o1", "o2", "another"] {
        let message = world.signed(&order(id, "COMPLETED", 1));
        world.hear(&message).await;
    }
    world.dispatcher.drain().await.unwrap();
    world.dispatcher.drain().await.unwrap();
    assert_eq!((told.count(), world.events("relay.delivery.exhausted").await.len()), (3, 3));
    world.sql("update event set about_order_id = null where about_order_id = 'o2'").await;
    for id in ["o1", "o2"] {
        assert_eq!(world.call("DELETE", &format!("/v1/orders/{id}"), None).await.0, StatusCode::NO_CONTENT);
    }
    for table in ["payload", "attempt", "delivery", "event"] {
        assert_eq!(world.count(table).await, 2, "{table}: the other order's event and what was told of it");
    }
    let left: Vec<String> = sqlx::query_scalar("select convert_from(body, 'UTF8') from payload")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    assert!(left.iter().all(|body| body.contains("\"another\"")), "{left:?}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_no_token_verifies_and_waits_on_disk_is_forgotten_with_the_order_that_it_speaks_of(
    pool: PgPool,
) {
    let mut world = World::new(pool).await;
    let known = world.signed(&order("o1", "PROCESSING", 1));
    world.hear(&known).await;
    let token = std::mem::replace(&mut world.access_token, "a-token-that-is-not-known".into());
    let (about, other) =
        (world.signed(&order("o1", "COMPLETED", 2)), world.signed(&order("o2", "COMPLETED", 2)));
    world.access_token = token;
    let options = world.pool.connect_options();
    allow_connections(&options, false).await;
    for message in [&about, &other] {
        world.hear(message).await;
    }
    // Nobody's, and about the order.
    let heard = Heard { partner_id: None, ..world.heard(&about) };
    world.intake.offer(heard).unwrap();
    world.writer.drain().await;
    assert!(world.writer.health().borrow().spooled_bytes > 0);
    allow_connections(&options, true).await;
    assert_eq!(world.call("DELETE", "/v1/orders/o1", None).await.0, StatusCode::NO_CONTENT);
    world.writer.drain().await;
    assert_eq!(world.writer.health().borrow().spooled_bytes, 0);
    let left: Vec<String> = sqlx::query_scalar("select convert_from(raw, 'UTF8') from quarantine")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    assert_eq!(left, [other]);
    world.hear(&about).await;
    assert_eq!(world.count("quarantine").await, 2, "what is heard afterwards is put aside as ever");
}
