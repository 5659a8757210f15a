//! Events: the observed changes of orders.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Api;
use super::auth::Reader;
use super::field::{Raw, Text, Time};
use super::page::{Listing, PageParams, Paged, PartnerParam};
use super::path::Path;
use super::problem::Problem;
use super::problem::openapi::{Common, Filtering};
use super::suggest::refuse_unknown;
use super::timeline::DeliveryView;
use crate::model::endpoint::{EVENTS, STATUSES};
use crate::model::event::Source;
use crate::model::id::{EventId, PartnerId};
use crate::store::delivery::read as delivery;
use crate::store::event::read as store;
use crate::store::list::snapshot;
use crate::store::payload::read::{self as payload, PayloadKey};
use crate::store::sighting::read as sighting;

/// Which events; what is left out filters nothing.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EventQuery {
    /// Transak's id of the order.
    #[param(value_type = Option<String>, min_length = 1, max_length = 200)]
    order_id: Option<Text<200>>,
    /// The event's name.
    #[param(value_type = Option<String>, min_length = 1, max_length = 200, example = "ORDER_COMPLETED")]
    event: Option<Text<200>>,
    /// The status the order reached.
    #[param(value_type = Option<String>, min_length = 1, max_length = 100, example = "COMPLETED")]
    status: Option<Text<100>>,
    /// Heard at least once from this source.
    #[param(value_type = Option<Source>, inline)]
    source: Option<Source>,
    /// Occurred then or later.
    #[param(value_type = Option<Time>, inline)]
    from: Option<Time>,
    /// Occurred before.
    #[param(value_type = Option<Time>, inline)]
    to: Option<Time>,
}

impl From<&EventQuery> for store::EventFilter {
    fn from(query: &EventQuery) -> Self {
        Self {
            order_id: query.order_id.as_ref().map(|text| text.0.clone()),
            event: query.event.as_ref().map(|text| text.0.clone()),
            status: query.status.as_ref().map(|text| text.0.clone()),
            source: query.source,
            from: query.from.map(|time| time.0),
            to: query.to.map(|time| time.0),
        }
    }
}

/// One arrival of an event.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Sighting {
    pub source: Source,
    /// When it came.
    pub at: Time,
    /// It came signed, or from Transak's REST API.
    pub verified: bool,
}

/// One observed change of an order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
pub struct EventView {
    id: EventId,
    /// Whose it is.
    partner_id: PartnerId,
    /// Transak's id of the order; null for an event that belongs to no order.
    #[schema(required)]
    order_id: Option<String>,
    /// The partner's own reference of the order.
    #[schema(required)]
    partner_order_id: Option<String>,
    /// The name it came with.
    #[schema(example = "ORDER_COMPLETED")]
    event: String,
    /// The status the order reached; null for an event that belongs to no order.
    #[schema(required, example = "COMPLETED")]
    status: Option<String>,
    /// By Transak's clock where it says so, else when it was received.
    occurred_at: Time,
    /// When the relay first heard it.
    received_at: Time,
    /// Why somebody should look; null if nothing is unusual.
    #[schema(required)]
    anomaly: Option<String>,
    /// Its arrivals, oldest first, 100 at most.
    sightings: Vec<Sighting>,
}

impl EventView {
    fn new(event: store::Event, sightings: Vec<Sighting>) -> Self {
        Self {
            id: event.event_id,
            partner_id: event.partner_id,
            order_id: event.order_id,
            partner_order_id: event.partner_order_id,
            event: event.event,
            status: event.status,
            occurred_at: Time(event.occurred_at),
            received_at: Time(event.received_at),
            anomaly: event.anomaly,
            sightings,
        }
    }
}

/// An event with what was heard.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventDetail {
    #[serde(flatten)]
    summary: EventView,
    /// The order as Transak sent it, byte for byte; null once retention has dropped it.
    #[schema(required, value_type = Option<Object>)]
    payload: Option<Raw>,
    /// Who was told, or is to be; left out where events are followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<Vec<DeliveryView>>,
}

/// List events, the latest occurrence first.
#[utoipa::path(
    get, path = "/v1/events", tag = "Events", params(PageParams, PartnerParam, EventQuery),
    responses((status = 200, description = "A page of events.", body = Paged<EventView>), Filtering),
)]
pub async fn list_events(
    State(api): State<Arc<Api>>,
    list: Listing<EventQuery>,
) -> Result<Json<Paged<EventView>>, Problem> {
    let page = list.page::<(DateTime<Utc>, EventId)>(&api)?;
    let mut conn = snapshot(&api.pool).await?;
    let mut filter: store::EventFilter = (&list.filter).into();
    let horizon = store::horizon(&mut conn, &list.access.partners, &filter, &page).await?;
    filter.from = horizon.or(filter.from);
    let rows = store::list(&mut conn, &list.access.partners, &filter, &page).await?;
    let event = list.filter.event.as_ref().map(|event| event.0.as_str());
    let status = list.filter.status.as_ref().map(|status| status.0.as_str());
    // Only where the whole list was looked through: behind a horizon, or on an earlier page, there may be some.
    let found_nothing = rows.is_empty() && horizon.is_none() && page.after.is_none();
    refuse_unknown(found_nothing, &[("event", event, &EVENTS), ("status", status, &STATUSES)])?;
    let (rows, more) = list.cut(rows);
    let full = rows.last().filter(|_| more).map(|row| (row.occurred_at, row.event_id));
    let end = full.or(horizon.map(|at| (at, EventId::from(Uuid::nil()))));
    let next_cursor = end.and_then(|place| list.cursor(&api, &place));
    let mut sightings = sightings(&mut conn, &rows).await?;
    let data = rows.into_iter().map(|event| {
        let seen = sightings.remove(&event.event_id).unwrap_or_default();
        EventView::new(event, seen)
    });
    Ok(Json(Paged { data: data.collect(), next_cursor }))
}

/// Get an event with what was heard, and its deliveries.
#[utoipa::path(
    get, path = "/v1/events/{id}", tag = "Events", params(("id" = inline(EventId), Path), PartnerParam),
    responses((status = 200, description = "The event.", body = EventDetail), Common),
)]
pub async fn get_event(
    State(api): State<Arc<Api>>,
    reader: Reader,
    Path(id): Path<EventId>,
) -> Result<Json<EventDetail>, Problem> {
    let mut conn = snapshot(&api.pool).await?;
    let event = store::find(&mut conn, &reader.partners, id).await?.ok_or(Problem::NotFound("event"))?;
    let told = delivery::of_events(&mut conn, event.partner_id, &[id]).await?;
    let mut detail = details(&mut conn, vec![event]).await?.pop().ok_or(Problem::NotFound("event"))?;
    detail.deliveries = Some(told.into_iter().map(DeliveryView::from).collect());
    Ok(Json(detail))
}

/// Adds to events what was heard and from where.
pub async fn details(
    conn: &mut PgConnection,
    events: Vec<store::Event>,
) -> Result<Vec<EventDetail>, Problem> {
    let keys: Vec<_> = events
        .iter()
        .map(|event| PayloadKey {
            partner_id: event.partner_id,
            event_id: event.event_id,
            received_at: event.received_at,
        })
        .collect();
    let mut payloads: HashMap<_, _> = payload::find_all(conn, &keys).await?.into_iter().collect();
    let mut sightings = sightings(conn, &events).await?;
    let details = events.into_iter().map(|event| {
        let id = event.event_id;
        let payload = payloads.remove(&id).and_then(Raw::from_bytes);
        let summary = EventView::new(event, sightings.remove(&id).unwrap_or_default());
        EventDetail { summary, payload, deliveries: None }
    });
    Ok(details.collect())
}

/// The arrivals of these events, each oldest first.
pub async fn sightings(
    conn: &mut PgConnection,
    events: &[store::Event],
) -> Result<HashMap<EventId, Vec<Sighting>>, Problem> {
    let ids: Vec<_> = events.iter().map(|event| event.event_id).collect();
    let mut partners: Vec<_> = events.iter().map(|event| event.partner_id).collect();
    partners.sort_unstable();
    partners.dedup();
    let mut by_event: HashMap<_, Vec<_>> = HashMap::new();
    for seen in sighting::of_events(conn, &partners, &ids).await? {
        let view = Sighting { source: seen.source, at: Time(seen.at), verified: seen.verified };
        by_event.entry(seen.event_id).or_default().push(view);
    }
    Ok(by_event)
}
