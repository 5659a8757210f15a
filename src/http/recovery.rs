//! Recoveries: an endpoint is owed again what it missed in a span of time.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::auth::{Reader, Writer};
use super::body::{Input, NoBody};
use super::creation::{Creation, IdempotencyParam};
use super::field::Time;
use super::page::{Listing, PageParams, Paged, PartnerParam};
use super::path::Path;
use super::problem::Problem;
use super::problem::openapi::{Common, WithBody, WithoutBody};
use super::quarantine::NoFilter;
use crate::model::id::{EndpointId, PartnerId, RecoveryId};
use crate::model::recovery::{RecoveryScope, RecoveryState};
use crate::store::endpoint::read as endpoint;
use crate::store::list::snapshot;
use crate::store::recovery::{self as store, Recovery, Span};
use crate::store::{begin, commit};

/// What is to be recovered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewRecovery {
    /// Events the relay received then or later.
    since: Time,
    /// Events it received before; left out: until now.
    until: Option<Time>,
    only: RecoveryScope,
    /// Only count what would be sent.
    #[schema(default = false)]
    dry_run: Option<bool>,
}

impl Input for NewRecovery {}

/// What a recovery would send.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryPreview {
    /// Deliveries it is about.
    #[schema(minimum = 0)]
    total: i64,
    /// There may be more: only the first 20,000 events of the span were looked at.
    total_is_at_least: bool,
}

/// A recovery and how far it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Recovery)]
pub struct RecoveryView {
    id: RecoveryId,
    /// Whose it is.
    partner_id: PartnerId,
    endpoint_id: EndpointId,
    since: Time,
    until: Time,
    only: RecoveryScope,
    state: RecoveryState,
    /// Deliveries it was about when it began.
    #[schema(minimum = 0)]
    total: i64,
    /// There may be more: only the first 20,000 events of the span were looked at. Once it is finished, `total` is exact.
    total_is_at_least: bool,
    /// Deliveries that are owed by now, each on a schedule that starts anew.
    #[schema(minimum = 0)]
    done: i64,
    created_at: Time,
    /// When everything was owed; null until then.
    #[schema(required)]
    finished_at: Option<Time>,
}

impl From<Recovery> for RecoveryView {
    fn from(recovery: Recovery) -> Self {
        Self {
            id: recovery.recovery_id,
            partner_id: recovery.partner_id,
            endpoint_id: recovery.endpoint_id,
            since: Time(recovery.since),
            until: Time(recovery.until),
            only: recovery.scope,
            state: recovery.state,
            total: recovery.total,
            total_is_at_least: recovery.total_is_at_least,
            done: recovery.done,
            created_at: Time(recovery.created_at),
            finished_at: recovery.finished_at.map(Time),
        }
    }
}

/// Send again what an endpoint missed: what was given up, what it was never owed, or everything.
///
/// It is done in the background, in small batches behind what is heard meanwhile, and survives a restart.
#[utoipa::path(
    post, path = "/v1/endpoints/{id}/recover", tag = "Endpoints",
    params(("id" = inline(EndpointId), Path), PartnerParam, IdempotencyParam), request_body = NewRecovery,
    responses(
        (status = 202, description = "It has begun.", body = RecoveryView),
        (status = 200, description = "What it would send, for `dryRun`.", body = RecoveryPreview),
        WithBody,
    ),
)]
pub async fn recover_endpoint(
    State(api): State<Arc<Api>>,
    writer: Writer,
    Path(endpoint_id): Path<EndpointId>,
    Creation { new, once }: Creation<NewRecovery>,
) -> Result<Response, Problem> {
    let mut tx = begin(&api.pool).await?;
    let found = endpoint::find(&mut tx, &writer.partners, endpoint_id).await?;
    let partner_id = found.ok_or(Problem::NotFound("endpoint"))?.partner_id;
    let (since, until) = span(&new, store::after_all_kept(&mut tx, partner_id).await?)?;
    let span = Span { partner_id, endpoint_id, since: since.0, until: until.0, scope: new.only };
    let count = store::count(&mut tx, &span).await?;
    if new.dry_run == Some(true) {
        let preview = RecoveryPreview { total: count.total, total_is_at_least: count.is_at_least };
        return Ok(Json(preview).into_response());
    }
    if let Some(answer) = once.replay_as(StatusCode::ACCEPTED, &mut tx, &api.master_key).await? {
        return Ok(answer);
    }
    let id = RecoveryId::new();
    store::insert(&mut tx, id, &span, count).await?;
    let made = store::find(&mut tx, &[partner_id], id).await?.ok_or(Problem::NotFound("recovery"))?;
    let begun = (StatusCode::ACCEPTED, &RecoveryView::from(made));
    let answer = once.answer_as(begun, &mut tx, &api.master_key).await?;
    commit(tx).await?;
    Ok(answer)
}

/// The end of all is not this process's now: events are received by the clock of the process that hears them.
fn span(new: &NewRecovery, end: DateTime<Utc>) -> Result<(Time, Time), Problem> {
    let end = Time::whole(end);
    let until = new.until.unwrap_or(end).min(end);
    if new.since >= until {
        return Err(Problem::field("since", "must be before `until` and before now"));
    }
    Ok((new.since, until))
}

/// Get a recovery and how far it is.
#[utoipa::path(
    get, path = "/v1/recoveries/{id}", tag = "Endpoints", params(("id" = inline(RecoveryId), Path), PartnerParam),
    responses((status = 200, description = "The recovery.", body = RecoveryView), Common),
)]
pub async fn get_recovery(
    State(api): State<Arc<Api>>,
    reader: Reader,
    Path(id): Path<RecoveryId>,
) -> Result<Json<RecoveryView>, Problem> {
    let mut conn = api.pool.acquire().await?;
    let found = store::find(&mut conn, &reader.partners, id).await?;
    Ok(Json(found.ok_or(Problem::NotFound("recovery"))?.into()))
}

/// List recoveries, newest first.
#[utoipa::path(
    get, path = "/v1/recoveries", tag = "Endpoints", params(PageParams, PartnerParam),
    responses((status = 200, description = "A page of recoveries.", body = Paged<RecoveryView>), Common),
)]
pub async fn list_recoveries(
    State(api): State<Arc<Api>>,
    list: Listing<NoFilter>,
) -> Result<Json<Paged<RecoveryView>>, Problem> {
    let page = list.page::<RecoveryId>(&api)?;
    let mut conn = snapshot(&api.pool).await?;
    let rows = store::list(&mut conn, &list.access.partners, &page).await?;
    Ok(list.answer(&api, rows, |row| row.recovery_id))
}

/// Cancel a recovery that is under way. What it has owed so far is still sent.
#[utoipa::path(
    post, path = "/v1/recoveries/{id}/cancel", tag = "Endpoints", params(("id" = inline(RecoveryId), Path), PartnerParam),
    responses((status = 200, description = "The recovery, over.", body = RecoveryView), WithoutBody),
)]
pub async fn cancel_recovery(
    State(api): State<Arc<Api>>,
    writer: Writer,
    Path(id): Path<RecoveryId>,
    NoBody: NoBody,
) -> Result<Json<RecoveryView>, Problem> {
    let mut tx = begin(&api.pool).await?;
    store::cancel(&mut tx, &writer.partners, id).await?;
    let found = store::find(&mut tx, &writer.partners, id).await?.ok_or(Problem::NotFound("recovery"))?;
    if found.state == RecoveryState::Finished {
        return Err(Problem::Conflict("The recovery is finished: everything it was about is owed."));
    }
    commit(tx).await?;
    Ok(Json(found.into()))
}
