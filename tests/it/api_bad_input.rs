//! What is wrong is answered with a problem that names it, never with a 500.

use axum::http::{Method, header};
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::model::id::{EventId, PartnerId};

use crate::api::{ADMIN, Relay};

#[sqlx::test]
async fn a_wrong_field_is_named(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let url = "https://example.com/";
    for (body, field) in [
        (json!({}), "url"),
        (json!({"url": 7}), "url"),
        (json!({"url": null}), "url"),
        (json!({"url": "https://example.com/\u{0}"}), "url"),
        (json!({"url": url, "urls": 1}), "urls"),
        (json!({"url": url, "rateLimit": {"perSecond": 0}}), "rateLimit.perSecond"),
        (json!({"url": url, "rateLimit": {"perSecond": 10000.5}}), "rateLimit.perSecond"),
        (json!({"url": url, "rateLimit": {"perSecond": 1, "burst": 0}}), "rateLimit.burst"),
        (json!({"url": url, "rateLimit": {"burst": 1}}), "rateLimit.perSecond"),
        (json!({"url": url, "maxInFlight": 0}), "maxInFlight"),
        (json!({"url": url, "maxInFlight": 1_000_000_000}), "maxInFlight"),
        (json!({"url": url, "ordered": "yes"}), "ordered"),
        (json!({"url": url, "description": "a\u{0}"}), "description"),
        (json!({"url": url, "description": "x".repeat(501)}), "description"),
        (json!({"url": url, "events": []}), "events"),
        (json!({"url": url, "events": ["ORDER_COMPLETED", "ORDER_EATEN"]}), "events[1]"),
        (json!({"url": url, "events": "ORDER_COMPLETED"}), "events"),
        (json!({"url": url, "events": [1]}), "events[0]"),
        (json!({"url": url, "statuses": ["completed"]}), "statuses[0]"),
        (json!({"url": url, "format": "xml"}), "format"),
        (json!({"url": url, "headers": {"host": "x"}}), "headers"),
        (json!({"url": url, "headers": {"x-a": "a\r\nb"}}), "headers"),
        (json!({"url": url, "headers": {"x-a": 1}}), "headers.x-a"),
        (json!({"url": url, "timeoutMs": 99}), "timeoutMs"),
        (json!({"url": url, "timeoutMs": 30_001}), "timeoutMs"),
        (json!({"url": url, "timeoutMs": 1.5}), "timeoutMs"),
        (json!({"url": url, "timeoutMs": 99_999_999_999_u64}), "timeoutMs"),
        (json!({"url": url, "retrySchedule": [0]}), "retrySchedule"),
        (json!({"url": url, "retrySchedule": [-1]}), "retrySchedule[0]"),
        (json!({"url": url, "retrySchedule": vec![1; 51]}), "retrySchedule"),
        (json!({"url": url, "redact": ["ipAddress"]}), "redact"),
        (json!({"url": url, "secret": "whsec_short"}), "secret"),
        (json!({"url": url, "partnerId": "ptr_1"}), "partnerId"),
        (json!([]), "body"),
        (json!(null), "body"),
    ] {
        let answer = relay.post(&tenant.token, "/v1/endpoints", body.clone()).await;
        answer.is_problem(422, "validation-failed").names(&[field]);
    }
}

#[sqlx::test]
async fn every_wrong_field_is_named_at_once(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let body = json!({"url": "ftp://x", "timeoutMs": 1, "redact": [""]});
    let answer = relay.post(&tenant.token, "/v1/endpoints", body).await;
    answer.is_problem(422, "validation-failed").names(&["url", "timeoutMs", "redact"]);
}

#[sqlx::test]
async fn an_url_that_must_not_be_called_is_refused(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    for url in [
        "",
        "not a url",
        "/relative",
        "http://example.com/",
        "file:///etc/passwd",
        "https://user:pass@example.com/",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://2130706433/",
        "https://localhost/",
        "https://example.com/#fragment",
    ] {
        let answer = relay.post(&tenant.token, "/v1/endpoints", json!({"url": url})).await;
        answer.is_problem(422, "validation-failed").names(&["url"]);
        assert!(url.len() < 12 || !answer.text.contains(url), "{answer:?}");
    }
}

#[sqlx::test]
async fn a_wrong_parameter_is_named(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    for (path, name) in [
        ("/v1/orders?limit=0", "limit"),
        ("/v1/orders?limit=201", "limit"),
        ("/v1/orders?limit=ten", "limit"),
        ("/v1/orders?limit=1&limit=2", "limit"),
        ("/v1/orders?cursor=a&cursor=b", "cursor"),
        ("/v1/orders?colour=red", "colour"),
        ("/v1/orders?status=A&status=B", "status"),
        ("/v1/orders?status=", "status"),
        ("/v1/orders?status=%00", "status"),
        ("/v1/orders?from=yesterday", "from"),
        ("/v1/orders?to=2026-13-01T00:00:00Z", "to"),
        ("/v1/orders?from=0000-01-01T00:00:00Z", "from"),
        ("/v1/orders?partnerId=ptr_1", "partnerId"),
        ("/v1/deliveries?endpointId=evt_019e5a3c7d1b7c42a1f00d5e6b7c8d9e", "endpointId"),
        ("/v1/deliveries?eventId=1", "eventId"),
        ("/v1/endpoints?status=A", "status"),
    ] {
        relay.get(&tenant.token, path).await.is_problem(400, "invalid-parameter").names(&[name]);
    }
    for (path, name) in [
        ("/v1/orders?product=LEND", "product"),
        ("/v1/events?source=rumour", "source"),
        ("/v1/deliveries?state=lost", "state"),
    ] {
        relay.get(&tenant.token, path).await.is_problem(422, "validation-failed").names(&[name]);
    }
}

#[sqlx::test]
async fn what_is_not_there_is_404_whatever_its_form(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let event = EventId::new();
    let long = "x".repeat(10_000);
    for path in [
        format!("/v1/events/{event}"),
        format!("/v1/events/{}", event.uuid()),
        format!("/v1/deliveries/{event}"),
        "/v1/events/x".to_owned(),
        "/v1/events/%00".to_owned(),
        "/v1/events/%ff".to_owned(),
        "/v1/endpoints/ep_".to_owned(),
        "/v1/orders/unknown".to_owned(),
        "/v1/orders/%00".to_owned(),
        "/v1/orders/%ff/timeline".to_owned(),
        format!("/v1/orders/{long}"),
        "/v1/nothing".to_owned(),
    ] {
        relay.get(&tenant.token, &path).await.is_problem(404, "not-found");
    }
    let path = format!("/v1/partners/{}", PartnerId::new());
    relay.get(ADMIN, &path).await.is_problem(404, "not-found");
    relay.get(ADMIN, "/docs/problems/unheard-of").await.is_problem(404, "not-found");
}

#[sqlx::test]
async fn another_method_is_405_and_says_which_there_are(pool: PgPool) {
    let relay = Relay::new(pool);
    for (method, path) in
        [(Method::PUT, "/v1/endpoints"), (Method::DELETE, "/v1/orders"), (Method::POST, "/healthz")]
    {
        let answer = relay.call(ADMIN, (method, path), None).await;
        answer.is_problem(405, "method-not-allowed");
        assert!(answer.headers.contains_key(header::ALLOW), "{answer:?}");
    }
}

#[sqlx::test]
async fn a_wrong_partner_or_token_is_refused(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let good = json!({"name": "n", "environment": "STAGING", "apiKey": "k"});
    for (field, value) in [
        ("name", json!(" ")),
        ("name", json!("x".repeat(201))),
        ("environment", json!("staging")),
        ("apiKey", json!("a b")),
        ("apiKey", json!("")),
        ("accessToken", json!("a b")),
        ("apiSecret", json!("\u{0}")),
        ("id", json!("x")),
    ] {
        let mut body = good.clone();
        body[field] = value;
        relay.post(ADMIN, "/v1/partners", body).await.is_problem(422, "validation-failed").names(&[field]);
    }
    let taken = json!({"name": "n", "environment": "STAGING", "apiKey": "key-a"});
    relay.post(ADMIN, "/v1/partners", taken).await.is_problem(409, "conflict");
    let path = format!("/v1/partners/{}", tenant.id);
    let null = relay.patch(ADMIN, &path, json!({"name": null})).await;
    null.is_problem(422, "validation-failed").names(&["name"]);
    for (body, field) in [
        (json!({"name": "t", "scope": "root"}), "scope"),
        (json!({"name": "t", "scope": "read"}), "partnerId"),
        (json!({"name": "t", "scope": "admin", "partnerId": tenant.id}), "partnerId"),
        (json!({"name": "t", "scope": "read", "partnerId": PartnerId::new()}), "partnerId"),
    ] {
        relay.post(ADMIN, "/v1/tokens", body).await.is_problem(422, "validation-failed").names(&[field]);
    }
}

#[sqlx::test]
async fn an_admin_must_say_whose_endpoint_it_is(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let mut body = json!({"url": "https://example.com/"});
    relay
        .post(ADMIN, "/v1/endpoints", body.clone())
        .await
        .is_problem(422, "validation-failed")
        .names(&["partnerId"]);
    body["partnerId"] = json!(tenant.id);
    assert_eq!(relay.post(ADMIN, "/v1/endpoints", body.clone()).await.text_at("/partnerId"), tenant.id);
    body["partnerId"] = json!(PartnerId::new());
    relay.post(ADMIN, "/v1/endpoints", body.clone()).await.is_problem(404, "not-found");
    relay.post(&tenant.token, "/v1/endpoints", body).await.is_problem(404, "not-found");
}

#[sqlx::test]
async fn while_postgres_is_down_the_answer_is_503_and_health_still_answers(pool: PgPool) {
    let relay = Relay::new(pool.clone());
    let tenant = relay.tenant("a").await;
    pool.close().await;
    for token in [ADMIN, &tenant.token] {
        let answer = relay.get(token, "/v1/orders").await;
        answer.is_problem(503, "unavailable");
        assert!(answer.headers.contains_key(header::RETRY_AFTER));
        assert!(!answer.text.to_lowercase().contains("pool"), "{answer:?}");
    }
    assert_eq!(relay.get("", "/healthz").await.status, 200);
    let ready = relay.get("", "/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.text_at("/reasons/0/code")), (503, "database_down".to_owned()));
}

#[sqlx::test]
async fn every_type_of_problem_that_the_document_knows_has_a_page(pool: PgPool) {
    let relay = Relay::new(pool);
    let document = relay.get("", "/openapi.json").await.json();
    let responses = document["components"]["responses"].as_object().unwrap();
    let mut slugs = std::collections::BTreeSet::new();
    for (name, response) in responses {
        let status = name.strip_prefix("Problem").unwrap();
        for line in response["description"].as_str().unwrap().lines().filter(|line| line.starts_with('`')) {
            let slug = line.split('`').nth(1).unwrap();
            let page = relay.get("", &format!("/docs/problems/{slug}")).await;
            assert_eq!(page.status, 200, "{slug}");
            assert!(page.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"));
            assert!(page.text.contains(slug) && page.text.contains(&format!("status {status}.")), "{page:?}");
            slugs.insert(slug.to_owned());
        }
    }
    let list = relay.get("", "/docs/problems").await.text;
    let listed = list.split("href=\"/docs/problems/").skip(1).map(|rest| rest.split('"').next().unwrap());
    assert_eq!(slugs, listed.map(str::to_owned).collect());
    assert_eq!(slugs.len(), 18);
}

#[sqlx::test]
async fn every_problem_leads_to_a_page(pool: PgPool) {
    let relay = Relay::new(pool);
    let answer = relay.get("", "/v1/orders").await;
    let page = relay.get("", &answer.text_at("/type")).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("<h1>Unauthorized</h1>"), "{page:?}");
    assert!(relay.get("", "/docs/problems").await.text.contains("/docs/problems/invalid-cursor"));
    let document: Value = relay.get("", "/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(relay.get("", "/docs/reference/").await.text.contains("swagger"));
}
