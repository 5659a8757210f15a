//! The quarantine over HTTP: listed, read, tried again one by one or all.

use axum::http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::store::pool::MIGRATOR;

use crate::world::{World, order};

async fn listed(world: &World) -> Vec<Value> {
    let (_, page) = world.call("GET", "/v1/quarantine", None).await;
    page["data"].as_array().unwrap().clone()
}

/// Calls while the intake writes.
async fn post(world: &mut World, path: &str) -> (StatusCode, Value) {
    world.post_while_writing(path, json!({})).await
}

/// An access token that the relay is given later.
/// A token of the partner's key.
const LATER: &str = "e30.eyJBUElfS0VZIjoiMTExMTExMTEtMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDAwIn0.later";

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_the_database_refused_is_kept_as_it_came_and_an_event_once_it_is_taken(pool: PgPool) {
    let mut world = World::new(pool).await;
    world
        .sql(
            "create function refuse() returns trigger language plpgsql as $$
             begin raise exception 'no' using errcode = '22001'; end $$;
             create trigger refuses before insert on payload for each row execute function refuse()",
        )
        .await;
    let message = world.signed(&order("o1", "COMPLETED", 1));
    world.hear(&message).await;
    let one = listed(&world).await.remove(0);
    assert_eq!((&one["reason"], &one["raw"]), (&json!("refused"), &json!(message)));
    assert_eq!(one["detail"], json!("the database refused it"));
    let path = format!("/v1/quarantine/{}/retry", one["id"].as_str().unwrap());
    let (status, answer) = post(&mut world, &path).await;
    assert_eq!(
        (status, answer),
        (
            StatusCode::OK,
            json!({ "result": "stays", "reason": "refused", "detail": "the database refused it" })
        )
    );
    world.sql("drop function refuse() cascade").await;
    let (_, answer) = post(&mut world, &path).await;
    assert_eq!(answer["result"], json!("kept"));
    let (_, events) = world.call("GET", "/v1/events", None).await;
    let sighting = &events["data"][0]["sightings"][0];
    assert_eq!((&sighting["source"], &sighting["verified"]), (&json!("stream"), &json!(true)));
    assert!(listed(&world).await.is_empty());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_message_is_read_by_its_id_and_all_are_tried_again_at_once(pool: PgPool) {
    let mut world = World::new(pool).await;
    let token = std::mem::replace(&mut world.access_token, LATER.into());
    for number in 0..20 {
        let message = world.signed(&order(&format!("o{number}"), "COMPLETED", 1));
        world.hear(&message).await;
    }
    world.access_token = token;
    world.hear("nonsense").await;
    let newest = listed(&world).await.remove(0);
    let path = format!("/v1/quarantine/{}", newest["id"].as_str().unwrap());
    assert_eq!(world.call("GET", &path, None).await, (StatusCode::OK, newest));
    let all = post(&mut world, "/v1/quarantine/retry").await;
    assert_eq!(all, (StatusCode::OK, json!({ "kept": 0, "stay": 21 })));
    let patch = json!({ "accessToken": LATER });
    let partner = format!("/v1/partners/{}", world.partner);
    assert_eq!(world.call("PATCH", &partner, Some(patch)).await.0, StatusCode::OK);
    world.look_again().await;
    let all = post(&mut world, "/v1/quarantine/retry").await;
    assert_eq!(all, (StatusCode::OK, json!({ "kept": 20, "stay": 1 })));
    assert_eq!((world.count("event").await, listed(&world).await.len()), (20, 1));
    let (status, _) = world.call("GET", "/v1/quarantine/qtn_00000000000000000000000000000000", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_token_that_ends_within_a_day_is_told_to_the_partner_and_to_whoever_asks_for_readiness(
    pool: PgPool,
) {
    let world = World::new(pool).await;
    let path = format!("/v1/partners/{}", world.partner);
    let worry = async || world.call("GET", &path, None).await.1["accessTokenWorry"].clone();
    assert_eq!(worry().await, Value::Null);
    assert_eq!(world.call("GET", "/readyz", None).await.1["warnings"], json!([]));
    world.sql("update access_token set expires_at = now() + interval '23 hours'").await;
    let text = worry().await;
    let text = text.as_str().unwrap();
    assert!(text.starts_with("the access token ends at 20") && text.contains("no API secret"), "{text}");
    let (status, ready) = world.call("GET", "/readyz", None).await;
    assert_eq!(
        (status, &ready["ready"]),
        (StatusCode::OK, &json!(true)),
        "it is no reason to take traffic away"
    );
    assert_eq!(ready["warnings"][0]["code"], json!("access_tokens_end"));
    world
        .sql("update partner set token_refresh_failures = 1, token_last_error = 'no' , api_secret = 'x'")
        .await;
    assert!(worry().await.as_str().unwrap().ends_with("and could not be replaced: no"));
}
