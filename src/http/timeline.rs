//! The timeline of an order: what happened, when, how it was learned, and who was told with what answer.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
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
use crate::model::delivery::DeliveryState;
use crate::model::event::Source;
use crate::model::id::{DeliveryId, EndpointId, EventId, PartnerId};
use crate::model::order::OrderId;
use crate::model::timeline::{durations_ms, place};
use crate::store::delivery::read::{self as delivery, Delivery};
use crate::store::event::read::{self as event, Event};
use crate::store::gap::{self, Gap};
use crate::store::list::snapshot;
use crate::store::order::read::{self as order, Order};

/// The timeline of an order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// Transak's id.
    order_id: String,
    /// The partner's own reference.
    #[schema(required)]
    partner_order_id: Option<String>,
    /// Where the order stands.
    #[schema(example = "COMPLETED")]
    status: String,
    /// The order is over.
    terminal: bool,
    /// The events, oldest first, 1000 at most.
    entries: Vec<Entry>,
    /// When something could have been missed, oldest first.
    gaps: Vec<GapView>,
}

/// An event in the timeline of its order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TimelineEntry)]
pub struct Entry {
    event_id: EventId,
    /// The name it came with.
    #[schema(example = "ORDER_COMPLETED")]
    event: String,
    /// The status the order reached.
    #[schema(required, example = "COMPLETED")]
    status: Option<String>,
    /// By Transak's clock where it says so, else when it was received.
    occurred_at: Time,
    /// When the relay first heard it.
    received_at: Time,
    /// Its arrivals, oldest first.
    sightings: Vec<SightingView>,
    /// Milliseconds until the next entry occurred; null for the last.
    #[schema(required, minimum = 0)]
    duration_ms: Option<i64>,
    /// Why somebody should look; null if nothing is unusual.
    #[schema(required)]
    anomaly: Option<String>,
    /// Who was told, or is to be.
    deliveries: Vec<DeliveryView>,
}

/// One arrival of an event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TimelineSighting)]
pub struct SightingView {
    source: Source,
    /// When it came.
    at: Time,
}

/// A delivery in the timeline.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TimelineDelivery)]
pub struct DeliveryView {
    delivery_id: DeliveryId,
    endpoint_id: EndpointId,
    state: DeliveryState,
    /// Requests made so far.
    #[schema(minimum = 0)]
    attempts: i32,
    /// What the endpoint last answered; null if it never did.
    #[schema(required, minimum = 100, maximum = 999)]
    last_status_code: Option<i16>,
    /// When the endpoint had it; null until then.
    #[schema(required)]
    delivered_at: Option<Time>,
}

/// A span in which the stream was not heard.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TimelineGap)]
pub struct GapView {
    from: Time,
    /// Null while it lasts.
    #[schema(required)]
    to: Option<Time>,
    /// When what was missed had been fetched from Transak; null until then.
    #[schema(required)]
    repaired_at: Option<Time>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let succeeded = delivery.state == DeliveryState::Succeeded;
        Self {
            delivery_id: delivery.delivery_id,
            endpoint_id: delivery.endpoint_id,
            state: delivery.state,
            attempts: delivery.attempts,
            last_status_code: delivery.last_status_code,
            delivered_at: delivery.finished_at.filter(|_| succeeded).map(Time),
        }
    }
}

impl From<Gap> for GapView {
    fn from(gap: Gap) -> Self {
        Self { from: Time(gap.from), to: gap.to.map(Time), repaired_at: gap.repaired_at.map(Time) }
    }
}

/// Get the timeline of an order: what happened, when, how it was learned, and who was told.
#[utoipa::path(
    get, path = "/v1/orders/{orderId}/timeline", tag = "Orders",
    params(("orderId" = String, Path, description = "Transak's id of the order."), PartnerParam),
    responses((status = 200, description = "The timeline.", body = Timeline), Common),
)]
pub async fn get_timeline(
    State(api): State<Arc<Api>>,
    reader: Reader,
    Path(order_id): Path<OrderId>,
) -> Result<Json<Timeline>, Problem> {
    let mut conn = snapshot(&api.pool).await?;
    let order = order::find(&mut conn, &reader.partners, order_id.as_str()).await?;
    let order = order.ok_or(Problem::NotFound("order"))?;
    let events = events_of(&mut conn, &order).await?;
    let entries = entries(&mut conn, order.partner_id, events).await?;
    let gaps = gap::touching_order(&mut conn, &order).await?;
    Ok(Json(Timeline {
        terminal: order.is_terminal(),
        order_id: order.order_id,
        partner_order_id: order.partner_order_id,
        status: order.status,
        entries,
        gaps: gaps.into_iter().map(GapView::from).collect(),
    }))
}

/// The events of an order in the order in which they are told.
pub async fn events_of(conn: &mut PgConnection, order: &Order) -> Result<Vec<Event>, Problem> {
    let mut events = event::of_order(conn, order).await?;
    events.sort_by_key(|event| {
        place(event.occurred_at, event.status.as_deref(), event.received_at, event.event_id)
    });
    Ok(events)
}

async fn entries(
    conn: &mut PgConnection,
    partner_id: PartnerId,
    events: Vec<Event>,
) -> Result<Vec<Entry>, Problem> {
    let ids: Vec<_> = events.iter().map(|event| event.event_id).collect();
    let times: Vec<_> = events.iter().map(|event| event.occurred_at).collect();
    let mut sightings = sightings(conn, &events).await?;
    let mut deliveries: HashMap<_, Vec<_>> = HashMap::new();
    for delivery in delivery::of_events(conn, partner_id, &ids).await? {
        deliveries.entry(delivery.event_id).or_default().push(delivery.into());
    }
    let entries = events.into_iter().zip(durations_ms(&times)).map(|(event, duration_ms)| Entry {
        event_id: event.event_id,
        event: event.event,
        status: event.status,
        occurred_at: Time(event.occurred_at),
        received_at: Time(event.received_at),
        sightings: seen(sightings.remove(&event.event_id)),
        duration_ms,
        anomaly: event.anomaly,
        deliveries: deliveries.remove(&event.event_id).unwrap_or_default(),
    });
    Ok(entries.collect())
}

fn seen(sightings: Option<Vec<super::event::Sighting>>) -> Vec<SightingView> {
    let sightings = sightings.unwrap_or_default();
    sightings.into_iter().map(|seen| SightingView { source: seen.source, at: seen.at }).collect()
}
