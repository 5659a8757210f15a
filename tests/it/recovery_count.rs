//! How much a recovery is about: counted up to a bound.

use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use transak_relay::model::recovery::RecoveryScope;
use transak_relay::store::pool::MIGRATOR;
use transak_relay::store::recovery::{Count, MOST_LOOKED_AT, Span, count};

use crate::hot_path::entries_read;
use crate::queue_recovery::{SINCE, recover, shown};
use crate::stub::Stub;
use crate::world::World;

/// So many events that were heard a day ago, nobody told of them.
async fn fill(world: &World, events: i64) {
    for statement in [
        "insert into event (partner_id, event_id, order_id, event, status, identity, occurred_at, received_at)
         select $1, (lpad(to_hex((extract(epoch from now()) * 1000)::bigint - 86400000), 12, '0') || '7000'
                     || lpad(to_hex(n), 16, '0'))::uuid,
                'many-' || n, 'ORDER_PROCESSING', 'PROCESSING', uuid_send(uuid_in(md5('e' || n)::cstring)),
                now() - interval '1 day', now() - interval '1 day'
         from generate_series(1, $2) as n",
        "insert into payload (partner_id, event_id, received_at, body)
         select partner_id, event_id, received_at, '{}' from event where partner_id = $1 and $2 > 0",
    ] {
        sqlx::query(statement).bind(world.partner).bind(events).execute(&world.pool).await.unwrap();
    }
    world.sql("analyze").await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_a_recovery_is_about_is_counted_up_to_a_bound_and_says_so(pool: PgPool) {
    let world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({})).await;
    fill(&world, 3 * MOST_LOOKED_AT).await;
    let path = format!("/v1/endpoints/{}/recover", endpoint["id"].as_str().unwrap());
    for only in ["all", "missing"] {
        let dry = json!({ "since": SINCE, "only": only, "dryRun": true });
        let counted = json!({ "total": MOST_LOOKED_AT, "totalIsAtLeast": true });
        assert_eq!(world.call("POST", &path, Some(dry)).await, (StatusCode::OK, counted));
    }
    let mut tx = world.pool.begin().await.unwrap();
    let (since, until) = (chrono::DateTime::UNIX_EPOCH, chrono::Utc::now());
    let endpoint_id = endpoint["id"].as_str().unwrap().parse().unwrap();
    let before = entries_read(&mut tx).await;
    let span = Span { partner_id: world.partner, endpoint_id, since, until, scope: RecoveryScope::Failed };
    assert_eq!(count(&mut tx, &span).await.unwrap(), Count { total: 0, is_at_least: true });
    let read = entries_read(&mut tx).await - before;
    assert!(read < 3 * MOST_LOOKED_AT, "{read} index entries were read");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn once_a_recovery_is_finished_its_total_is_what_was_done(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.hear_many(3).await;
    let stub = Stub::always(StatusCode::OK).await;
    let endpoint = stub.register(&world, json!({})).await;
    let job = recover(&world, &endpoint, "missing").await;
    assert_eq!((&job["total"], &job["totalIsAtLeast"]), (&json!(3), &json!(false)));
    world.sql("update recovery set total = 2, total_is_at_least = true").await;
    world.dispatcher.drain().await.unwrap();
    let after = shown(&world, &job).await;
    assert_eq!(
        (&after["total"], &after["totalIsAtLeast"], &after["done"]),
        (&json!(3), &json!(false), &json!(3))
    );
}
