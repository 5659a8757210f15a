//! The status history of an order: which statuses it went through, and how long each lasted.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::Api;
use super::auth::Reader;
use super::event::sightings;
use super::field::Time;
use super::page::PartnerParam;
use super::path::Path;
use super::problem::Problem;
use super::problem::openapi::Common;
use super::timeline::events_of;
use crate::model::event::Source;
use crate::model::order::OrderId;
use crate::model::timeline::durations_ms;
use crate::store::event::read::Event;
use crate::store::list::snapshot;
use crate::store::order::read as order;
use crate::store::payload::read::{self as payload, PayloadKey};

/// The most payloads that are searched for messages: the newest ones hold the whole history.
const PAYLOADS: usize = 20;

/// The statuses an order went through.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusHistory {
    /// Transak's id.
    order_id: String,
    /// Where the order stands.
    #[schema(example = "COMPLETED")]
    current_status: String,
    /// The order is over.
    terminal: bool,
    /// Oldest first. The same status heard several times in a row is one row.
    data: Vec<HistoryRow>,
}

/// A status an order was in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryRow {
    /// As Transak writes it.
    #[schema(example = "COMPLETED")]
    status: String,
    /// The name of the event it came with.
    #[schema(example = "ORDER_COMPLETED")]
    event: String,
    /// When the order reached it.
    created_at: Time,
    /// Transak's words, where it sent any.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Where it was heard first.
    source: Source,
    /// Milliseconds until the next status; null for the last.
    #[schema(required, minimum = 0)]
    duration_ms: Option<i64>,
}

/// Get the statuses an order went through and how long each lasted.
#[utoipa::path(
    get, path = "/v1/orders/{orderId}/status-history", tag = "Orders",
    params(("orderId" = String, Path, description = "Transak's id of the order."), PartnerParam),
    responses((status = 200, description = "The statuses, oldest first.", body = StatusHistory), Common),
)]
pub async fn get_status_history(
    State(api): State<Arc<Api>>,
    reader: Reader,
    Path(order_id): Path<OrderId>,
) -> Result<Json<StatusHistory>, Problem> {
    let mut conn = snapshot(&api.pool).await?;
    let order = order::find(&mut conn, &reader.partners, order_id.as_str()).await?;
    let order = order.ok_or(Problem::NotFound("order"))?;
    let mut events = events_of(&mut conn, &order).await?;
    events.retain(|event| event.status.is_some());
    events.dedup_by(|later, earlier| later.status == earlier.status);
    let data = rows(&mut conn, events).await?;
    let terminal = order.is_terminal();
    Ok(Json(StatusHistory { order_id: order.order_id, current_status: order.status, terminal, data }))
}

async fn rows(conn: &mut PgConnection, events: Vec<Event>) -> Result<Vec<HistoryRow>, Problem> {
    let messages = messages(conn, &events).await?;
    let sightings = sightings(conn, &events).await?;
    let times: Vec<_> = events.iter().map(|event| event.occurred_at).collect();
    let rows = events.into_iter().zip(durations_ms(&times)).map(|(event, duration_ms)| {
        let first = sightings.get(&event.event_id).and_then(|seen| seen.first());
        let status = event.status.unwrap_or_default();
        HistoryRow {
            message: message(&messages, &status, event.occurred_at),
            status,
            event: event.event,
            created_at: Time(event.occurred_at),
            source: first.map_or(Source::Reconcile, |seen| seen.source),
            duration_ms,
        }
    });
    Ok(rows.collect())
}

/// A row of `statusHistories` in an order of Transak's.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    status: String,
    message: Option<String>,
    created_at: Option<DateTime<Utc>>,
}

/// What Transak said of statuses, in any payload of these events.
async fn messages(conn: &mut PgConnection, events: &[Event]) -> Result<Vec<Told>, Problem> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Order {
        #[serde(default)]
        status_histories: Vec<serde_json::Value>,
    }
    let keys = events.iter().rev().take(PAYLOADS).map(|event| PayloadKey {
        partner_id: event.partner_id,
        event_id: event.event_id,
        received_at: event.received_at,
    });
    let payloads = payload::find_all(conn, &keys.collect::<Vec<_>>()).await?;
    let orders = payloads.iter().filter_map(|(_, body)| serde_json::from_slice::<Order>(body).ok());
    Ok(orders
        .flat_map(|order| order.status_histories)
        .filter_map(|row| serde_json::from_value(row).ok())
        .collect())
}

/// The message for a status: of several, the one nearest in time.
fn message(told: &[Told], status: &str, at: DateTime<Utc>) -> Option<String> {
    let fitting = told.iter().filter(|told| told.status == status && told.message.is_some());
    let distance =
        |told: &&Told| told.created_at.map_or(i64::MAX, |created| (created - at).num_seconds().abs());
    fitting.min_by_key(distance).and_then(|told| told.message.clone())
}
