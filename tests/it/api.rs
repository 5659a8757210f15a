//! The API by `oneshot`, and rows as the rest of the relay would have written them.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use chrono::{DateTime, Utc};
use http_body_util::BodyExt as _;
use serde_json::Value;
use sqlx::PgPool;
use tower::ServiceExt as _;
use transak_relay::http::health::Trouble;
use transak_relay::http::{Api, router};
use transak_relay::model::address::AddressPolicy;
use transak_relay::model::callback_url::UrlPolicy;
use transak_relay::model::id::{DeliveryId, EndpointId, EventId, PartnerId, QuarantineId};
use transak_relay::model::seal::MasterKey;
use transak_relay::model::token::TokenHash;

pub(crate) const ADMIN: &str = "rly_bootstrap_token_of_the_tests";

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body, which must be JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A member of the body, as a text.
    pub(crate) fn text_at(&self, pointer: &str) -> String {
        self.json().pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The rows of a list.
    pub(crate) fn rows(&self) -> Vec<Value> {
        self.json()["data"].as_array().unwrap_or_else(|| panic!("{self:?}")).clone()
    }

    /// Asserts a problem of this status and type.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, slug: &str) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{self:?}");
        assert_eq!(self.text_at("/type"), format!("/docs/problems/{slug}"), "{self:?}");
        assert_eq!(self.json()["status"], status);
        self
    }

    /// Asserts that the problem names these fields.
    #[track_caller]
    pub(crate) fn names(&self, fields: &[&str]) {
        let errors = self.json()["errors"].as_array().cloned().unwrap_or_default();
        let named: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap_or_default()).collect();
        assert_eq!(named, fields, "{self:?}");
    }
}

/// The API over one database.
pub(crate) struct Relay {
    pub(crate) pool: PgPool,
    router: Router,
    pub(crate) health: tokio::sync::watch::Sender<Vec<Trouble>>,
}

impl Relay {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self::with(pool, |_| ())
    }

    /// One that is configured otherwise.
    pub(crate) fn with(pool: PgPool, configure: impl FnOnce(&mut Api)) -> Self {
        let (health, watched) = tokio::sync::watch::channel(Vec::new());
        let mut api = Api {
            intake: None,
            pictures: None,
            rates: transak_relay::http::rate::TokenRates::default(),
            limits: transak_relay::http::Limits { endpoints: 1_000, watches: 10_000 },
            turns: transak_relay::http::turns::Turns::new(8),
            vitals: pool.clone(),
            cors_origins: Vec::new(),
            strangers: transak_relay::http::strangers::Strangers::default(),
            pool: pool.clone(),
            master_key: MasterKey::parse("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=").unwrap(),
            admin_token: Some(TokenHash::of(ADMIN)),
            url_policy: UrlPolicy { allow_http: false, addresses: AddressPolicy::default() },
            health: watched,
            feed: transak_relay::http::live::Feed::default(),
            metrics: None,
        };
        configure(&mut api);
        Self { pool, router: router(api), health }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        self.call(token, (Method::GET, path), None).await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: Value) -> Answer {
        self.call(token, (Method::POST, path), Some(body.to_string())).await
    }

    pub(crate) async fn patch(&self, token: &str, path: &str, body: Value) -> Answer {
        self.call(token, (Method::PATCH, path), Some(body.to_string())).await
    }

    pub(crate) async fn delete(&self, token: &str, path: &str) -> Answer {
        self.call(token, (Method::DELETE, path), None).await
    }

    pub(crate) async fn call(
        &self,
        token: &str,
        (method, path): (Method, &str),
        body: Option<String>,
    ) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        let request =
            if body.is_some() { request.header(header::CONTENT_TYPE, "application/json") } else { request };
        self.send(request.body(Body::from(body.unwrap_or_default())).unwrap()).await
    }

    /// A partner with a token that may write.
    pub(crate) async fn tenant(&self, name: &str) -> Tenant {
        let body =
            serde_json::json!({"name": name, "environment": "STAGING", "apiKey": format!("key-{name}")});
        let made = self.post(ADMIN, "/v1/partners", body).await;
        assert_eq!(made.status, 201, "{made:?}");
        let id = made.text_at("/id");
        let token = self.token(&id, "write").await;
        Tenant { partner_id: id.parse().unwrap(), id, token }
    }

    /// A token of a partner.
    pub(crate) async fn token(&self, partner: &str, scope: &str) -> String {
        let body = serde_json::json!({"name": "test", "scope": scope, "partnerId": partner});
        let made = self.post(ADMIN, "/v1/tokens", body).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.text_at("/token")
    }

    /// An endpoint of a tenant.
    pub(crate) async fn endpoint(&self, tenant: &Tenant) -> EndpointId {
        let body = serde_json::json!({"url": "https://example.com/hook"});
        let made = self.post(&tenant.token, "/v1/endpoints", body).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.text_at("/id").parse().unwrap()
    }
}

pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) partner_id: PartnerId,
    pub(crate) token: String,
}

pub(crate) fn at(minute: u32) -> DateTime<Utc> {
    format!("2026-04-04T13:{minute:02}:00Z").parse().unwrap()
}

/// An order that went through these statuses, a minute each; the ids of its events.
pub(crate) async fn keep_order(
    relay: &Relay,
    tenant: &Tenant,
    order_id: &str,
    statuses: &[&str],
) -> Vec<EventId> {
    let mut ids = Vec::new();
    for (minute, status) in (0..).zip(statuses) {
        let body = format!(
            r#"{{"id":"{order_id}","status":"{status}","cryptoAmount":0.0006130127560164107,"statusHistories":[{{"status":"{status}","createdAt":"2026-04-04T13:{minute:02}:00.000Z","message":"now {status}"}}]}}"#
        );
        ids.push(keep_event(relay, tenant, (order_id, status), (at(minute), &body)).await);
    }
    let (status, event) = (statuses[statuses.len() - 1], ids[ids.len() - 1]);
    sqlx::query(
        r#"insert into "order" (partner_id, order_id, partner_order_id, status, status_at, verified, product,
               wallet_address, fiat_currency, fiat_amount, crypto_currency, crypto_amount, network, created_at,
               updated_at, snapshot_event_id, snapshot_received_at, snapshot_at)
           values ($1, $2, 'po-' || $2, $3, $4, true, 'BUY', '0xD902', 'EUR', '30', 'ETH', '0.0006130127560164107',
                   'ethereum', $5, $4, $6, $4, $4)"#,
    )
    .bind(tenant.partner_id)
    .bind(order_id)
    .bind(status)
    .bind(at(u32::try_from(statuses.len()).unwrap() - 1))
    .bind(at(0))
    .bind(event)
    .execute(&relay.pool)
    .await
    .unwrap();
    ids
}

async fn keep_event(
    relay: &Relay,
    tenant: &Tenant,
    (order_id, status): (&str, &str),
    (at, body): (DateTime<Utc>, &str),
) -> EventId {
    let id = EventId::new();
    sqlx::query(
        "insert into event (partner_id, event_id, order_id, event, status, identity, occurred_at, received_at)
         values ($1, $2, $3, 'ORDER_PROCESSING', $4, $5, $6, $6)",
    )
    .bind(tenant.partner_id)
    .bind(id)
    .bind(order_id)
    .bind(status)
    .bind(id.uuid().as_bytes().as_slice())
    .bind(at)
    .execute(&relay.pool)
    .await
    .unwrap();
    sqlx::query("insert into payload (partner_id, event_id, received_at, body) values ($1, $2, $3, $4)")
        .bind(tenant.partner_id)
        .bind(id)
        .bind(at)
        .bind(body.as_bytes())
        .execute(&relay.pool)
        .await
        .unwrap();
    sqlx::query("insert into sighting (partner_id, event_id, source, at, verified) values ($1, $2, 'stream', $3, true)")
        .bind(tenant.partner_id)
        .bind(id)
        .bind(at)
        .execute(&relay.pool)
        .await
        .unwrap();
    id
}

/// A delivery in this state, with one attempt if it is over.
pub(crate) async fn keep_delivery(
    relay: &Relay,
    tenant: &Tenant,
    (event, endpoint): (EventId, EndpointId),
    state: &str,
) -> DeliveryId {
    let id = DeliveryId::new();
    sqlx::query(
        "insert into delivery (partner_id, delivery_id, event_id, endpoint_id, state, attempts, next_attempt_at,
                               last_status_code, finished_at)
         values ($1, $2, $3, $4, $5::delivery_state, 1, case $5 when 'pending' then now() + interval '1 hour' end,
                 500, case when $5 in ('succeeded', 'exhausted', 'cancelled') then now() end)",
    )
    .bind(tenant.partner_id)
    .bind(id)
    .bind(event)
    .bind(endpoint)
    .bind(state)
    .execute(&relay.pool)
    .await
    .unwrap();
    sqlx::query(
        r#"insert into attempt (partner_id, delivery_id, attempt_id, at, status_code, remote_ip, dns_ms, total_ms,
                                request_headers, response_headers, response_body)
           values ($1, $2, gen_random_uuid(), now(), 500, '192.0.2.1', 1, 7, '{"webhook-id":"evt"}',
                   '{"server":"x"}', '\xff6e6f')"#,
    )
    .bind(tenant.partner_id)
    .bind(id)
    .execute(&relay.pool)
    .await
    .unwrap();
    id
}

/// A quarantined message; of nobody without a tenant.
pub(crate) async fn quarantine(relay: &Relay, tenant: Option<&Tenant>, raw: &str) {
    sqlx::query(
        "insert into quarantine (quarantine_id, partner_id, source, reason, raw, fingerprint, received_at)
         values ($1, $2, 'stream', 'no key verifies it', $3, $3, now())",
    )
    .bind(QuarantineId::new())
    .bind(tenant.map(|tenant| tenant.partner_id))
    .bind(raw.as_bytes())
    .execute(&relay.pool)
    .await
    .unwrap();
}
