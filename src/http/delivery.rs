//! Deliveries: who was told what, with what answer, and once more by hand.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::auth::{Reader, Writer};
use super::body::Input;
use super::body::NoBody;
use super::creation::{IdempotencyParam, OptionalCreation};
use super::field::{Text, Time};
use super::page::{Listing, PageParams, Paged, PartnerParam};
use super::path::Path;
use super::problem::Problem;
use super::problem::openapi::{Common, Filtering, WithBody, WithoutBody};
use crate::http::attempt::AttemptView;
use crate::model::delivery::DeliveryState;
use crate::model::id::{DeliveryId, EndpointId, EventId, PartnerId};
use crate::store::attempt::read as attempt;
use crate::store::delivery::{by_hand, read as store};
use crate::store::endpoint::read as endpoint;
use crate::store::event::read as event;
use crate::store::list::snapshot;
use crate::store::wake;
use crate::store::{begin, commit};

/// Which deliveries; what is left out filters nothing.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DeliveryQuery {
    /// To this endpoint.
    #[param(value_type = Option<EndpointId>, inline)]
    endpoint_id: Option<EndpointId>,
    /// Of this event.
    #[param(value_type = Option<EventId>, inline)]
    event_id: Option<EventId>,
    /// Of the events of this order.
    #[param(value_type = Option<String>, min_length = 1, max_length = 200)]
    order_id: Option<Text<200>>,
    /// Where the delivery stands.
    #[param(value_type = Option<DeliveryState>, inline)]
    state: Option<DeliveryState>,
}

/// One event owed to one endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Delivery)]
pub struct DeliveryView {
    id: DeliveryId,
    /// Whose it is.
    partner_id: PartnerId,
    event_id: EventId,
    /// Transak's id of the order; null for an event that belongs to no order.
    #[schema(required)]
    order_id: Option<String>,
    endpoint_id: EndpointId,
    state: DeliveryState,
    /// Requests made so far.
    #[schema(minimum = 0)]
    attempts: i32,
    /// When it is tried next, or, while a request is under way, when that one is given up; null unless `pending`.
    #[schema(required)]
    next_attempt_at: Option<Time>,
    /// What the endpoint last answered; null if it never did.
    #[schema(required, minimum = 100, maximum = 999)]
    last_status_code: Option<i16>,
    created_at: Time,
    /// When it succeeded, was exhausted or was cancelled; null until then.
    #[schema(required)]
    finished_at: Option<Time>,
    /// Why it was given up, if not because its own attempts failed; else null.
    #[schema(required, example = "its endpoint has been disabled, and this delivery held, for 30 days")]
    reason: Option<String>,
}

impl From<store::Delivery> for DeliveryView {
    fn from(delivery: store::Delivery) -> Self {
        Self {
            id: delivery.delivery_id,
            partner_id: delivery.partner_id,
            event_id: delivery.event_id,
            order_id: delivery.order_id,
            endpoint_id: delivery.endpoint_id,
            state: delivery.state,
            attempts: delivery.attempts,
            next_attempt_at: delivery.next_attempt_at.map(Time),
            last_status_code: delivery.last_status_code,
            created_at: Time(delivery.created_at),
            finished_at: delivery.finished_at.map(Time),
            reason: delivery.reason.filter(|_| delivery.state == DeliveryState::Exhausted),
        }
    }
}

/// A delivery with its attempts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryDetail {
    #[serde(flatten)]
    summary: DeliveryView,
    /// Every request and its answer, oldest first; of many, the newest 200.
    attempt_log: Vec<AttemptView>,
}

/// List deliveries, newest first.
#[utoipa::path(
    get, path = "/v1/deliveries", tag = "Deliveries", params(PageParams, PartnerParam, DeliveryQuery),
    responses((status = 200, description = "A page of deliveries.", body = Paged<DeliveryView>), Filtering),
)]
pub async fn list_deliveries(
    State(api): State<Arc<Api>>,
    list: Listing<DeliveryQuery>,
) -> Result<Json<Paged<DeliveryView>>, Problem> {
    let page = list.page::<DeliveryId>(&api)?;
    let mut conn = snapshot(&api.pool).await?;
    let (query, partners) = (&list.filter, &list.access.partners);
    let mut events = query.event_id.map(|id| vec![id]);
    if let Some(order_id) = &query.order_id {
        let of_order = event::ids_of_order(&mut conn, partners, &order_id.0).await?;
        events =
            Some(of_order.into_iter().filter(|id| query.event_id.is_none_or(|only| only == *id)).collect());
    }
    let mut filter =
        store::DeliveryFilter { endpoint_id: query.endpoint_id, events, state: query.state, from: None };
    filter.from = store::horizon(&mut conn, partners, &filter, &page).await?;
    let rows = store::list(&mut conn, partners, &filter, &page).await?;
    Ok(list.answer_up_to(&api, rows, |row| row.delivery_id, filter.from))
}

/// Get a delivery with every attempt: request headers as sent, and what was answered.
#[utoipa::path(
    get, path = "/v1/deliveries/{id}", tag = "Deliveries", params(("id" = inline(DeliveryId), Path), PartnerParam),
    responses((status = 200, description = "The delivery.", body = DeliveryDetail), Common),
)]
pub async fn get_delivery(
    State(api): State<Arc<Api>>,
    reader: Reader,
    Path(id): Path<DeliveryId>,
) -> Result<Json<DeliveryDetail>, Problem> {
    let mut conn = snapshot(&api.pool).await?;
    let delivery =
        store::find(&mut conn, &reader.partners, id).await?.ok_or(Problem::NotFound("delivery"))?;
    let attempts = attempt::of_delivery(&mut conn, delivery.partner_id, id).await?;
    let attempt_log = attempts.into_iter().map(AttemptView::from).collect();
    Ok(Json(DeliveryDetail { summary: delivery.into(), attempt_log }))
}

/// Send a delivery again now, whatever became of it before. Its schedule starts anew.
///
/// While a request of it is under way there is no second one: it is sent again when that one is over. If the endpoint is
/// disabled it is held.
#[utoipa::path(
    post, path = "/v1/deliveries/{id}/retry", tag = "Deliveries",
    params(("id" = inline(DeliveryId), Path), PartnerParam),
    responses((status = 202, description = "It is owed again.", body = DeliveryView), WithoutBody),
)]
pub async fn retry_delivery(
    State(api): State<Arc<Api>>,
    writer: Writer,
    Path(id): Path<DeliveryId>,
    NoBody: NoBody,
) -> Result<(StatusCode, Json<DeliveryView>), Problem> {
    let mut tx = begin(&api.pool).await?;
    let before = store::find(&mut tx, &writer.partners, id).await?.ok_or(Problem::NotFound("delivery"))?;
    if !by_hand::retry(&mut tx, before.partner_id, id).await? {
        return Err(Problem::Conflict("The endpoint of this delivery was deleted."));
    }
    wake::deliveries(&mut tx).await?;
    let after = store::find(&mut tx, &writer.partners, id).await?.ok_or(Problem::NotFound("delivery"))?;
    commit(tx).await?;
    Ok((StatusCode::ACCEPTED, Json(after.into())))
}

/// To whom an event is sent again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Redelivery {
    /// One endpoint, whatever it asked for. Left out: every endpoint that asks for such events or was sent this one.
    endpoint_id: Option<EndpointId>,
}

impl Input for Redelivery {}

/// The deliveries that are owed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Redelivered {
    data: Vec<DeliveryView>,
}

/// Send an event again now, whatever happened before.
#[utoipa::path(
    post, path = "/v1/events/{id}/redeliver", tag = "Events",
    params(("id" = inline(EventId), Path), PartnerParam, IdempotencyParam), request_body = Option<Redelivery>,
    responses((status = 202, description = "The deliveries that are owed.", body = Redelivered), WithBody),
)]
pub async fn redeliver_event(
    State(api): State<Arc<Api>>,
    writer: Writer,
    Path(id): Path<EventId>,
    OptionalCreation { new: redelivery, once }: OptionalCreation<Redelivery>,
) -> Result<Response, Problem> {
    let mut tx = begin(&api.pool).await?;
    if let Some(answer) = once.replay_as(StatusCode::ACCEPTED, &mut tx, &api.master_key).await? {
        return Ok(answer);
    }
    let event = event::find(&mut tx, &writer.partners, id).await?.ok_or(Problem::NotFound("event"))?;
    if let Some(endpoint_id) = redelivery.endpoint_id {
        let endpoint = endpoint::find(&mut tx, &[event.partner_id], endpoint_id).await?;
        endpoint.ok_or(Problem::NotFound("endpoint"))?;
    }
    let owed = by_hand::redeliver(&mut tx, &event, redelivery.endpoint_id).await?;
    wake::deliveries(&mut tx).await?;
    let owed = Redelivered { data: owed.into_iter().map(DeliveryView::from).collect() };
    let answer = once.answer_as((StatusCode::ACCEPTED, &owed), &mut tx, &api.master_key).await?;
    commit(tx).await?;
    Ok(answer)
}
