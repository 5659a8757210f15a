//! Transak's Get Webhooks (docs.transak.com/api/public/get-webhooks), served by the relay: the same parameters, rows
//! and error bodies, so that a client changes only its host.
//!
//! Does not guarantee what Transak leaves open and we had to choose: newest first, at most 500 rows, and the extra
//! parameters `limit` and `skip`.

pub mod error;
pub mod row;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use serde::Serialize;
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::auth::{Reader, admit, is_ours, presented};
use super::problem::Problem;
use crate::model::endpoint::EVENTS;
use crate::model::id::PartnerId;
use crate::model::order::OrderId;
use crate::model::token::TokenHash;
use crate::model::token_owner::owner;
use crate::store::access_token;
use crate::store::event::webhooks::{self as store, WebhookFilter};
use crate::store::list::snapshot;
use crate::store::payload::read::{self as payload, PayloadKey};
use error::{ErrorBody, TransakError};
use row::Row;

/// The most rows of an answer: each holds a whole order.
const MAX_LIMIT: i64 = 500;
/// The most rows that can be skipped: all of them are walked.
const MAX_SKIP: i64 = 1_000_000;

/// The parameters that Transak has, and two more.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes what `Wanted` reads")]
pub struct WebhookParams {
    /// Only this event.
    #[param(rename = "eventID", example = "ORDER_COMPLETED", pattern = "^ORDER_[A-Z_]+$")]
    event_id: Option<String>,
    /// Only this order.
    #[param(rename = "orderID", min_length = 1, max_length = 200)]
    order_id: Option<String>,
    /// The most rows to answer.
    #[param(minimum = 1, maximum = 500, default = 500)]
    limit: Option<i64>,
    /// Rows to leave out at the beginning.
    #[param(minimum = 0, maximum = 1_000_000, default = 0)]
    skip: Option<i64>,
}

/// What is wanted, and of whose events.
pub struct Wanted {
    partners: Vec<PartnerId>,
    filter: WebhookFilter,
    meta: Meta,
}

/// What was asked for.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = WebhooksMeta)]
pub struct Meta {
    #[serde(rename = "orderID", skip_serializing_if = "Option::is_none")]
    order_id: Option<String>,
    #[serde(rename = "eventID", skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
}

/// Transak's answer.
#[derive(Serialize, ToSchema)]
pub struct Webhooks {
    meta: Meta,
    data: Vec<Row>,
}

impl FromRequestParts<Arc<Api>> for Wanted {
    type Rejection = TransakError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, TransakError> {
        let partners = partners(parts, api).await?;
        let mut meta = Meta::default();
        let mut filter = WebhookFilter { event: None, order_id: None, limit: MAX_LIMIT, skip: 0 };
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            match name.as_ref() {
                "eventID" => filter.event = Some(event(&value)?),
                "orderID" => filter.order_id = Some(order(&value)?),
                "limit" => filter.limit = number("limit", &value, 1..=MAX_LIMIT)?,
                "skip" => filter.skip = number("skip", &value, 0..=MAX_SKIP)?,
                _ => {}
            }
        }
        meta.event_id.clone_from(&filter.event);
        meta.order_id.clone_from(&filter.order_id);
        Ok(Self { partners, filter, meta })
    }
}

/// Transak's events are all that begin with `ORDER_`.
fn event(name: &str) -> Result<String, TransakError> {
    let known = name.starts_with("ORDER_") && EVENTS.contains(&name);
    known.then(|| name.to_owned()).ok_or_else(|| {
        let names: Vec<_> = EVENTS.iter().copied().filter(|name| name.starts_with("ORDER_")).collect();
        TransakError::BadRequest(format!("eventID must be one of {}", names.join(", ")))
    })
}

fn order(id: &str) -> Result<String, TransakError> {
    let id = OrderId::parse(id);
    id.map(|id| id.as_str().to_owned())
        .ok_or_else(|| TransakError::BadRequest("orderID is not an order id".to_owned()))
}

fn number(name: &str, text: &str, range: std::ops::RangeInclusive<i64>) -> Result<i64, TransakError> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        TransakError::BadRequest(format!("{name} must be a number from {} to {}", range.start(), range.end()))
    })
}

/// Whose events: the partner whose current Transak access token is presented, or what a token of the relay opens.
async fn partners(parts: &mut Parts, api: &Arc<Api>) -> Result<Vec<PartnerId>, TransakError> {
    let token = presented(&parts.headers).ok_or(Problem::Unauthorized)?;
    if is_ours(token, api) {
        return Ok(Reader::from_request_parts(parts, api).await?.partners);
    }
    let mut conn = api.pool.acquire().await.map_err(Problem::from)?;
    let holders = access_token::holders(&mut conn, token).await.map_err(Problem::from)?;
    let partner = match owner(token, &holders) {
        Some(owner) if owner.is_current => owner.partner_id,
        None if holders.iter().any(|holder| holder.is_current) => return Err(TransakError::Shared),
        _ => return Err(Problem::Unauthorized.into()),
    };
    // Who waits for a turn holds nothing that others wait for.
    drop(conn);
    admit(TokenHash::of(token), parts, api).await?;
    Ok(vec![partner])
}

/// Get Webhooks, as Transak has it: events with the order as it came and the last answer of a callback.
///
/// Transak's own access token, the partner's current one, opens it as well as a token of the relay.
#[utoipa::path(
    get, path = "/partners/api/v2/webhooks", tag = "Transak", params(WebhookParams),
    responses(
        (status = 200, description = "The events, newest first.", body = Webhooks),
        (status = 400, description = "A parameter is wrong.", body = ErrorBody),
        (status = 401, description = "There is no valid token.", body = ErrorBody),
        (status = 404, description = "There is no such partner.", body = ErrorBody),
        (status = 429, description = "Too many requests with this token.", body = ErrorBody),
        (status = 500, description = "The relay failed.", body = ErrorBody),
        (status = 503, description = "Not available right now.", body = ErrorBody),
    ),
)]
pub async fn get_webhooks(
    State(api): State<Arc<Api>>,
    wanted: Wanted,
) -> Result<Json<Webhooks>, TransakError> {
    let data = rows(&api, &wanted).await?;
    Ok(Json(Webhooks { meta: wanted.meta, data }))
}

async fn rows(api: &Api, wanted: &Wanted) -> Result<Vec<Row>, Problem> {
    let mut conn = snapshot(&api.pool).await?;
    let events = store::list(&mut conn, &wanted.partners, &wanted.filter).await?;
    let keys = events.iter().map(|event| PayloadKey {
        partner_id: event.partner_id,
        event_id: event.event_id,
        received_at: event.received_at,
    });
    let mut payloads: HashMap<_, _> =
        payload::find_all(&mut conn, &keys.collect::<Vec<_>>()).await?.into_iter().collect();
    let attempts = store::last_attempts(&mut conn, &events).await?;
    let mut attempts: HashMap<_, _> =
        attempts.into_iter().map(|attempt| (attempt.event_id, attempt)).collect();
    let rows = events.into_iter().map(|event| {
        let (payload, attempt) = (payloads.remove(&event.event_id), attempts.remove(&event.event_id));
        Row::new(event, payload, attempt)
    });
    Ok(rows.collect())
}
