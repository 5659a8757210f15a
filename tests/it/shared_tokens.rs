//! An access token that two partners were registered with: nothing is kept under the wrong one without a word.

use axum::http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::model::id::PartnerId;
use transak_relay::model::seal::MasterKey;
use transak_relay::sandbox::signing::{access_token, sign};
use transak_relay::store::access_token;
use transak_relay::store::pool::MIGRATOR;
use transak_relay::store::quarantine::retry::partners_with_untried;

use crate::api::{Relay, keep_order};
use crate::api_webhooks::get;
use crate::world::{API_KEY, World, order};

/// A token that Transak makes for this API key.
fn token_of(api_key: &str) -> SecretString {
    access_token(api_key, chrono::Utc::now().timestamp(), 604_800).unwrap()
}

/// Registers a partner; with a token, if one is given.
async fn register(
    world: &World,
    (environment, api_key): (&str, &str),
    token: Option<&SecretString>,
) -> (StatusCode, Value) {
    let mut body = json!({ "name": "other", "environment": environment, "apiKey": api_key });
    if let Some(token) = token {
        body["accessToken"] = json!(token.expose_secret());
    }
    world.call("POST", "/v1/partners", Some(body)).await
}

/// Gives a partner a token as a process of an earlier version does, which does not ask whose it is.
async fn give(world: &World, partner: PartnerId, token: &SecretString) {
    let mut conn = world.pool.acquire().await.unwrap();
    access_token::add(&mut conn, &world.key, partner, token).await.unwrap();
    world.look_again().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_token_that_another_partner_has_is_refused_unless_it_names_this_one(pool: PgPool) {
    let world = World::new(pool).await;
    let theirs = world.access_token.clone();
    for key in [("STAGING", "another-key"), ("PRODUCTION", API_KEY)] {
        let (status, problem) = register(&world, key, Some(&theirs)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        assert_eq!(problem["errors"][0]["field"], "accessToken");
    }
    assert_eq!(world.count("partner").await, 1, "nothing of it is left");
    let (_, other) = register(&world, ("STAGING", "another-key"), None).await;
    let path = format!("/v1/partners/{}", other["id"].as_str().unwrap());
    let body = json!({ "accessToken": theirs.expose_secret() });
    assert_eq!(world.call("PATCH", &path, Some(body)).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    // The other way round: the first partner was given what is another's.
    let mistaken = token_of("another-key");
    give(&world, world.partner, &mistaken).await;
    let body = json!({ "accessToken": mistaken.expose_secret() });
    let (status, answer) = world.call("PATCH", &path, Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_two_partners_token_signs_is_put_aside_with_the_reason_until_one_of_them_forgets_it(
    pool: PgPool,
) {
    let mut world = World::new(pool).await;
    let (_, twin) = register(&world, ("PRODUCTION", API_KEY), None).await;
    let twin: PartnerId = twin["id"].as_str().unwrap().parse().unwrap();
    give(&world, twin, &world.access_token.clone()).await;
    let ours = world.partner;
    for partner in [ours, twin] {
        world.partner = partner;
        let message = world.signed(&order(&format!("of-{partner}"), "COMPLETED", 1));
        world.hear(&message).await;
    }
    assert_eq!((world.count("event").await, world.count("quarantine").await), (0, 2));
    let (_, aside) = world.call("GET", "/v1/quarantine", None).await;
    assert!(aside.to_string().contains("does not say whose it is"), "{aside}");

    let path = format!("/v1/partners/{twin}");
    assert_eq!(world.call("PATCH", &path, Some(json!({ "accessToken": null }))).await.0, StatusCode::OK);
    world.look_again().await;
    let mut conn = world.pool.acquire().await.unwrap();
    assert_eq!(partners_with_untried(&mut conn).await.unwrap(), [ours], "it is tried again by itself");
    world.partner = ours;
    let message = world.signed(&order("next", "COMPLETED", 1));
    world.hear(&message).await;
    assert_eq!(world.count("event").await, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_token_that_names_its_partner_verifies_for_that_one_alone_whoever_else_has_it(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (_, other) = register(&world, ("STAGING", "another-key"), None).await;
    let (ours, other) = (world.partner, other["id"].as_str().unwrap().parse().unwrap());
    give(&world, other, &world.access_token.clone()).await;
    for partner in [other, ours] {
        world.partner = partner;
        let message = sign(&world.access_token, &order("o1", "COMPLETED", 1)).unwrap();
        world.hear(&message).await;
    }
    let kept: Vec<PartnerId> =
        sqlx::query_scalar("select partner_id from event").fetch_all(&world.pool).await.unwrap();
    assert_eq!((kept, world.count("quarantine").await), (vec![ours], 1));
}

#[sqlx::test]
async fn get_webhooks_is_refused_to_a_token_of_two_partners_and_says_so(pool: PgPool) {
    let relay = Relay::new(pool);
    let (ours, theirs) = (relay.tenant("a").await, relay.tenant("b").await);
    keep_order(&relay, &ours, "order-1", &["COMPLETED"]).await;
    keep_order(&relay, &theirs, "order-2", &["COMPLETED"]).await;
    let key = MasterKey::parse("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=").unwrap();
    let mut conn = relay.pool.acquire().await.unwrap();
    let (named, opaque) = (token_of("key-b"), SecretString::from("an-opaque-token"));
    for tenant in [&ours, &theirs] {
        access_token::add(&mut conn, &key, tenant.id.parse().unwrap(), &named).await.unwrap();
    }
    let rows = get(&relay, named.expose_secret(), "").await.rows();
    assert_eq!((rows.len(), &rows[0]["webhookData"]["id"]), (1, &json!("order-2")));
    for tenant in [&ours, &theirs] {
        access_token::add(&mut conn, &key, tenant.id.parse().unwrap(), &opaque).await.unwrap();
    }
    let refused = get(&relay, opaque.expose_secret(), "").await;
    assert_eq!(refused.status.as_u16(), 401, "{refused:?}");
    assert!(refused.text_at("/error/message").contains("Several partners"), "{refused:?}");
}
