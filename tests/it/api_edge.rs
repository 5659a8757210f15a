//! What stands around every operation: rate limits and pages of other origins.

use axum::body::Body;
use axum::http::{Method, Request};
use sqlx::PgPool;
use transak_relay::http::rate::TokenRates;
use transak_relay::model::origin::Origin;

use crate::api::{ADMIN, Relay};

#[sqlx::test]
async fn a_token_is_told_what_it_may_ask_and_refused_beyond_it(pool: PgPool) {
    let relay = Relay::with(pool, |api| api.rates = TokenRates::new(1));
    for remaining in (0..5).rev() {
        let answer = relay.get(ADMIN, "/v1/orders").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["ratelimit-policy"], "\"token\";q=5;w=5");
        let state = answer.headers["ratelimit"].to_str().unwrap();
        assert!(state.starts_with(&format!("\"token\";r={remaining};t=")), "{state}");
    }
    let refused = relay.get(ADMIN, "/v1/orders").await;
    refused.is_problem(429, "too-many-requests");
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(refused.headers["ratelimit"].to_str().unwrap().starts_with("\"token\";r=0;t="));
    // A token that opens nothing is not counted, and Transak's path answers as Transak does.
    relay.get("rly_wrong", "/v1/orders").await.is_problem(401, "unauthorized");
    let refused = relay.get(ADMIN, "/partners/api/v2/webhooks").await;
    assert_eq!((refused.status.as_u16(), refused.json()["error"]["statusCode"].as_i64()), (429, Some(429)));
}

#[sqlx::test]
async fn pages_of_other_origins_may_call_only_where_that_is_configured(pool: PgPool) {
    let asks = || {
        let request = Request::builder().method(Method::OPTIONS).uri("/v1/orders");
        let request = request.header("origin", "https://app.example.com");
        request.header("access-control-request-method", "GET").body(Body::empty()).unwrap()
    };
    let closed = Relay::new(pool.clone()).send(asks()).await;
    assert!(!closed.headers.contains_key("access-control-allow-origin"), "{closed:?}");
    let origins = vec![Origin::parse("https://app.example.com").unwrap()];
    let open = Relay::with(pool.clone(), |api| api.cors_origins = origins).send(asks()).await;
    assert_eq!(open.headers["access-control-allow-origin"], "https://app.example.com");
    let other = vec![Origin::parse("https://other.example.com").unwrap()];
    let other = Relay::with(pool, |api| api.cors_origins = other).send(asks()).await;
    assert!(!other.headers.contains_key("access-control-allow-origin"), "{other:?}");
}

#[sqlx::test]
async fn a_page_is_never_a_part_of_somebody_elses_and_loads_nothing_from_elsewhere(pool: PgPool) {
    let relay = Relay::new(pool);
    for path in ["/docs/", "/docs/problems", "/docs/problems/not-found"] {
        let page = relay.get(ADMIN, path).await;
        assert_eq!(
            page.headers["content-type"].to_str().unwrap().split(';').next(),
            Some("text/html"),
            "{path}"
        );
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(page.headers["x-frame-options"], "DENY", "{path}");
        assert!(!page.text.contains("<script>"), "{path}: a script in the page would not run");
    }
    let whatever = [
        "/",
        "/v1/orders",
        "/v1/nowhere",
        "/v1/events?limit=x",
        "/healthz",
        "/openapi.json",
        "/docs/security.md",
    ];
    for path in whatever {
        let headers = relay.get(ADMIN, path).await.headers;
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
    }
    let refused = relay.call(ADMIN, (axum::http::Method::PUT, "/v1/orders"), None).await;
    assert_eq!(
        (refused.status, &refused.headers["x-frame-options"] == "DENY"),
        (405.try_into().unwrap(), true)
    );
}
