//! Relays that tell each other: a circle comes to an end by itself.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use tower::ServiceExt as _;
use transak_relay::store::pool::MIGRATOR;

use crate::stub::Stub;
use crate::world::{World, order};

/// A partner beside the first one that has the same access token, so that it believes what is told to that one.
async fn partner(world: &World, number: usize) -> String {
    let token = secrecy::ExposeSecret::expose_secret(&world.access_token);
    let body = json!({ "name": "next", "environment": "STAGING", "apiKey": format!("k{number}"), "accessToken": token });
    let (status, made) = world.call("POST", "/v1/partners", Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made["id"].as_str().unwrap().to_owned()
}

/// Sends what is owed while the intake writes what that makes arrive.
async fn settle(world: &mut World) -> usize {
    let World { dispatcher, writer, .. } = world;
    let writing = async {
        loop {
            writer.write_next().await;
        }
    };
    tokio::select! {
        sent = dispatcher.drain() => sent.unwrap(),
        () = writing => unreachable!("it never ends"),
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_circle_of_seven_relays_ends_at_the_sixth_callback(pool: PgPool) {
    let mut world = World::new(pool).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = format!("http://{}/ingest/transak", listener.local_addr().unwrap());
    let mut partners = vec![world.partner.to_string()];
    for number in 2..=7 {
        partners.push(partner(&world, number).await);
    }
    world.look_again().await;
    for (at, owner) in partners.iter().enumerate() {
        let next = &partners[(at + 1) % partners.len()];
        let body = json!({ "url": format!("{home}/{next}"), "partnerId": owner, "format": "transak" });
        let (status, made) = world.call("POST", "/v1/endpoints", Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
    }
    let api = world.api.clone();
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move { axum::serve(listener, api).await.unwrap() });

    let message = world.signed(&order("o1", "COMPLETED", 1));
    world.hear(&message).await;
    assert_eq!(Box::pin(settle(&mut world)).await, 6);
    let hops: Vec<i16> =
        sqlx::query_scalar("select hops from event order by hops").fetch_all(&world.pool).await.unwrap();
    assert_eq!(hops, [0, 1, 2, 3, 4, 5]);
    let (_, refused) = world.call("GET", &format!("/v1/deliveries?partnerId={}", partners[5]), None).await;
    assert_eq!(refused["data"][0]["lastStatusCode"], 422, "{refused}");
    let path = format!("/v1/deliveries/{}", refused["data"][0]["id"].as_str().unwrap());
    let (_, delivery) = world.call("GET", &path, None).await;
    let attempt = &delivery["attemptLog"][0];
    assert_eq!(attempt["request"]["headers"]["transak-relay-hops"], "6");
    let problem: Value = serde_json::from_str(attempt["response"]["body"].as_str().unwrap()).unwrap();
    assert_eq!(problem["type"], "/docs/problems/loop");
    assert_eq!((world.in_state("succeeded").await, world.in_state("pending").await), (5, 1));
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
