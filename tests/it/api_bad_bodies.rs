//! Bodies that are too large, no JSON, no object, or say what nobody asked for: each POST names what is wrong.

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::json;
use sqlx::PgPool;

use crate::api::{ADMIN, Relay, keep_delivery, keep_order, quarantine};

#[sqlx::test]
async fn a_body_that_is_no_json_is_told_apart_from_a_wrong_one(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    for body in ["{", "", r#"{"url":"https://example.com/"} {}"#, "\"\\ud800\""] {
        let answer = relay.call(&tenant.token, (Method::POST, "/v1/endpoints"), Some(body.to_owned())).await;
        answer.is_problem(400, "malformed-body");
    }
    let twice = r#"{"url":"https://example.com/","url":"https://example.com/"}"#.to_owned();
    let answer = relay.call(&tenant.token, (Method::POST, "/v1/endpoints"), Some(twice)).await;
    answer.is_problem(422, "validation-failed").names(&["url"]);
    let twice = r#"{"url":"https://example.com/","headers":{"x-a":"1","x-a":"2"}}"#.to_owned();
    let answer = relay.call(&tenant.token, (Method::POST, "/v1/endpoints"), Some(twice)).await;
    answer.is_problem(422, "validation-failed").names(&["headers"]);
    let deep = format!(r#"{{"url":{}"#, "[".repeat(200_000));
    let answer = relay.call(&tenant.token, (Method::POST, "/v1/endpoints"), Some(deep)).await;
    answer.is_problem(422, "validation-failed").names(&["url"]);
}

#[sqlx::test]
async fn a_body_of_ten_megabytes_is_refused(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let body = json!({"url": "x".repeat(10 << 20)});
    relay.post(&tenant.token, "/v1/endpoints", body).await.is_problem(413, "body-too-large");
}

#[sqlx::test]
async fn who_sends_too_much_is_heard_out_unless_it_waits_to_be_asked(pool: PgPool) {
    let relay = Relay::new(pool);
    for (expects, read) in [(false, 10), (true, 0)] {
        let taken = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = std::sync::Arc::clone(&taken);
        let parts = (0..10).map(move |_| {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok::<_, std::convert::Infallible>(vec![b' '; 1 << 20])
        });
        let mut request = Request::post("/v1/endpoints").header("access-token", ADMIN);
        request = request.header(header::CONTENT_TYPE, "application/json").header("content-length", 10 << 20);
        if expects {
            request = request.header(header::EXPECT, "100-continue");
        }
        let body = Body::from_stream(futures_util::stream::iter(parts));
        relay.send(request.body(body).unwrap()).await.is_problem(413, "body-too-large");
        assert_eq!(taken.load(std::sync::atomic::Ordering::Relaxed), read);
    }
}

/// Every POST of the interface that reads no foreign format, each about something that is there.
async fn posts(relay: &Relay, tenant: &crate::api::Tenant) -> Vec<String> {
    let event = keep_order(relay, tenant, "order-1", &["COMPLETED"]).await[0];
    let endpoint = relay.endpoint(tenant).await;
    let delivery = keep_delivery(relay, tenant, (event, endpoint), "exhausted").await;
    quarantine(relay, Some(tenant), "junk").await;
    let message = relay.get(ADMIN, "/v1/quarantine").await.text_at("/data/0/id");
    let recover = json!({ "since": "2020-01-01T00:00:00Z", "only": "all" });
    let recovery =
        relay.post(ADMIN, &format!("/v1/endpoints/{endpoint}/recover"), recover).await.text_at("/id");
    let document = relay.get("", "/openapi.json").await.json();
    let all = document["paths"].as_object().unwrap().iter().filter(|(_, item)| item.get("post").is_some());
    let paths = all.map(|(path, _)| path.as_str()).filter(|path| path.starts_with("/v1/"));
    let ids = [
        ("/v1/events/{id}", event.to_string()),
        ("/v1/endpoints/{id}", endpoint.to_string()),
        ("/v1/deliveries/{id}", delivery.to_string()),
        ("/v1/quarantine/{id}", message),
        ("/v1/recoveries/{id}", recovery),
    ];
    paths
        .map(|path| match ids.iter().find(|(prefix, _)| path.starts_with(prefix)) {
            Some((prefix, id)) => path.replacen(prefix, &prefix.replace("{id}", id), 1),
            None => path.to_owned(),
        })
        .collect()
}

#[sqlx::test]
async fn no_post_takes_a_field_it_does_not_know_or_anything_but_an_object(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let posts = posts(&relay, &tenant).await;
    assert!(posts.len() >= 12, "{posts:?}");
    for path in posts {
        assert!(!path.contains('{'), "{path}: say in `posts` what it is about");
        let deep = "[".repeat(100_000);
        for (body, field) in [
            (r#"{"zzz":1}"#, "zzz"),
            (r#"{"zz\u0000":1}"#, "zz\u{0}"),
            (r#"["a","STAGING","k",null,null]"#, "body"),
            ("[]", "body"),
            ("\"text\"", "body"),
            ("7", "body"),
            (&deep, "body"),
        ] {
            let answer = relay.call(ADMIN, (Method::POST, &path), Some(body.to_owned())).await;
            assert_eq!(answer.status, 422, "{path}: {answer:?}");
            let errors = answer.is_problem(422, "validation-failed").json()["errors"].clone();
            // What the body lacks is named beside it.
            let named = errors.as_array().unwrap().iter().any(|error| error["field"] == field);
            assert!(named, "{path} {body}: {answer:?}");
        }
        for body in ["{", "{} {}", "{'a':1}", "{\"a\":\"\\ud800\"}"] {
            let answer = relay.call(ADMIN, (Method::POST, &path), Some(body.to_owned())).await;
            assert!([400, 422].contains(&answer.status.as_u16()), "{path} {body}: {answer:?}");
        }
        let request = Request::post(&path).header("access-token", ADMIN).body(Body::from("{}")).unwrap();
        relay.send(request).await.is_problem(415, "unsupported-media-type");
    }
}

#[sqlx::test]
async fn a_body_must_say_that_it_is_json(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    for kind in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonp")]
    {
        let mut request = Request::post("/v1/endpoints").header("access-token", &tenant.token);
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(Body::from(r#"{"url":"https://example.com/"}"#)).unwrap();
        relay.send(request).await.is_problem(415, "unsupported-media-type");
    }
    let request = Request::post("/v1/endpoints").header("access-token", &tenant.token);
    let request = request.header(header::CONTENT_TYPE, "Application/JSON; charset=utf-8");
    let request = request.body(Body::from(r#"{"url":"https://example.com/"}"#)).unwrap();
    assert_eq!(relay.send(request).await.status, 201);
}
