//! Quarantine: messages that could not be verified or read.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::auth::{Reader, Writer};
use super::body::NoBody;
use super::field::Time;
use super::page::{Listing, PageParams, Paged, PartnerParam};
use super::path::Path;
use super::problem::Problem;
use super::problem::openapi::{Common, Filtering, WithoutBody, Writing};
use super::query::Filters;
use crate::intake::requeue::{RequeueError, Requeued};
use crate::model::event::Source;
use crate::model::id::{PartnerId, QuarantineId};
use crate::model::quarantine::{Reason, Refusal};
use crate::store::list::snapshot;
use crate::store::quarantine::{delete, read as store};
use crate::store::{Error, begin, commit};

/// A list without filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoFilter {}

/// Which messages; what is left out filters nothing.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct QuarantineQuery {
    /// Here for this reason.
    #[param(value_type = Option<Reason>, inline)]
    reason: Option<Reason>,
    /// Heard from this source.
    #[param(value_type = Option<Source>, inline)]
    source: Option<Source>,
    /// First came before.
    #[param(value_type = Option<Time>, inline)]
    before: Option<Time>,
}

impl From<&QuarantineQuery> for store::Filter {
    fn from(query: &QuarantineQuery) -> Self {
        Self { reason: query.reason, source: query.source, before: query.before.map(|time| time.0) }
    }
}

/// A message that could not be verified or read.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = QuarantinedMessage)]
pub struct QuarantinedView {
    id: QuarantineId,
    /// Whose it would be; null if that is not known either.
    #[schema(required)]
    partner_id: Option<PartnerId>,
    source: Source,
    /// The channel it came under; null if it came under none.
    #[schema(required)]
    channel: Option<String>,
    /// The event's name; null if it had none.
    #[schema(required)]
    event: Option<String>,
    /// Why it could not be verified or read.
    reason: Reason,
    /// The same in a sentence.
    detail: String,
    /// When it first came.
    received_at: Time,
    /// How often it came.
    #[schema(minimum = 1)]
    times: i32,
    /// What came; what is not UTF-8 is replaced.
    raw: String,
}

impl From<store::Quarantined> for QuarantinedView {
    fn from(message: store::Quarantined) -> Self {
        Self {
            id: message.quarantine_id,
            partner_id: message.partner_id,
            source: message.source,
            channel: message.channel,
            event: message.event,
            reason: message.reason,
            detail: message.detail,
            received_at: Time(message.received_at),
            times: message.times,
            raw: String::from_utf8_lossy(&message.raw).into_owned(),
        }
    }
}

/// List messages that could not be verified or read, newest first.
///
/// With an admin token and without `partnerId`, those of no known partner are in it too.
#[utoipa::path(
    get, path = "/v1/quarantine", tag = "Quarantine", params(PageParams, QuarantineQuery, PartnerParam),
    responses((status = 200, description = "A page of messages.", body = Paged<QuarantinedView>), Filtering),
)]
pub async fn list_quarantine(
    State(api): State<Arc<Api>>,
    list: Listing<QuarantineQuery>,
) -> Result<Json<Paged<QuarantinedView>>, Problem> {
    let page = list.page::<QuarantineId>(&api)?;
    let mut conn = snapshot(&api.pool).await?;
    let rows =
        store::list(&mut conn, &list.access.partners, list.access.all, (&(&list.filter).into(), &page))
            .await?;
    Ok(list.answer(&api, rows, |row| row.quarantine_id))
}

/// Show a message that could not be verified or read.
#[utoipa::path(
    get, path = "/v1/quarantine/{id}", tag = "Quarantine", params(("id" = inline(QuarantineId), Path), PartnerParam),
    responses((status = 200, description = "The message.", body = QuarantinedView), Common),
)]
pub async fn get_quarantined(
    State(api): State<Arc<Api>>,
    reader: Reader,
    Path(id): Path<QuarantineId>,
) -> Result<Json<QuarantinedView>, Problem> {
    let mut conn = snapshot(&api.pool).await?;
    let found = store::get(&mut conn, &reader.partners, reader.all, id).await?;
    Ok(Json(found.ok_or(Problem::NotFound("quarantined message"))?.into()))
}

/// How many messages became what.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct RetriedAll {
    /// They are events now, and in quarantine no longer.
    kept: u64,
    /// They cannot be verified or read now either.
    stay: u64,
}

/// Try all messages again, oldest first.
///
/// For instance after the partner's access token was given to the relay. With an admin token and without `partnerId`,
/// those of every partner; a message of no known partner can never be verified.
#[utoipa::path(
    post, path = "/v1/quarantine/retry", tag = "Quarantine", params(PartnerParam),
    responses((status = 200, description = "How many became what.", body = RetriedAll), WithoutBody),
)]
pub async fn retry_all_quarantined(
    State(api): State<Arc<Api>>,
    writer: Writer,
    NoBody: NoBody,
) -> Result<Json<RetriedAll>, Problem> {
    let requeue = api.intake.as_ref().ok_or(Problem::NoSuchPath)?.requeue(api.pool.clone());
    let mut all = RetriedAll::default();
    for partner in &writer.partners {
        let tally = requeue.all(*partner).await?;
        all.kept += tally.kept;
        all.stay += tally.stay;
    }
    Ok(Json(all))
}

/// What became of a message that was tried again.
#[derive(Debug, Serialize, ToSchema)]
pub struct Retried {
    /// `kept`: it is an event now, and in quarantine no longer. `stays`: it cannot be verified or read now either.
    #[schema(value_type = String, example = "kept")]
    result: &'static str,
    /// Why it stays; null if it was kept.
    #[schema(required)]
    reason: Option<Reason>,
    /// The same in a sentence.
    #[schema(required, example = "no access token of the partner verifies its signature")]
    detail: Option<String>,
}

/// Try a message again.
///
/// For instance after the partner's access token was given to the relay. A message that is kept leaves the quarantine.
#[utoipa::path(
    post, path = "/v1/quarantine/{id}/retry", tag = "Quarantine",
    params(("id" = inline(QuarantineId), Path), PartnerParam),
    responses((status = 200, description = "What became of it.", body = Retried), WithoutBody),
)]
pub async fn retry_quarantined(
    State(api): State<Arc<Api>>,
    writer: Writer,
    Path(id): Path<QuarantineId>,
    NoBody: NoBody,
) -> Result<Json<Retried>, Problem> {
    let requeue = api.intake.as_ref().ok_or(Problem::NoSuchPath)?.requeue(api.pool.clone());
    match requeue.one(&writer.partners, writer.partner.is_none(), id).await? {
        Requeued::Kept => Ok(Json(Retried { result: "kept", reason: None, detail: None })),
        Requeued::Stays(Refusal { reason, detail }) => {
            Ok(Json(Retried { result: "stays", reason: Some(reason), detail: Some(detail) }))
        }
        Requeued::Gone => Err(Problem::NotFound("quarantined message")),
    }
}

/// Delete a message from the quarantine.
///
/// Should the same message come again, it is put aside again.
#[utoipa::path(
    delete, path = "/v1/quarantine/{id}", tag = "Quarantine", params(("id" = inline(QuarantineId), Path), PartnerParam),
    responses((status = 204, description = "It is gone."), Writing),
)]
pub async fn delete_quarantined(
    State(api): State<Arc<Api>>,
    writer: Writer,
    Path(id): Path<QuarantineId>,
) -> Result<StatusCode, Problem> {
    let mut tx = begin(&api.pool).await?;
    if !delete::one(&mut tx, &writer.partners, writer.partner.is_none(), id).await? {
        return Err(Problem::NotFound("quarantined message"));
    }
    commit(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How many messages were deleted.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Emptied {
    /// They are in quarantine no longer.
    deleted: u64,
}

/// Delete messages from the quarantine: all, or those for a reason, from a source, or from before a time.
///
/// For instance what strangers sent: `?reason=not_signed`. With an admin token and without `partnerId`, those of every
/// partner and of none. What is deleted is deleted in steps: if the call fails, the next one goes on.
#[utoipa::path(
    delete, path = "/v1/quarantine", tag = "Quarantine", params(QuarantineQuery, PartnerParam),
    responses((status = 200, description = "How many are gone.", body = Emptied), Writing),
)]
pub async fn empty_quarantine(
    State(api): State<Arc<Api>>,
    writer: Writer,
    Filters(query): Filters<QuarantineQuery>,
) -> Result<Json<Emptied>, Problem> {
    let of_nobody = writer.partner.is_none().then_some(None);
    let mut conn = api.pool.acquire().await?;
    let mut emptied = Emptied::default();
    for partner in writer.partners.iter().copied().map(Some).chain(of_nobody) {
        loop {
            let gone = delete::some(&mut conn, partner, &(&query).into()).await;
            // What is gone already is counted only once.
            let gone = gone.map_err(Error::unsettled)?;
            emptied.deleted += gone;
            if gone < delete::STEP {
                break;
            }
        }
    }
    Ok(Json(emptied))
}

impl From<RequeueError> for Problem {
    fn from(error: RequeueError) -> Self {
        match error {
            // It is done in several steps.
            RequeueError::Store(error) => Self::Store(error.unsettled()),
            RequeueError::Full(_) | RequeueError::NotCommitted => Self::IntakeFull,
        }
    }
}
