//! Relays that tell each other: a circle comes to an end by itself.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinSet;
use tower::ServiceExt as _;
use transak_relay::sandbox::signing;
use transak_relay::store::pool::MIGRATOR;

use crate::stub::Stub;
use crate::world::{API_KEY, World, order};

/// A relay in a schema of its own, and where it listens. Its partner has the access token that is given, as all relays have
/// it that one Transak account is registered with.
async fn relay(
    pool: &PgPool,
    (number, token): (usize, &SecretString),
    servers: &mut JoinSet<()>,
) -> (World, String) {
    let create = format!("create schema relay_{number}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(pool).await.unwrap();
    let options = (*pool.connect_options()).clone().options([("search_path", format!("relay_{number}"))]);
    let pool = PgPoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
    MIGRATOR.run(&pool).await.unwrap();
    let world = World::new(pool).await;
    let body = json!({ "accessToken": token.expose_secret() });
    let path = format!("/v1/partners/{}", world.partner);
    assert_eq!(world.call("PATCH", &path, Some(body)).await.0, StatusCode::OK);
    world.look_again().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ingest = format!("http://{}/ingest/transak/{}", listener.local_addr().unwrap(), world.partner);
    let api = world.api.clone();
    servers.spawn(async move { axum::serve(listener, api).await.unwrap() });
    (world, ingest)
}

/// Sends what one relay owes while the next one writes what that makes arrive.
async fn tell(from: &mut World, to: &mut World) -> usize {
    let writing = async {
        loop {
            to.writer.write_next().await;
        }
    };
    tokio::select! {
        sent = from.dispatcher.drain() => sent.unwrap(),
        () = writing => unreachable!("it never ends"),
    }
}

#[sqlx::test(migrations = false)]
async fn a_circle_of_seven_relays_ends_at_the_sixth_callback(pool: PgPool) {
    let token = signing::access_token(API_KEY, chrono::Utc::now().timestamp(), 604_800).unwrap();
    let (mut servers, mut relays, mut places) = (JoinSet::new(), Vec::new(), Vec::new());
    for number in 0..7 {
        let (world, ingest) = Box::pin(relay(&pool, (number, &token), &mut servers)).await;
        relays.push(world);
        places.push(ingest);
    }
    for (at, relay) in relays.iter().enumerate() {
        let url = &places[(at + 1) % places.len()];
        let body = json!({ "url": url, "partnerId": relay.partner.to_string(), "format": "transak" });
        let (status, made) = relay.call("POST", "/v1/endpoints", Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
    }
    let message = signing::sign(&token, &order("o1", "COMPLETED", 1)).unwrap();
    relays[0].hear(&message).await;
    for at in 0..6 {
        let (before, after) = relays.split_at_mut(at + 1);
        assert_eq!(Box::pin(tell(&mut before[at], &mut after[0])).await, 1, "relay {at}");
    }
    for (at, relay) in relays.iter().enumerate() {
        let hops: Vec<i16> =
            sqlx::query_scalar("select hops from event").fetch_all(&relay.pool).await.unwrap();
        let expected = i16::try_from(at).unwrap();
        assert_eq!(hops, if at == 6 { vec![] } else { vec![expected] });
    }
    let last = &relays[5];
    let (_, refused) = last.call("GET", "/v1/deliveries", None).await;
    assert_eq!(refused["data"][0]["lastStatusCode"], 422, "{refused}");
    let path = format!("/v1/deliveries/{}", refused["data"][0]["id"].as_str().unwrap());
    let (_, delivery) = last.call("GET", &path, None).await;
    let attempt = &delivery["attemptLog"][0];
    assert_eq!(attempt["request"]["headers"]["transak-relay-hops"], "6");
    let problem: Value = serde_json::from_str(attempt["response"]["body"].as_str().unwrap()).unwrap();
    assert_eq!(problem["type"], "/docs/problems/loop");
    assert_eq!((last.in_state("succeeded").await, last.in_state("pending").await), (0, 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_claims_to_have_come_too_far_is_refused_before_anything_is_kept(pool: PgPool) {
    let world = World::new(pool).await;
    for hops in ["6", "-1", "many", ""] {
        let body = json!({ "data": world.signed(&order("o1", "COMPLETED", 1)) }).to_string();
        let request = Request::post(format!("/ingest/transak/{}", world.partner));
        let request = request.header("content-type", "application/json").header("transak-relay-hops", hops);
        let answer = world.api.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{hops}");
    }
    assert_eq!((world.count("event").await, world.count("quarantine").await), (0, 0));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_comes_from_transak_itself_is_told_as_the_first_hop_also_when_it_is_claimed(pool: PgPool) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({})).await;
    world.hear_many(2).await;
    world.dispatcher.drain().await.unwrap();
    world.sql("update event set hops = 3").await;
    world.sql("update delivery set state = 'pending', finished_at = null, next_attempt_at = now()").await;
    world.dispatcher.drain().await.unwrap();
    let said: Vec<String> = stub
        .seen()
        .iter()
        .map(|seen| seen.headers["transak-relay-hops"].to_str().unwrap().to_owned())
        .collect();
    assert_eq!(said, ["1", "1", "4", "4"]);
}
