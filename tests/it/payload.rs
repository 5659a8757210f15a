//! What stands in a callback: the order as it came, less what is redacted, beside the partner's own headers.

use axum::http::StatusCode;
use chrono::Utc;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::sandbox::signing;
use transak_relay::store::pool::MIGRATOR;

use crate::stub::{Seen, Stub};
use crate::world::{API_KEY, World};

const ORDER: &str = r#"{"id":"o1", "status":"COMPLETED","updatedAt":"2025-04-04T13:01:48.374Z","fiatAmount":45.10,
    "ipAddress":"203.0.113.9","statusHistories":[{"status":"COMPLETED","message":"to Jane"}],"x":1e400}"#;

const POINTERS: [&str; 3] = ["/ipAddress", "/statusHistories/*/message", "/nothing/there"];

fn redacted() -> String {
    ORDER.replace(r#""203.0.113.9""#, "null").replace(r#""to Jane""#, "null")
}

/// The claims of a callback of the format `transak`, if this token signed it.
fn claims(seen: &Seen, token: &SecretString) -> Option<Value> {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    let jwt = seen.body["data"].as_str().unwrap();
    let key = DecodingKey::from_secret(token.expose_secret().as_bytes());
    decode::<Value>(jwt, &key, &rules).ok().map(|token| token.claims)
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_redacted_is_null_in_both_formats_and_every_other_byte_is_sent_as_it_came(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (plain, whole) = (Stub::always(StatusCode::OK).await, Stub::always(StatusCode::OK).await);
    plain.register(&world, json!({ "redact": POINTERS })).await;
    whole.register(&world, json!({})).await;
    let message = world.signed(ORDER);
    world.hear(&message).await;
    world.dispatcher.drain().await.unwrap();
    let body = |stub: &Stub| String::from_utf8(stub.seen()[0].bytes.to_vec()).unwrap();
    assert!(body(&plain).ends_with(&format!("\"data\":{}}}", redacted())), "{}", body(&plain));
    assert!(body(&whole).ends_with(&format!("\"data\":{ORDER}}}")), "{}", body(&whole));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_format_transak_is_redacted_too(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({ "format": "transak", "redact": POINTERS })).await;
    let order = ORDER.replace("1e400", "1e4");
    let message = world.signed(&order);
    world.hear(&message).await;
    world.dispatcher.drain().await.unwrap();
    let claims = claims(&stub.seen()[0], &world.access_token).unwrap();
    let expected: Value = serde_json::from_str(&redacted().replace("1e400", "1e4")).unwrap();
    assert_eq!((&claims["webhookData"], &claims["eventID"]), (&expected, &json!("ORDER_COMPLETED")));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_format_transak_is_signed_with_the_newest_access_token_from_the_moment_there_is_one(
    pool: PgPool,
) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({ "format": "transak" })).await;
    let newer = signing::access_token(API_KEY, Utc::now().timestamp() + 1, 604_800).unwrap();
    let first = world.signed(&crate::world::order("o1", "COMPLETED", 1));
    world.hear(&first).await;
    world.dispatcher.drain().await.unwrap();
    let path = format!("/v1/partners/{}", world.partner);
    let change = json!({ "accessToken": newer.expose_secret() });
    assert_eq!(world.call("PATCH", &path, Some(change)).await.0, StatusCode::OK);
    let second = world.signed(&crate::world::order("o2", "COMPLETED", 1));
    world.hear(&second).await;
    world.dispatcher.drain().await.unwrap();
    let seen = stub.seen();
    let signed_by =
        |token: &SecretString| seen.iter().map(|one| claims(one, token).is_some()).collect::<Vec<_>>();
    assert_eq!((signed_by(&world.access_token), signed_by(&newer)), (vec![true, false], vec![false, true]));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn headers_are_sent_and_their_values_never_come_out_again(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::start(|_, _| async {
        axum::response::IntoResponse::into_response((
            StatusCode::OK,
            [("x-answer", "1")],
            vec![0xff, 0x00, 0x01],
        ))
    })
    .await;
    let made = stub.register(&world, json!({ "headers": { "authorization": "Bearer s3cret" } })).await;
    world.hear_many(1).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(stub.seen()[0].headers["authorization"], "Bearer s3cret");
    let (_, page) = world.call("GET", "/v1/deliveries", None).await;
    let path = format!("/v1/deliveries/{}", page["data"][0]["id"].as_str().unwrap());
    let (_, delivery) = world.call("GET", &path, None).await;
    let attempt = &delivery["attemptLog"][0];
    assert_eq!(attempt["request"]["headers"]["authorization"], "[redacted]");
    assert!(!format!("{delivery}{made}{}", world.show(&made).await).contains("s3cret"));
    // What was answered is evidence: bytes that are no text are kept as they are.
    let response = &attempt["response"];
    assert_eq!(response["headers"]["x-answer"], "1");
    assert_eq!(
        (&response["body"], &response["bodyBase64"], &response["bodyTruncated"]),
        (&json!("/wAB"), &json!(true), &json!(false))
    );
    assert_eq!((&attempt["remoteIp"], &attempt["statusCode"]), (&json!("127.0.0.1"), &json!(200)));
    let durations = attempt["durationsMs"].as_object().unwrap();
    assert_eq!(durations.keys().collect::<Vec<_>>(), ["connect", "dns", "firstByte", "tls", "total"]);
    assert!(durations["connect"].is_u64() && durations["firstByte"].is_u64() && durations["dns"].is_null());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn every_answer_shows_how_much_of_its_body_is_kept_and_that_there_was_more(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::start(|_, _| async {
        axum::response::IntoResponse::into_response((StatusCode::OK, "x".repeat(20_000)))
    })
    .await;
    stub.register(&world, json!({})).await;
    // The first success is written with what it means for the endpoint, the second in a shorter way.
    for count in 1..=2 {
        world.hear(&world.signed(&crate::world::order(&format!("o{count}"), "PROCESSING", 1))).await;
        world.dispatcher.drain().await.unwrap();
    }
    let (_, page) = world.call("GET", "/v1/deliveries", None).await;
    for delivery in page["data"].as_array().unwrap() {
        let path = format!("/v1/deliveries/{}", delivery["id"].as_str().unwrap());
        let (_, shown) = world.call("GET", &path, None).await;
        let response = &shown["attemptLog"][0]["response"];
        let kept = response["body"].as_str().unwrap().len();
        assert_eq!((kept, &response["bodyTruncated"]), (16_384, &json!(true)));
    }
}
