//! A Transak of a few lines: its four REST calls over what a test puts in, with faults on request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::hmac;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;

pub(crate) const API_KEY: &str = "the-api-key";
/// Calls of API keys that begin so are never answered.
pub(crate) const HANGING_KEY: &str = "the-key-that-hangs";
pub(crate) const API_SECRET: &str = "the-api-secret";

/// What a call answers with instead.
#[derive(Clone)]
pub(crate) enum Fault {
    Status(u16, Option<u32>, &'static str),
    Body(String),
}

/// What Transak knows.
pub(crate) struct World {
    /// Its clock, for the tokens it makes.
    pub(crate) now: DateTime<Utc>,
    pub(crate) token_life: TimeDelta,
    /// How many tokens it has made.
    tokens: usize,
    /// The one token it accepts.
    pub(crate) token: String,
    pub(crate) orders: Vec<Value>,
    pub(crate) webhooks: HashMap<String, Vec<Value>>,
    /// Calls whose path and query contain the text.
    pub(crate) faults: Vec<(&'static str, Fault)>,
    /// Path and query of every call.
    pub(crate) calls: Vec<String>,
    /// The most orders of a page, whatever is asked.
    pub(crate) largest_page: usize,
    /// `totalCount` is told, and so far from the truth.
    pub(crate) total_off_by: Option<i64>,
    /// Get Orders shows all orders, whatever days are asked for.
    pub(crate) ignores_days: bool,
    /// Orders that Get Orders does not show.
    pub(crate) unlisted: Vec<&'static str>,
    /// How far its clock is behind, by its `Date`.
    pub(crate) behind: TimeDelta,
    /// How many calls with [`HANGING_KEY`] it has let hang.
    pub(crate) hung: watch::Sender<usize>,
}

pub(crate) struct Fake {
    pub(crate) url: Url,
    world: Arc<Mutex<World>>,
    _task: JoinSet<()>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let world = World {
            now: Utc::now(),
            token_life: TimeDelta::days(7),
            tokens: 0,
            token: String::new(),
            orders: Vec::new(),
            webhooks: HashMap::new(),
            faults: Vec::new(),
            calls: Vec::new(),
            largest_page: 100,
            total_off_by: Some(0),
            ignores_days: false,
            unlisted: Vec::new(),
            behind: TimeDelta::zero(),
            hung: watch::Sender::new(0),
        };
        let world = Arc::new(Mutex::new(world));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&world));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, world, _task: task }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// How many calls contained this text.
    pub(crate) fn calls(&self, part: &str) -> usize {
        self.world().calls.iter().filter(|call| call.contains(part)).count()
    }

    pub(crate) fn fault(&self, part: &'static str, fault: Fault) {
        self.world().faults.push((part, fault));
    }
}

impl World {
    /// Replaces the token as a refresh does.
    pub(crate) fn new_token(&mut self) -> String {
        self.tokens += 1;
        let claims = json!({
            "API_KEY": API_KEY, "iat": self.now.timestamp(), "exp": (self.now + self.token_life).timestamp(),
            "n": self.tokens,
        });
        self.token = sign(&claims.to_string(), "transak's own secret");
        self.token.clone()
    }

    /// An order took this way; its webhooks are remembered with the order as it was then.
    pub(crate) fn play(&mut self, id: &str, way: &[(&str, DateTime<Utc>)]) {
        let history: Vec<Value> = way.iter().map(|(status, at)| row(status, *at)).collect();
        let (status, at) = way.last().unwrap();
        let mut order = order(id, status, *at);
        order["createdAt"] = json!(way[0].1);
        order["partnerApiKey"] = json!(API_KEY);
        order["statusHistories"] = json!(history);
        let messages = way.iter().map(|(status, at)| webhook(id, status, *at)).collect();
        self.orders.push(order);
        self.webhooks.insert(id.to_owned(), messages);
    }
}

/// The order as the stream and the webhook show it.
pub(crate) fn order(id: &str, status: &str, at: DateTime<Utc>) -> Value {
    json!({"id": id, "status": status, "updatedAt": at, "isBuyOrSell": "BUY", "fiatAmount": 45})
}

fn row(status: &str, at: DateTime<Utc>) -> Value {
    json!({"status": status, "createdAt": at, "message": "internal", "partnerEventId": event(status)})
}

fn webhook(id: &str, status: &str, at: DateTime<Utc>) -> Value {
    json!({
        "id": "670e7c469f2a5dd93fbe4406", "partnerApiKey": API_KEY, "createdAt": at, "eventID": event(status),
        "webhookData": order(id, status, at), "webhookResponse": {},
    })
}

fn event(status: &str) -> &'static str {
    match status {
        "AWAITING_PAYMENT_FROM_USER" => "ORDER_CREATED",
        "COMPLETED" => "ORDER_COMPLETED",
        "FAILED" | "CANCELLED" | "EXPIRED" => "ORDER_FAILED",
        "REFUNDED" => "ORDER_REFUNDED",
        _ => "ORDER_PROCESSING",
    }
}

/// A message as Transak signs it.
pub(crate) fn sign(claims: &str, token: &str) -> String {
    let head = format!("{}.{}", B64.encode(r#"{"alg":"HS256"}"#), B64.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    format!("{head}.{}", B64.encode(hmac::sign(&key, head.as_bytes())))
}

fn refusal(status: u16, message: &str) -> Response {
    let body = json!({"error": {"statusCode": status, "name": "x", "message": message}});
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

async fn answer(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response {
    let key = request.headers().get("x-api-key");
    if key.is_some_and(|key| key.as_bytes().starts_with(HANGING_KEY.as_bytes())) {
        world.lock().unwrap().hung.send_modify(|hung| *hung += 1);
        std::future::pending::<()>().await;
    }
    let mut world = world.lock().unwrap();
    let mut response = answer_now(&mut world, &request);
    let date = std::time::SystemTime::from(Utc::now() - world.behind);
    response.headers_mut().insert("date", httpdate::fmt_http_date(date).parse().unwrap());
    response
}

fn answer_now(world: &mut World, request: &Request) -> Response {
    let call = request.uri().path_and_query().unwrap().to_string();
    world.calls.push(call.clone());
    let fault = world.faults.iter().find(|(part, _)| call.contains(part)).map(|(_, fault)| fault.clone());
    match fault {
        Some(Fault::Body(body)) => return body.into_response(),
        Some(Fault::Status(status, retry_after, message)) => {
            let mut response = refusal(status, message);
            if let Some(seconds) = retry_after {
                response.headers_mut().insert("retry-after", seconds.into());
            }
            return response;
        }
        None => {}
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!(header("x-api-key"), Some(API_KEY));
    let path = request.uri().path().strip_prefix("/partners/api/v2/").unwrap();
    if path == "refresh-token" {
        if header("api-secret") != Some(API_SECRET) {
            return refusal(400, "Invalid api-secret. Please generate new api-secret from Partner Dashboard");
        }
        let token = world.new_token();
        let end = (world.now + world.token_life).timestamp();
        return axum::Json(json!({"data": {"accessToken": token, "expiresAt": end}})).into_response();
    }
    if header("access-token") != Some(&world.token) {
        return refusal(400, "Your Access Token is Inactive. Please use latest one");
    }
    told(world, path, request.uri().query().unwrap_or_default())
}

fn told(world: &World, path: &str, query: &str) -> Response {
    let query: HashMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    if let Some(id) = path.strip_prefix("order/") {
        let order = world.orders.iter().find(|order| order["id"] == id);
        return order.map_or_else(
            || refusal(400, "Order not found"),
            |order| axum::Json(json!({"meta": {"orderId": id}, "data": order})).into_response(),
        );
    }
    if path == "webhooks" {
        let rows = world.webhooks.get(&query["orderID"]).cloned().unwrap_or_default();
        return axum::Json(json!({"meta": {}, "data": rows})).into_response();
    }
    assert_eq!(path, "orders");
    let wanted = |order: &&Value| {
        let day = &order["createdAt"].as_str().unwrap()[..10];
        let product = order["isBuyOrSell"].as_str().unwrap();
        let is_unlisted = world.unlisted.iter().any(|id| order["id"] == *id || order["_id"] == *id);
        let is_asked_for = (query["startDate"].as_str()..=query["endDate"].as_str()).contains(&day);
        query["filter[productsAvailed]"].contains(product)
            && (world.ignores_days || is_asked_for)
            && !is_unlisted
    };
    let found: Vec<&Value> = world.orders.iter().filter(wanted).collect();
    let (skip, limit): (usize, usize) = (query["skip"].parse().unwrap(), query["limit"].parse().unwrap());
    let page: Vec<_> = found.iter().skip(skip).take(limit.min(world.largest_page)).collect();
    let total = world.total_off_by.map(|off| i64::try_from(found.len()).unwrap() + off);
    let meta = total.map_or_else(|| json!({}), |total| json!({ "totalCount": total.max(0) }));
    axum::Json(json!({"meta": meta, "data": page})).into_response()
}
