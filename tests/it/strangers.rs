//! What strangers send to the open webhook, and what whoever is authentic notices of it.

use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use transak_relay::sandbox::signing;
use transak_relay::store::event::keep::MOST_SIGHTINGS;
use transak_relay::store::pool::MIGRATOR;

use crate::world::{World, order};

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_webhook_that_verifies_and_can_be_put_nowhere_is_not_answered_200(pool: PgPool) {
    let mut world = World::new(pool).await;
    world
        .sql("insert into quarantine_usage (partner_id, messages, bytes) select partner_id, 10000, 0 from partner")
        .await;
    let path = format!("/ingest/transak/{}", world.partner);
    let body = json!({ "data": world.signed("{}") });
    let (status, _) = world.post_while_writing(&path, body.clone()).await;
    assert_eq!((status, world.count("quarantine").await), (StatusCode::SERVICE_UNAVAILABLE, 0));
    let (status, _) = world.post_while_writing(&path, json!({ "data": "a stranger" })).await;
    assert_eq!(
        (status, world.count("quarantine").await),
        (StatusCode::UNAUTHORIZED, 1),
        "strangers have another"
    );
    world.sql("delete from quarantine_usage").await;
    let (status, answer) = world.post_while_writing(&path, body).await;
    assert_eq!((status, &answer["result"]), (StatusCode::OK, &json!("quarantined")));
}

/// A partner that is registered now, with what its first webhook says.
async fn newcomer(world: &World, api_key: &str) -> (String, serde_json::Value) {
    let token = signing::access_token(api_key, chrono::Utc::now().timestamp(), 604_800).unwrap();
    let shown = secrecy::ExposeSecret::expose_secret(&token).to_owned();
    let new = json!({ "name": "n", "environment": "STAGING", "apiKey": api_key, "accessToken": shown });
    let (_, made) = world.call("POST", "/v1/partners", Some(new)).await;
    let said = signing::sign(&token, &order(api_key, "COMPLETED", 1)).unwrap();
    (made["id"].as_str().unwrap().to_owned(), json!({ "data": said }))
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_first_webhook_of_a_partner_is_taken_as_soon_as_its_registration_is_answered(pool: PgPool) {
    let mut here = World::new(pool.clone()).await;
    let mut elsewhere = World::around(pool);
    let (id, said) = newcomer(&here, "one").await;
    let path = format!("/ingest/transak/{id}");
    let mut of_each = Vec::new();
    for process in [&mut here, &mut elsewhere] {
        let (status, answer) = process.post_while_writing(&path, said.clone()).await;
        of_each.push((status.as_u16(), answer["result"].clone()));
    }
    assert_eq!(of_each, [(200, json!("new")), (200, json!("sighted"))]);
    let next = signing::access_token("one", 1_900_000_000, 604_800).unwrap();
    let given = json!({ "accessToken": secrecy::ExposeSecret::expose_secret(&next) });
    assert_eq!(here.call("PATCH", &format!("/v1/partners/{id}"), Some(given)).await.0, StatusCode::OK);
    let said = json!({ "data": signing::sign(&next, &order("two", "COMPLETED", 1)).unwrap() });
    let (status, _) = here.post_while_writing(&path, said.clone()).await;
    assert_eq!(status, StatusCode::OK, "signed with the token that was just given");
    assert_eq!(here.call("DELETE", &format!("/v1/partners/{id}"), None).await.0, StatusCode::NO_CONTENT);
    let (status, _) = here.post_while_writing(&path, said).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn whoever_asks_again_and_again_for_partners_that_are_not_there_is_not_looked_up_each_time(
    pool: PgPool,
) {
    let mut world = World::new(pool).await;
    let mut answers = std::collections::BTreeMap::new();
    for _ in 0..200 {
        let path = format!("/ingest/transak/{}", transak_relay::model::id::PartnerId::new());
        let (status, _) = world.post_while_writing(&path, json!({ "data": "x" })).await;
        *answers.entry(status.as_u16()).or_insert(0) += 1;
    }
    assert!((50..100).contains(&answers[&404]) && answers.len() == 2, "{answers:?}");
    let path = format!("/ingest/transak/{}", world.partner);
    let said = json!({ "data": world.signed(&order("o1", "COMPLETED", 1)) });
    assert_eq!(
        world.post_while_writing(&path, said).await.0,
        StatusCode::OK,
        "who is authentic notices nothing"
    );
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_replayed_webhook_is_told_once_and_its_sightings_are_bounded(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (receiver, _) = world.endpoint(json!({})).await;
    let path = format!("/ingest/transak/{}", world.partner);
    let message = world.signed(&order("o1", "PROCESSING", 1));
    for _ in 0..30 {
        let (status, _) = world.post_while_writing(&path, json!({ "data": message })).await;
        assert_eq!(status, StatusCode::OK);
    }
    // In one batch, and from the other source.
    for _ in 0..30 {
        world.intake.offer(world.heard(&message)).unwrap();
    }
    world.writer.drain().await;
    world.dispatcher.drain().await.unwrap();
    let of_each: Vec<(String, i64)> =
        sqlx::query_as("select source::text, count(*) from sighting group by 1 order by 1")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    let most = ["stream", "webhook"].map(|source| (source.to_owned(), MOST_SIGHTINGS));
    assert_eq!(of_each, most);
    assert_eq!((world.count("event").await, receiver.arrivals().len()), (1, 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_new_event_that_comes_many_times_at_once_has_no_more_sightings_either(pool: PgPool) {
    let mut world = World::new(pool).await;
    let message = world.signed(&order("o1", "PROCESSING", 1));
    for _ in 0..100 {
        world.intake.offer(world.heard(&message)).unwrap();
    }
    world.writer.drain().await;
    assert_eq!((world.count("event").await, world.count("sighting").await), (1, MOST_SIGHTINGS));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_day_after_it_is_seen_again(pool: PgPool) {
    let mut world = World::new(pool).await;
    let message = world.signed(&order("o1", "PROCESSING", 1));
    for _ in 0..20 {
        world.hear(&message).await;
    }
    world.sql("update sighting set at = at - interval '25 hours'").await;
    world.hear(&message).await;
    assert_eq!(world.count("sighting").await, MOST_SIGHTINGS + 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_quarantine_is_listed_and_emptied_by_reason_source_and_time(pool: PgPool) {
    let mut world = World::new(pool).await;
    let path = format!("/ingest/transak/{}", world.partner);
    for number in 0..3 {
        world.post_while_writing(&path, json!({ "data": format!("junk {number}") })).await;
    }
    world.hear("junk of the stream").await;
    let unreadable = world.signed("{}");
    world.hear(&unreadable).await;
    let listed = async |world: &World, query: &str| {
        let (_, page) = world.call("GET", &format!("/v1/quarantine{query}"), None).await;
        page["data"].as_array().unwrap().len()
    };
    assert_eq!(listed(&world, "?reason=not_signed").await, 4);
    assert_eq!(listed(&world, "?reason=not_signed&source=webhook").await, 3);
    assert_eq!(listed(&world, "?before=2020-01-01T00:00:00Z").await, 0);
    let deleted = async |world: &World, query: &str| {
        let (status, answer) = world.call("DELETE", &format!("/v1/quarantine{query}"), None).await;
        (status, answer["deleted"].clone())
    };
    assert_eq!(deleted(&world, "?before=2020-01-01T00:00:00Z").await, (StatusCode::OK, json!(0)));
    assert_eq!(deleted(&world, "?reason=not_signed&source=webhook").await, (StatusCode::OK, json!(3)));
    assert_eq!(listed(&world, "").await, 2);
    assert_eq!(deleted(&world, "?reason=bad").await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(deleted(&world, "?rason=not_signed").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(deleted(&world, "").await, (StatusCode::OK, json!(2)));
    let usage: i64 = sqlx::query_scalar("select sum(messages)::bigint from quarantine_usage")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(usage, 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_message_is_deleted_by_its_id(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.hear("one").await;
    world.hear("other").await;
    let (_, page) = world.call("GET", "/v1/quarantine", None).await;
    let path = format!("/v1/quarantine/{}", page["data"][0]["id"].as_str().unwrap());
    assert_eq!(world.call("DELETE", &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(world.call("DELETE", &path, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.count("quarantine").await, 1);
}
