//! Who may do what, and that nobody reaches another's.

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::json;
use sqlx::PgPool;

use crate::api::{ADMIN, Relay, keep_delivery, keep_order, quarantine};

#[sqlx::test]
async fn without_a_valid_token_nothing_opens(pool: PgPool) {
    let relay = Relay::new(pool);
    for token in ["", "rly_wrong", "wrong", "rly_bootstrap_token_of_the_testS"] {
        let answer = relay.get(token, "/v1/orders").await;
        answer.is_problem(401, "unauthorized");
        assert!(answer.headers[header::WWW_AUTHENTICATE].to_str().unwrap().starts_with("Bearer"));
    }
    for (name, value) in [("authorization", format!("Basic {ADMIN}")), ("authorization", ADMIN.to_owned())] {
        let request = Request::get("/v1/orders").header(name, value).body(Body::empty()).unwrap();
        relay.send(request).await.is_problem(401, "unauthorized");
    }
    let request = Request::get("/v1/orders").body(Body::empty()).unwrap();
    relay.send(request).await.is_problem(401, "unauthorized");
}

#[sqlx::test]
async fn transaks_own_header_carries_a_token_too(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let request =
        Request::get("/v1/orders").header("access-token", tenant.token).body(Body::empty()).unwrap();
    assert_eq!(relay.send(request).await.status, 200);
}

#[sqlx::test]
async fn transaks_own_header_counts_beside_credentials_of_another_scheme(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    for (other, status) in [("Basic dXNlcjpwYXNz", 200), ("Digest", 200), ("Bearer rly_wrong", 401)] {
        let request = Request::get("/v1/orders").header("access-token", &tenant.token);
        let request = request.header(header::AUTHORIZATION, other).body(Body::empty()).unwrap();
        assert_eq!(relay.send(request).await.status, status, "{other}");
    }
}

#[sqlx::test]
async fn a_deleted_token_opens_nothing_any_more(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let tokens = relay.get(ADMIN, &format!("/v1/tokens?partnerId={}", tenant.id)).await.rows();
    let id = tokens[0]["id"].as_str().unwrap();
    assert_eq!(relay.delete(ADMIN, &format!("/v1/tokens/{id}")).await.status, 204);
    relay.get(&tenant.token, "/v1/orders").await.is_problem(401, "unauthorized");
    relay.delete(ADMIN, &format!("/v1/tokens/{id}")).await.is_problem(404, "not-found");
}

#[sqlx::test]
async fn a_read_token_reads_and_changes_nothing(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let endpoint = relay.endpoint(&tenant).await;
    let read = relay.token(&tenant.id, "read").await;
    assert_eq!(relay.get(&read, &format!("/v1/endpoints/{endpoint}")).await.status, 200);
    let body = json!({"url": "https://example.com/"});
    relay.post(&read, "/v1/endpoints", body.clone()).await.is_problem(403, "forbidden");
    relay.patch(&read, &format!("/v1/endpoints/{endpoint}"), body).await.is_problem(403, "forbidden");
    relay.delete(&read, &format!("/v1/endpoints/{endpoint}")).await.is_problem(403, "forbidden");
    relay
        .post(&read, &format!("/v1/endpoints/{endpoint}/disable"), json!({}))
        .await
        .is_problem(403, "forbidden");
}

#[sqlx::test]
async fn partners_and_tokens_are_for_admins(pool: PgPool) {
    let relay = Relay::new(pool);
    let (ours, theirs) = (relay.tenant("a").await, relay.tenant("b").await);
    for path in ["/v1/partners", "/v1/tokens"] {
        relay.get(&ours.token, path).await.is_problem(403, "forbidden");
        relay.post(&ours.token, path, json!({})).await.is_problem(403, "forbidden");
    }
    relay.get(&ours.token, &format!("/v1/partners/{}", ours.id)).await.is_problem(403, "forbidden");
    relay.get(&ours.token, &format!("/v1/partners/{}", theirs.id)).await.is_problem(404, "not-found");
    relay.delete(&ours.token, &format!("/v1/partners/{}", theirs.id)).await.is_problem(404, "not-found");
}

#[sqlx::test]
async fn anothers_ids_are_not_there_on_any_route(pool: PgPool) {
    let relay = Relay::new(pool);
    let (ours, theirs) = (relay.tenant("a").await, relay.tenant("b").await);
    let event = keep_order(&relay, &theirs, "order-1", &["COMPLETED"]).await[0];
    let endpoint = relay.endpoint(&theirs).await;
    let delivery = keep_delivery(&relay, &theirs, (event, endpoint), "exhausted").await;
    for (method, path) in [
        (Method::GET, format!("/v1/endpoints/{endpoint}")),
        (Method::PATCH, format!("/v1/endpoints/{endpoint}")),
        (Method::DELETE, format!("/v1/endpoints/{endpoint}")),
        (Method::POST, format!("/v1/endpoints/{endpoint}/enable")),
        (Method::POST, format!("/v1/endpoints/{endpoint}/disable")),
        (Method::POST, format!("/v1/endpoints/{endpoint}/rotate-secret")),
        (Method::GET, "/v1/orders/order-1".to_owned()),
        (Method::GET, "/v1/orders/order-1/timeline".to_owned()),
        (Method::GET, "/v1/orders/order-1/status-history".to_owned()),
        (Method::GET, format!("/v1/events/{event}")),
        (Method::POST, format!("/v1/events/{event}/redeliver")),
        (Method::GET, format!("/v1/deliveries/{delivery}")),
        (Method::POST, format!("/v1/deliveries/{delivery}/retry")),
        (Method::GET, format!("/v1/orders?partnerId={}", theirs.id)),
    ] {
        let body = (method != Method::GET).then(|| "{}".to_owned());
        relay.call(&ours.token, (method.clone(), &path), body.clone()).await.is_problem(404, "not-found");
        let owner = relay.call(&theirs.token, (method.clone(), &path), body).await;
        assert!(owner.status.is_success() || method == Method::DELETE, "{method} {path}: {owner:?}");
        if method == Method::DELETE {
            sqlx::query("update endpoint set deleted_at = null").execute(&relay.pool).await.unwrap();
        }
    }
}

#[sqlx::test]
async fn lists_hold_ones_own_and_an_admins_hold_all(pool: PgPool) {
    let relay = Relay::new(pool);
    let (a, b) = (relay.tenant("a").await, relay.tenant("b").await);
    for tenant in [&a, &b] {
        let event = keep_order(&relay, tenant, &format!("order-{}", tenant.id), &["COMPLETED"]).await[0];
        let endpoint = relay.endpoint(tenant).await;
        keep_delivery(&relay, tenant, (event, endpoint), "exhausted").await;
        quarantine(&relay, Some(tenant), "junk").await;
    }
    for path in ["/v1/orders", "/v1/events", "/v1/deliveries", "/v1/endpoints", "/v1/quarantine"] {
        let ours = relay.get(&a.token, path).await.rows();
        assert_eq!(ours.len(), 1, "{path}");
        assert_eq!(ours[0]["partnerId"], a.id, "{path}");
        assert_eq!(relay.get(ADMIN, path).await.rows().len(), 2, "{path}");
        let one = relay.get(ADMIN, &format!("{path}?partnerId={}", b.id)).await.rows();
        assert_eq!((one.len(), &one[0]["partnerId"]), (1, &json!(b.id)), "{path}");
    }
}

#[sqlx::test]
async fn messages_of_nobody_are_for_admins(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    quarantine(&relay, None, "who am I").await;
    assert_eq!(relay.get(&tenant.token, "/v1/quarantine").await.rows(), [] as [serde_json::Value; 0]);
    assert_eq!(relay.get(ADMIN, "/v1/quarantine").await.rows()[0]["raw"], "who am I");
}

#[sqlx::test]
async fn a_partners_secrets_go_in_and_never_come_out(pool: PgPool) {
    let relay = Relay::new(pool);
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJBUElfS0VZIjoiayIsImV4cCI6MTkwMDAwMDAwMH0.c2VjcmV0";
    let body = json!({"name": "Acme", "environment": "PRODUCTION", "apiKey": "k", "accessToken": token,
                      "apiSecret": "very-secret"});
    let made = relay.post(ADMIN, "/v1/partners", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let shown = relay.get(ADMIN, &format!("/v1/partners/{}", made.text_at("/id"))).await;
    for answer in [&made, &shown] {
        assert!(!answer.text.contains("secret\":\"") && !answer.text.contains("very-secret"), "{answer:?}");
        assert!(!answer.text.contains(token), "{answer:?}");
    }
    assert_eq!(shown.text_at("/accessTokenExpiresAt"), "2030-03-17T17:46:40.000Z");
    let sealed: Vec<u8> =
        sqlx::query_scalar("select token from access_token").fetch_one(&relay.pool).await.unwrap();
    assert!(!sealed.windows(10).any(|part| part == &token.as_bytes()[..10]));
}

#[sqlx::test]
async fn a_change_that_would_give_two_partners_one_api_key_names_the_field_and_changes_nothing(pool: PgPool) {
    let relay = Relay::new(pool);
    let ours = relay.tenant("a").await;
    relay.tenant("b").await;
    let elsewhere = json!({"name": "c", "environment": "PRODUCTION", "apiKey": "key-a"});
    assert_eq!(relay.post(ADMIN, "/v1/partners", elsewhere).await.status, 201);
    let path = format!("/v1/partners/{}", ours.id);
    let before = relay.get(ADMIN, &path).await.text;
    for (change, field) in [("apiKey", "key-b"), ("environment", "PRODUCTION")]
        .map(|(field, value)| (json!({"name": "changed", field: value}), field))
    {
        let answer = relay.patch(ADMIN, &path, change).await;
        answer.is_problem(422, "validation-failed").names(&[field]);
    }
    assert_eq!(relay.get(ADMIN, &path).await.text, before);
}

#[sqlx::test]
async fn a_deleted_partner_takes_its_tokens_and_endpoints_along(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let event = keep_order(&relay, &tenant, "order-1", &["COMPLETED"]).await[0];
    let endpoint = relay.endpoint(&tenant).await;
    keep_delivery(&relay, &tenant, (event, endpoint), "pending").await;
    assert_eq!(relay.delete(ADMIN, &format!("/v1/partners/{}", tenant.id)).await.status, 204);
    relay.get(&tenant.token, "/v1/orders").await.is_problem(401, "unauthorized");
    relay.get(ADMIN, &format!("/v1/partners/{}", tenant.id)).await.is_problem(404, "not-found");
    relay.get(ADMIN, &format!("/v1/endpoints/{endpoint}")).await.is_problem(404, "not-found");
    let state: String =
        sqlx::query_scalar("select state::text from delivery").fetch_one(&relay.pool).await.unwrap();
    assert_eq!(state, "cancelled");
    assert_eq!(relay.tenant("a").await.id.len(), tenant.id.len(), "the API key may be registered again");
}

#[sqlx::test]
async fn emptying_the_quarantine_reaches_ones_own_only(pool: PgPool) {
    let relay = Relay::new(pool);
    let (ours, theirs) = (relay.tenant("a").await, relay.tenant("b").await);
    for tenant in [Some(&ours), Some(&theirs), None] {
        quarantine(&relay, tenant, "junk").await;
    }
    let gone = relay.delete(&ours.token, "/v1/quarantine").await;
    assert_eq!((gone.status.as_u16(), &gone.json()["deleted"]), (200, &serde_json::json!(1)));
    let left = relay.get(ADMIN, "/v1/quarantine").await.rows();
    assert_eq!(left.len(), 2);
    let reader = relay.token(&ours.id, "read").await;
    assert_eq!(relay.delete(&reader, "/v1/quarantine").await.status, 403);
}
