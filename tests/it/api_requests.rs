//! What every request goes through: ids, compression, and keys that make it safe to send again.

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::http::health::Trouble;

use crate::api::{ADMIN, Answer, Relay, keep_order};

async fn create(relay: &Relay, token: &str, key: &str, body: &Value) -> Answer {
    let request = Request::post("/v1/endpoints").header("access-token", token).header("idempotency-key", key);
    let request = request.header(header::CONTENT_TYPE, "application/json");
    relay.send(request.body(Body::from(body.to_string())).unwrap()).await
}

#[sqlx::test]
async fn the_same_request_with_the_same_key_creates_once_and_answers_the_same(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let body = json!({"url": "https://example.com/"});
    let first = create(&relay, &tenant.token, "key-1", &body).await;
    let second = create(&relay, &tenant.token, "key-1", &body).await;
    assert_eq!(
        (first.status.as_u16(), &first.text),
        (second.status.as_u16(), &second.text),
        "the secret too"
    );
    assert_eq!(second.headers["idempotent-replayed"], "true");
    assert!(!first.headers.contains_key("idempotent-replayed"));
    assert_eq!(relay.get(&tenant.token, "/v1/endpoints").await.rows().len(), 1);

    let other = json!({"url": "https://example.com/other"});
    create(&relay, &tenant.token, "key-1", &other).await.is_problem(422, "idempotency-key-reused");
    assert_eq!(create(&relay, &tenant.token, "key-2", &body).await.status, 201);
    assert_eq!(relay.get(&tenant.token, "/v1/endpoints").await.rows().len(), 2);
}

#[sqlx::test]
async fn a_key_belongs_to_its_token_and_is_good_for_a_day(pool: PgPool) {
    let relay = Relay::new(pool);
    let (ours, theirs) = (relay.tenant("a").await, relay.tenant("b").await);
    let body = json!({"url": "https://example.com/"});
    let first = create(&relay, &ours.token, "key-1", &body).await;
    let anothers = create(&relay, &theirs.token, "key-1", &body).await;
    assert_ne!(first.text_at("/id"), anothers.text_at("/id"));
    sqlx::query("update idempotency_key set created_at = now() - interval '25 hours'")
        .execute(&relay.pool)
        .await
        .unwrap();
    let later = create(&relay, &ours.token, "key-1", &body).await;
    assert_ne!(first.text_at("/id"), later.text_at("/id"));
}

#[sqlx::test]
async fn a_request_that_failed_may_be_sent_again_with_its_key(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let body = json!({"url": "http://10.0.0.1/"});
    create(&relay, &tenant.token, "key-1", &body).await.is_problem(422, "validation-failed");
    let body = json!({"url": "https://example.com/"});
    assert_eq!(create(&relay, &tenant.token, "key-1", &body).await.status, 201);
    for key in ["", " ", "a b", &"x".repeat(256)] {
        let answer = create(&relay, &tenant.token, key, &body).await;
        answer.is_problem(400, "invalid-parameter").names(&["idempotency-key"]);
    }
}

#[sqlx::test]
async fn two_of_the_same_request_at_once_create_once(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let body = json!({"url": "https://example.com/"});
    let at_once = (0..4).map(|_| create(&relay, &tenant.token, "key-1", &body));
    let answers = futures_util::future::join_all(at_once).await;
    assert!(answers.iter().all(|answer| answer.text == answers[0].text), "{answers:?}");
    assert_eq!(relay.get(&tenant.token, "/v1/endpoints").await.rows().len(), 1);
}

#[sqlx::test]
async fn whatever_is_created_is_created_once_with_a_key(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let event = keep_order(&relay, &tenant, "order-1", &["COMPLETED"]).await[0];
    let endpoint = relay.endpoint(&tenant).await;
    for (path, body, status) in [
        ("/v1/partners".to_owned(), json!({"name": "n", "environment": "STAGING", "apiKey": "k"}), 201),
        ("/v1/tokens".to_owned(), json!({"name": "n", "scope": "read", "partnerId": tenant.id}), 201),
        ("/v1/watches".to_owned(), json!({"orderId": "o-1", "partnerId": tenant.id}), 201),
        (format!("/v1/endpoints/{endpoint}/rotate-secret"), json!({}), 200),
        (
            format!("/v1/endpoints/{endpoint}/recover"),
            json!({"since": "2026-01-01T00:00:00Z", "only": "all"}),
            202,
        ),
        (format!("/v1/events/{event}/redeliver"), json!({}), 202),
    ] {
        let ask = |key: &'static str, body: String| {
            let request = Request::post(&path).header("access-token", ADMIN).header("idempotency-key", key);
            let request = request.header(header::CONTENT_TYPE, "application/json");
            relay.send(request.body(Body::from(body)).unwrap())
        };
        let key: &'static str = path.clone().leak();
        let (first, again) = (ask(key, body.to_string()).await, ask(key, body.to_string()).await);
        assert_eq!((first.status.as_u16(), &first.text), (status, &again.text), "{path}");
        assert_eq!(again.status, first.status, "{path}");
        assert_eq!(again.headers["idempotent-replayed"], "true", "{path}");
        assert!(!first.headers.contains_key("idempotent-replayed"), "{path}");
        let spaced = format!(" {body}");
        ask(key, spaced).await.is_problem(422, "idempotency-key-reused");
        ask("not a key", body.to_string()).await.is_problem(400, "invalid-parameter");
    }
    let count = async |table: &'static str| -> i64 {
        sqlx::query_scalar(table).fetch_one(&relay.pool).await.unwrap()
    };
    assert_eq!(count("select count(*) from recovery").await, 1);
    assert_eq!(count("select count(*) from endpoint_secret").await, 2);
}

#[sqlx::test]
async fn a_request_id_goes_in_and_comes_out(pool: PgPool) {
    let relay = Relay::new(pool);
    let request = Request::get("/healthz").header("x-request-id", "mine-1").body(Body::empty()).unwrap();
    assert_eq!(relay.send(request).await.headers["x-request-id"], "mine-1");
    for path in ["/healthz", "/v1/orders", "/nowhere"] {
        assert_eq!(relay.get("", path).await.headers["x-request-id"].len(), 36, "{path}");
    }
}

#[sqlx::test]
async fn readiness_says_what_is_missing(pool: PgPool) {
    let relay = Relay::new(pool);
    let ready = relay.get("", "/readyz").await;
    assert_eq!(
        (ready.status.as_u16(), ready.json()),
        (200, json!({"ready": true, "reasons": [], "warnings": []}))
    );
    let down = Trouble { code: "stream_down", detail: "the stream is not connected".to_owned() };
    relay.health.send(vec![down]).unwrap();
    sqlx::query("delete from _sqlx_migrations where version = 1").execute(&relay.pool).await.unwrap();
    let red = relay.get("", "/readyz").await;
    let codes = [red.text_at("/reasons/0/code"), red.text_at("/reasons/1/code")];
    assert_eq!((red.status.as_u16(), codes), (503, ["stream_down", "migrations_behind"].map(str::to_owned)));
}

#[sqlx::test]
async fn an_answer_is_compressed_for_who_asks(pool: PgPool) {
    let relay = Relay::new(pool);
    let request =
        Request::get("/openapi.json").header(header::ACCEPT_ENCODING, "gzip").body(Body::empty()).unwrap();
    assert_eq!(relay.send(request).await.headers[header::CONTENT_ENCODING], "gzip");
    assert!(!relay.get("", "/openapi.json").await.headers.contains_key(header::CONTENT_ENCODING));
}

/// Every operation of the document but those without security.
fn operations(document: &Value) -> Vec<(Method, String)> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let operations =
            item.as_object().unwrap().iter().filter(|(_, operation)| operation.get("security").is_none());
        operations.map(move |(method, _)| (method.to_uppercase().parse().unwrap(), path.clone()))
    });
    all.collect()
}

#[sqlx::test]
async fn no_operation_of_the_document_opens_without_a_token(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let operations = operations(&relay.get("", "/openapi.json").await.json());
    assert!(operations.len() > 20);
    for (method, path) in operations {
        let path = path.replace("{id}", "x").replace("{orderId}", "x");
        let body = (method != Method::GET).then(|| "{}".to_owned());
        let answer = relay.call("rly_wrong", (method.clone(), &path), body.clone()).await;
        assert_eq!(answer.status, 401, "{method} {path}");
        if path.contains("/x") {
            let answer = relay.call(&tenant.token, (method.clone(), &path), body.clone()).await;
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
            let answer = relay.call(ADMIN, (method.clone(), &path), body).await;
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
        }
    }
}
