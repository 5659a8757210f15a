//! Tenants apart, on every route that the OpenAPI document has: none can be added and forgotten here.

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::Value;
use sqlx::PgPool;
use transak_relay::http;
use transak_relay::model::id::{EndpointId, GapId, PartnerId, QuarantineId, RecoveryId, TokenId, WatchId};

use crate::api::{ADMIN, Relay, Tenant, keep_delivery, keep_order, quarantine};

/// One operation of the document.
struct Operation {
    method: Method,
    path: String,
    document: Value,
}

fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(http::openapi()).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, document) in methods.as_object().unwrap() {
            let Ok(method) = method.to_uppercase().parse() else { continue };
            operations.push(Operation { method, path: path.clone(), document: document.clone() });
        }
    }
    assert!(operations.len() > 30, "the document has operations");
    operations
}

impl Operation {
    /// It says that it needs no token: `security` is there and lets everybody in.
    fn is_open(&self) -> bool {
        let security = self.document["security"].as_array();
        security.is_some_and(|ways| ways.is_empty() || ways.iter().any(|way| way == &serde_json::json!({})))
    }

    fn request(&self, path: &str, token: Option<&str>) -> Request<Body> {
        let request = Request::builder().method(&self.method).uri(path);
        let request = match token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        };
        if self.document.get("requestBody").is_none() {
            return request.body(Body::empty()).unwrap();
        }
        request.header(header::CONTENT_TYPE, "application/json").body(Body::from(self.body())).unwrap()
    }

    /// A body that is right, so that only whose thing it is can be wrong.
    fn body(&self) -> String {
        let body = match self.path.as_str() {
            "/v1/endpoints/{id}/recover" => r#"{"since":"2026-01-01T00:00:00Z","only":"all"}"#,
            _ => "{}",
        };
        body.to_owned()
    }
}

/// What a tenant has: the ids that stand in paths.
struct Things(Vec<(&'static str, String)>);

impl Things {
    async fn of(relay: &Relay, tenant: &Tenant) -> Self {
        let event = keep_order(relay, tenant, "order-1", &["COMPLETED"]).await[0];
        let endpoint: EndpointId = relay.endpoint(tenant).await;
        let delivery = keep_delivery(relay, tenant, (event, endpoint), "exhausted").await;
        quarantine(relay, Some(tenant), "junk").await;
        let message = relay.get(ADMIN, "/v1/quarantine").await.rows();
        let tokens = relay.get(ADMIN, &format!("/v1/tokens?partnerId={}", tenant.id)).await.rows();
        let watch = relay.post(&tenant.token, "/v1/watches", serde_json::json!({"orderId": "order-1"})).await;
        let recovery = serde_json::json!({"since": "2026-01-01T00:00:00Z", "only": "all"});
        let path = format!("/v1/endpoints/{endpoint}/recover");
        let recovery = relay.post(&tenant.token, &path, recovery).await;
        Self(vec![
            ("/v1/partners/{id}", tenant.id.clone()),
            ("/v1/tokens/{id}", tokens[0]["id"].as_str().unwrap().to_owned()),
            ("/v1/endpoints/{id}", endpoint.to_string()),
            ("/v1/orders/{orderId}", "order-1".to_owned()),
            ("/v1/events/{id}", event.to_string()),
            ("/v1/deliveries/{id}", delivery.to_string()),
            ("/v1/watches/{id}", watch.text_at("/id")),
            ("/v1/quarantine/{id}", message[0]["id"].as_str().unwrap().to_owned()),
            ("/v1/recoveries/{id}", recovery.text_at("/id")),
        ])
    }

    /// The path of an operation with the id of what it is about; `None`: it is about no one thing.
    fn path(&self, operation: &Operation) -> Option<String> {
        if !operation.path.contains('{') {
            return None;
        }
        let found = self.0.iter().find(|(prefix, _)| operation.path.starts_with(prefix));
        let (prefix, id) = found
            .unwrap_or_else(|| panic!("{}: say in `Things::of` what a tenant has of these", operation.path));
        let filled = prefix.split('{').next().unwrap().to_owned() + id;
        Some(operation.path.replacen(prefix, &filled, 1))
    }
}

#[sqlx::test]
async fn every_route_answers_404_for_anothers_things(pool: PgPool) {
    let relay = Relay::new(pool);
    let (ours, theirs) = (relay.tenant("a").await, relay.tenant("b").await);
    let things = Things::of(&relay, &theirs).await;
    let mut tried = 0;
    for operation in operations().iter().filter(|operation| !operation.is_open()) {
        let Some(path) = things.path(operation) else { continue };
        let answer = relay.send(operation.request(&path, Some(&ours.token))).await;
        assert_eq!(answer.status, 404, "{} {}: {answer:?}", operation.method, operation.path);
        tried += 1;
    }
    assert!(tried > 15, "{tried} routes are about one thing");
    // Nothing happened to any of it.
    for (prefix, id) in &things.0 {
        let path = prefix.split('{').next().unwrap().to_owned() + id;
        let is_read = operations().iter().any(|one| one.path == *prefix && one.method == Method::GET);
        assert!(!is_read || relay.get(ADMIN, &path).await.status == 200, "{path} is gone");
    }
}

#[sqlx::test]
async fn every_route_that_names_anothers_partner_answers_404(pool: PgPool) {
    let relay = Relay::new(pool);
    let (ours, theirs) = (relay.tenant("a").await, relay.tenant("b").await);
    let things = Things::of(&relay, &theirs).await;
    let own = Things::of(&relay, &ours).await;
    for operation in operations().iter().filter(|operation| !operation.is_open()) {
        let named = operation.document["parameters"].as_array();
        if !named.is_some_and(|all| all.iter().any(|one| one["name"] == "partnerId")) {
            continue;
        }
        for path in [things.path(operation), own.path(operation)] {
            let path = path.unwrap_or_else(|| operation.path.clone());
            let path = format!("{path}?partnerId={}", theirs.id);
            let answer = relay.send(operation.request(&path, Some(&ours.token))).await;
            // Tokens are not for tenants at all.
            let refused = if operation.path.starts_with("/v1/tokens") { 403 } else { 404 };
            assert_eq!(answer.status, refused, "{} {}: {answer:?}", operation.method, operation.path);
        }
    }
}

#[sqlx::test]
async fn every_route_but_the_open_ones_answers_401_without_a_token(pool: PgPool) {
    let relay = Relay::new(pool);
    let theirs = relay.tenant("b").await;
    let things = Things::of(&relay, &theirs).await;
    for operation in operations() {
        let path = if operation.is_open() { None } else { things.path(&operation) };
        let path = path.unwrap_or_else(|| operation.path.clone());
        for token in [None, Some("rly_nobodys")] {
            let answer = relay.send(operation.request(&path, token)).await;
            let open = operation.is_open();
            assert_eq!(answer.status == 401, !open, "{} {path}: {answer:?}", operation.method);
        }
    }
}

#[sqlx::test]
async fn an_id_of_nobody_is_answered_as_anothers_is(pool: PgPool) {
    let relay = Relay::new(pool);
    let (ours, theirs) = (relay.tenant("a").await, relay.tenant("b").await);
    let things = Things::of(&relay, &theirs).await;
    let nobodys = Things(vec![
        ("/v1/partners/{id}", PartnerId::new().to_string()),
        ("/v1/tokens/{id}", TokenId::new().to_string()),
        ("/v1/endpoints/{id}", EndpointId::new().to_string()),
        ("/v1/orders/{orderId}", "order-of-nobody".to_owned()),
        ("/v1/events/{id}", transak_relay::model::id::EventId::new().to_string()),
        ("/v1/deliveries/{id}", transak_relay::model::id::DeliveryId::new().to_string()),
        ("/v1/watches/{id}", WatchId::new().to_string()),
        ("/v1/quarantine/{id}", QuarantineId::new().to_string()),
        ("/v1/recoveries/{id}", RecoveryId::new().to_string()),
        ("/v1/gaps/{id}", GapId::new().to_string()),
    ]);
    for operation in operations().iter().filter(|operation| !operation.is_open()) {
        let (Some(anothers), Some(nobodys)) = (things.path(operation), nobodys.path(operation)) else {
            continue;
        };
        let anothers = relay.send(operation.request(&anothers, Some(&ours.token))).await;
        let nobodys = relay.send(operation.request(&nobodys, Some(&ours.token))).await;
        let of = |answer: &crate::api::Answer| (answer.status, answer.text.clone());
        assert_eq!(of(&anothers), of(&nobodys), "{} {}", operation.method, operation.path);
    }
}
