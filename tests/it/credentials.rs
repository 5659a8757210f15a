//! Credentials are checked when they are given: their shape at once, their worth by asking Transak once.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::intake::credentials::Check;
use transak_relay::sandbox::signing::{access_token, sign};
use transak_relay::sandbox::{Upstream, UpstreamSettings};
use transak_relay::store::pool::MIGRATOR;
use transak_relay::transak::rest::{Settings, TransakRest};
use uuid::Uuid;

use crate::process::Around;
use crate::world::{API_KEY, World};

/// Asks this Transak about everything that is due; how many that were.
async fn look(world: &World, upstream: &Upstream) -> usize {
    let api_url = Some(upstream.rest().url().parse().unwrap());
    let rest = TransakRest::new(Settings { api_url, ..Settings::default() }).unwrap();
    let check = Check {
        pool: world.pool.clone(),
        key: world.key.clone(),
        rest: rest.into(),
        directory: world.directory.subscribe(),
    };
    check.look(Utc::now()).await.unwrap()
}

async fn upstream(world: &World) -> Upstream {
    Upstream::start_idle(UpstreamSettings::local(API_KEY, world.access_token.clone())).await.unwrap()
}

async fn credentials(world: &World) -> Value {
    world.call("GET", &format!("/v1/partners/{}", world.partner), None).await.1["credentials"].clone()
}

async fn give(world: &World, change: Value) -> (StatusCode, Value) {
    world.call("PATCH", &format!("/v1/partners/{}", world.partner), Some(change)).await
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_cannot_be_a_current_access_token_is_refused_when_it_is_given(pool: PgPool) {
    let world = World::new(pool).await;
    let ended = access_token(API_KEY, 1_700_000_000, 60).unwrap().expose_secret().to_owned();
    for (token, why) in [
        ("abc", "a JWT of three parts"),
        ("eyJ.eyJ.x", "a JWT of three parts"),
        (&ended, "ended at 2023-11-14T22:14:20Z"),
    ] {
        let (status, answer) = give(&world, json!({ "accessToken": token })).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        assert_eq!(answer["errors"][0]["field"], "accessToken");
        assert!(answer["errors"][0]["detail"].as_str().unwrap().contains(why), "{answer}");
        let new = json!({ "name": "n", "environment": "STAGING", "apiKey": "k", "accessToken": token });
        assert_eq!(world.call("POST", "/v1/partners", Some(new)).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_token_that_is_not_of_this_partners_key_is_refused_when_it_is_given(pool: PgPool) {
    let world = World::new(pool).await;
    let token = |claims: Value| {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode("{}"), URL_SAFE_NO_PAD.encode(claims.to_string()))
    };
    for (claims, why) in [
        (json!({ "API_KEY": Uuid::nil(), "exp": 1_900_000_000 }), "names another in its claim `API_KEY`"),
        (json!({ "exp": 1_900_000_000 }), "this one names none"),
        (json!({ "API_KEY": 7, "exp": 1_900_000_000 }), "this one names none"),
        (json!({ "API_KEY": API_KEY, "exp": "soon" }), "this one's is no number"),
        (json!({ "API_KEY": API_KEY, "exp": null }), "this one's is no number"),
    ] {
        let token = token(claims);
        let new =
            json!({ "name": "n", "environment": "PRODUCTION", "apiKey": API_KEY, "accessToken": token });
        for (status, answer) in [
            world.call("POST", "/v1/partners", Some(new)).await,
            give(&world, json!({ "accessToken": token })).await,
            give(&world, json!({ "apiKey": API_KEY, "accessToken": token })).await,
        ] {
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
            assert_eq!(answer["errors"][0]["field"], "accessToken");
            let detail = answer["errors"][0]["detail"].as_str().unwrap();
            assert!(detail.contains(why) && detail.contains("refresh-token"), "{detail}");
        }
    }
    assert_eq!((world.count("partner").await, world.count("access_token").await), (1, 1));
    let no_key = token(json!({ "API_KEY": "not-a-key-of-transaks", "exp": 1_900_000_000 }));
    assert_eq!(give(&world, json!({ "accessToken": no_key })).await.0, StatusCode::OK, "it is judged later");
    let of_the_next = access_token("next-key", Utc::now().timestamp(), 604_800).unwrap();
    let both = json!({ "apiKey": "next-key", "accessToken": of_the_next.expose_secret() });
    assert_eq!(give(&world, both).await.0, StatusCode::OK);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn transak_is_asked_once_about_each_token_and_what_it_said_is_shown(pool: PgPool) {
    let world = World::new(pool).await;
    let upstream = upstream(&world).await;
    let unchecked =
        json!({ "state": "unchecked", "checkedAt": null, "detail": "Transak has not been asked yet" });
    assert_eq!(credentials(&world).await, unchecked);
    assert_eq!((look(&world, &upstream).await, look(&world, &upstream).await), (1, 0));
    let shown = credentials(&world).await;
    assert_eq!((&shown["state"], &shown["detail"]), (&json!("valid"), &Value::Null));
    assert!(shown["checkedAt"].as_str().unwrap().starts_with("20"), "{shown}");

    let strange = access_token(API_KEY, Utc::now().timestamp(), 604_800).unwrap();
    let (status, given) = give(&world, json!({ "accessToken": strange.expose_secret() })).await;
    assert_eq!((status, &given["credentials"]["state"]), (StatusCode::OK, &json!("unchecked")));
    assert_eq!((look(&world, &upstream).await, look(&world, &upstream).await), (1, 0));
    let shown = credentials(&world).await;
    assert_eq!(shown["state"], "invalid");
    assert!(shown["detail"].as_str().unwrap().contains("does not accept the access token"), "{shown}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_accepted_token_of_another_api_key_is_a_warning_and_a_change_of_the_key_asks_anew(pool: PgPool) {
    let world = World::new(pool).await;
    let upstream = upstream(&world).await;
    let (status, _) = give(&world, json!({ "apiKey": "another-key" })).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(look(&world, &upstream).await, 1);
    let shown = credentials(&world).await;
    assert_eq!(shown["state"], "mismatched");
    assert!(shown["detail"].as_str().unwrap().contains("names another API key"), "{shown}");
    give(&world, json!({ "apiKey": API_KEY })).await;
    assert_eq!(credentials(&world).await["state"], "unchecked");
    assert_eq!(look(&world, &upstream).await, 1);
    assert_eq!(credentials(&world).await["state"], "valid");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn while_transak_does_not_answer_nothing_is_said_and_it_is_asked_again_later(pool: PgPool) {
    let world = World::new(pool).await;
    let upstream = upstream(&world).await;
    let gone =
        Upstream::start_idle(UpstreamSettings::local(API_KEY, world.access_token.clone())).await.unwrap();
    let url = gone.rest().url().parse().unwrap();
    gone.stop().await;
    let rest = TransakRest::new(Settings { api_url: Some(url), ..Settings::default() }).unwrap();
    let (pool, key, directory) = (world.pool.clone(), world.key.clone(), world.directory.subscribe());
    let check = Check { pool, key, rest: rest.into(), directory };
    assert_eq!(check.look(Utc::now()).await.unwrap(), 1);
    let shown = credentials(&world).await;
    assert_eq!(
        (&shown["state"], &shown["detail"]),
        (&json!("unchecked"), &json!("Transak's REST API does not answer right now"))
    );
    assert_eq!(look(&world, &upstream).await, 0, "not at once");
    world.sql("update partner set credentials_check_after = now()").await;
    assert_eq!(look(&world, &upstream).await, 1);
    assert_eq!(credentials(&world).await["state"], "valid");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn two_processes_ask_about_a_token_once(pool: PgPool) {
    let world = World::new(pool).await;
    let upstream = upstream(&world).await;
    let (one, other) = tokio::join!(look(&world, &upstream), look(&world, &upstream));
    assert_eq!(one + other, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_partner_without_any_credentials_says_what_it_lacks(pool: PgPool) {
    let world = World::new(pool).await;
    give(&world, json!({ "accessToken": null })).await;
    let shown = credentials(&world).await;
    assert_eq!(shown["state"], "invalid");
    assert!(
        shown["detail"].as_str().unwrap().contains("neither an access token nor an API secret"),
        "{shown}"
    );
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_running_relay_checks_by_itself_and_counts_once(pool: PgPool) {
    let around = Around::new(pool).await;
    let relay = around.start(&[]).await;
    let metrics = relay
        .metrics_when(|text| text.contains(r#"relay_credentials_checks_total{outcome="valid"} 1"#))
        .await;
    assert!(metrics.contains(r#"relay_credentials_checks_total{outcome="valid"} 1"#), "{metrics}");
    assert_eq!(relay.log().matches("Transak accepts the access token").count(), 1);
    let started = around
        .serve(0, &[("TRANSAK_API_KEY", "other"), ("TRANSAK_ACCESS_TOKEN", "abc")])
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&started.stderr).into_owned();
    let line = told.lines().last().unwrap();
    assert!(
        line.starts_with(
            "transak-relay: TRANSAK_ACCESS_TOKEN (--transak-access-token): must be an access token of Transak"
        ),
        "{line}"
    );
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_token_given_late_repairs_what_came_early_also_where_no_process_asks_transak(pool: PgPool) {
    let around = Around::new(pool).await;
    let relay = around.start(&[("RELAY_ROLES", "api")]).await;
    let partner = relay.partner().await;
    let next = access_token(API_KEY, Utc::now().timestamp() + 1, 604_800).unwrap();
    let claims = json!({ "webhookData": { "id": "o", "status": "PROCESSING", "isBuyOrSell": "BUY" } });
    let signed = sign(&next, &claims.to_string()).unwrap();
    let posted =
        relay.http.post(format!("{}/ingest/transak/{partner}", relay.url)).json(&json!({ "data": signed }));
    assert_eq!(posted.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let token = json!({ "accessToken": next.expose_secret() });
    let (status, answer) = relay.call(Method::PATCH, &format!("/v1/partners/{partner}"), Some(token)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let asking = async {
        while relay.call(Method::GET, "/v1/orders/o", None).await.0 != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    relay.while_it_runs("kept the order", asking).await;
}
