//! The four calls of Transak's partner API that a relay needs (`docs.transak.com/api/public/*`), with their envelopes.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::{Days, NaiveDate, Utc};
use http::{HeaderMap, StatusCode, header};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::tokens::{LIFETIME, Refusal};
use super::{Fault, Shared};
use crate::sandbox::book::{Filter, WebhookRow};

/// The page Get Orders answers with unless asked otherwise.
const DEFAULT_LIMIT: usize = 100;
/// How far back it looks unless asked otherwise.
const DEFAULT_DAYS: u64 = 90;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefreshBody {
    api_key: String,
}

/// `POST /partners/api/v2/refresh-token`
pub(super) async fn refresh_token(
    State(shared): State<Arc<Shared>>,
    Extension(fault): Extension<Fault>,
    headers: HeaderMap,
    body: Result<Json<RefreshBody>, axum::extract::rejection::JsonRejection>,
) -> Response {
    let Ok(Json(body)) = body else {
        return envelope(StatusCode::BAD_REQUEST, "Invalid request payload input");
    };
    let now = Utc::now().timestamp();
    let lifetime = if fault == Fault::ExpiredToken { -1 } else { LIFETIME };
    match shared.tokens.refresh((&body.api_key, text(&headers, "api-secret")), now, lifetime) {
        Ok((token, ends)) => {
            Json(json!({ "data": { "accessToken": token.expose_secret(), "expiresAt": ends } }))
                .into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// `GET /partners/api/v2/order/{id}`
pub(super) async fn get_order(
    State(shared): State<Arc<Shared>>,
    Extension(fault): Extension<Fault>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    if let Err(refusal) = shared.authorize(&headers) {
        return refusal.into_response();
    }
    let order = match fault {
        Fault::AnotherOrder => shared.book.another_order(&id),
        _ => shared.book.order(&id),
    };
    match order {
        Some(order) => raw(&json!({ "orderId": id }), &order),
        None => envelope(StatusCode::BAD_REQUEST, "Order not found"),
    }
}

/// `GET /partners/api/v2/orders`
pub(super) async fn get_orders(
    State(shared): State<Arc<Shared>>,
    Extension(fault): Extension<Fault>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    if let Err(refusal) = shared.authorize(&headers) {
        return refusal.into_response();
    }
    let Ok(asked) = OrdersQuery::read(&query.unwrap_or_default(), Utc::now().date_naive()) else {
        return envelope(StatusCode::BAD_REQUEST, "Invalid request query input");
    };
    let mut orders = shared.book.orders(&asked.filter);
    let total = orders.len();
    if asked.newest_first {
        orders.reverse();
    }
    let mut meta = asked.meta(total);
    let mut limit = asked.limit;
    if let (Fault::SmallPages(most), Some(meta)) = (fault, meta.as_object_mut()) {
        meta.remove("totalCount");
        limit = limit.min(most);
    }
    let page: Vec<String> = orders.into_iter().skip(asked.skip).take(limit).collect();
    raw(&meta, &format!("[{}]", page.join(",")))
}

/// `GET /partners/api/v2/webhooks`
pub(super) async fn get_webhooks(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    if let Err(refusal) = shared.authorize(&headers) {
        return refusal.into_response();
    }
    let query = query.unwrap_or_default();
    let (order, event) = (value(&query, "orderID"), value(&query, "eventID"));
    let rows = shared.book.webhooks(order.as_deref(), event.as_deref());
    Json(Webhooks { meta: json!({ "orderID": order, "eventID": event }), data: rows }).into_response()
}

#[derive(Serialize)]
struct Webhooks {
    meta: serde_json::Value,
    data: Vec<WebhookRow>,
}

/// What Get Orders was asked.
#[derive(Debug)]
struct OrdersQuery {
    filter: Filter,
    limit: usize,
    skip: usize,
    newest_first: bool,
}

impl OrdersQuery {
    fn read(query: &str, today: NaiveDate) -> Result<Self, ()> {
        let number = |name: &str, default: usize| match value(query, name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(drop),
        };
        let day = |name: &str, default: NaiveDate| match value(query, name) {
            None => Ok(default),
            Some(text) => NaiveDate::parse_from_str(&text, "%Y-%m-%d").map_err(drop),
        };
        let first = today.checked_sub_days(Days::new(DEFAULT_DAYS)).ok_or(())?;
        let mut products = list(query, "filter[productsAvailed]")?;
        if products.is_empty() {
            products.push("BUY".to_owned());
        }
        Ok(Self {
            filter: Filter {
                products,
                statuses: list(query, "filter[status]")?,
                partner_order_id: value(query, "filter[partnerOrderId]"),
                days: Some((day("startDate", first)?, day("endDate", today)?)),
            },
            limit: number("limit", DEFAULT_LIMIT)?,
            skip: number("skip", 0)?,
            newest_first: value(query, "filter[sortOrder]").is_none_or(|order| order == "desc"),
        })
    }

    fn meta(&self, total: usize) -> serde_json::Value {
        let Filter { products, statuses, days, .. } = &self.filter;
        json!({
            "filter": { "productsAvailed": products, "status": statuses },
            "sortOrder": if self.newest_first { "desc" } else { "asc" },
            "startDate": days.map(|(first, _)| first.to_string()),
            "endDate": days.map(|(_, last)| last.to_string()),
            "limit": self.limit, "skip": self.skip, "totalCount": total,
        })
    }
}

fn value(query: &str, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// A list in a query is a JSON array; a bare word is taken for a list of one.
fn list(query: &str, name: &str) -> Result<Vec<String>, ()> {
    match value(query, name) {
        Some(text) if text.starts_with('[') => serde_json::from_str(&text).map_err(drop),
        Some(text) => Ok(vec![text]),
        None => Ok(Vec::new()),
    }
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// `{"meta":…,"data":…}` with the data exactly as written.
fn raw(meta: &serde_json::Value, data: &str) -> Response {
    let body = format!("{{\"meta\":{meta},\"data\":{data}}}");
    debug_assert!(serde_json::from_str::<&RawValue>(&body).is_ok(), "the answer must be JSON");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Transak's error envelope.
pub(super) fn envelope(status: StatusCode, message: &str) -> Response {
    let name = status.canonical_reason().unwrap_or("Error");
    let error = json!({ "error": { "statusCode": status.as_u16(), "name": name, "message": message } });
    (status, Json(error)).into_response()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthorized => envelope(StatusCode::UNAUTHORIZED, "Authorization Required"),
            Self::Inactive => envelope(
                StatusCode::BAD_REQUEST,
                "Your Access Token is Inactive. Please use latest one or generate a new one using our /token end point",
            ),
            Self::WrongSecret => envelope(
                StatusCode::BAD_REQUEST,
                "Invalid api-secret. Please generate new api-secret from Partner Dashboard",
            ),
        }
    }
}
