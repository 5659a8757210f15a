//! Watches: public channels of the stream that partners ask to be subscribed to, until the order is over.
//!
//! Source of the channel names: docs.transak.com/features/websockets. Public channels carry no signature.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::auth::Writer;
use super::body::Input;
use super::creation::{Creation, IdempotencyParam};
use super::field::Time;
use super::page::{Listing, PageParams, Paged, PartnerParam};
use super::path::Path;
use super::problem::Problem;
use super::problem::openapi::{Common, WithBody, Writing};
use super::quarantine::NoFilter;
use crate::model::channel::is_channel_name;
use crate::model::id::{PartnerId, WatchId};
use crate::store::list::snapshot;
use crate::store::partner;
use crate::store::watch::{self as store, Admission, Subject};
use crate::store::{begin, commit};

/// What is to be watched: one of the two.
#[expect(clippy::struct_field_names, reason = "they are the names of the interface")]
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"orderId": "aa39d8e1-7a1b-4f5c-9d3e-0b6f5d2ace7f"}))]
pub struct NewWatch {
    /// Transak's order id.
    #[schema(example = "aa39d8e1-7a1b-4f5c-9d3e-0b6f5d2ace7f")]
    order_id: Option<String>,
    /// The partner's own reference, as it was given to Transak.
    #[schema(example = "order-4711")]
    partner_order_id: Option<String>,
    /// Needed with an admin token.
    partner_id: Option<PartnerId>,
}

impl Input for NewWatch {}

/// A public channel that is listened to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Watch)]
pub struct WatchView {
    id: WatchId,
    partner_id: PartnerId,
    #[schema(required)]
    order_id: Option<String>,
    #[schema(required)]
    partner_order_id: Option<String>,
    /// The channel's name.
    channel: String,
    created_at: Time,
    /// When the order was over or the watch was ended; null: it goes on.
    #[schema(required)]
    ended_at: Option<Time>,
}

impl From<store::Watch> for WatchView {
    fn from(watch: store::Watch) -> Self {
        Self {
            id: watch.watch_id,
            partner_id: watch.partner_id,
            order_id: watch.order_id,
            partner_order_id: watch.partner_order_id,
            channel: watch.channel,
            created_at: Time(watch.created_at),
            ended_at: watch.ended_at.map(Time),
        }
    }
}

impl NewWatch {
    fn subject(self) -> Result<Subject, Problem> {
        match (self.order_id, self.partner_order_id) {
            (Some(id), None) => Ok(Subject::Order(id)),
            (None, Some(id)) => Ok(Subject::PartnerOrder(id)),
            _ => Err(Problem::field("orderId", "or partnerOrderId is required, and not both")),
        }
    }
}

impl Subject {
    /// The field that it was given in.
    const fn field(&self) -> &'static str {
        match self {
            Self::Order(_) => "orderId",
            Self::PartnerOrder(_) => "partnerOrderId",
        }
    }
}

const OF_AN_API_KEY: &str =
    "must be the id of an order: a channel with this name belongs to a Transak API key";

fn full(most: u32) -> String {
    format!(
        "would be one more than the {most} channels that a partner may watch at once: end watches that are not needed \
         (DELETE /v1/watches/{{id}}), or have RELAY_MAX_WATCHES_PER_PARTNER raised"
    )
}

/// The channel of a subject; one whose name Pusher would refuse cannot be watched.
fn channel(subject: &Subject, api_key: &str) -> Result<String, Problem> {
    let name = match subject {
        Subject::Order(id) => id.clone(),
        Subject::PartnerOrder(id) => format!("{api_key}_{id}"),
    };
    let empty = matches!(subject, Subject::Order(id) | Subject::PartnerOrder(id) if id.is_empty());
    if empty || !is_channel_name(&name) {
        let what = "must make a channel name of at most 164 letters, digits and `_-=@,.;`, without a reserved prefix";
        return Err(Problem::field(subject.field(), what));
    }
    Ok(name)
}

/// Listen to the public channel of one order until the order is over.
///
/// What comes that way is not signed: its sightings say `verified: false`, and it never overrides what was verified.
#[utoipa::path(
    post, path = "/v1/watches", tag = "Events", params(IdempotencyParam), request_body = NewWatch,
    responses((status = 201, description = "The watch.", body = WatchView), WithBody),
)]
pub async fn create_watch(
    State(api): State<Arc<Api>>,
    access: Writer,
    Creation { new, once }: Creation<NewWatch>,
) -> Result<Response, Problem> {
    let owner = access.owner(new.partner_id)?;
    let subject = new.subject()?;
    let mut tx = begin(&api.pool).await?;
    if let Some(answer) = once.replay(&mut tx, &api.master_key).await? {
        return Ok(answer);
    }
    let partner = partner::find(&mut tx, owner).await?.ok_or(Problem::NotFound("partner"))?;
    let channel = channel(&subject, &partner.api_key)?;
    let most = api.limits.watches;
    match store::admit(&mut tx, (owner, &channel), most).await? {
        Admission::Yes => {}
        Admission::ApiKey => return Err(Problem::field(subject.field(), OF_AN_API_KEY)),
        Admission::Full => return Err(Problem::field(subject.field(), full(most))),
    }
    let watch = WatchView::from(store::insert(&mut tx, owner, (&subject, &channel)).await?);
    let answer = once.answer(&mut tx, &api.master_key, &watch).await?;
    commit(tx).await?;
    Ok(answer)
}

/// List watches, newest first.
#[utoipa::path(
    get, path = "/v1/watches", tag = "Events", params(PageParams, PartnerParam),
    responses((status = 200, description = "A page of watches.", body = Paged<WatchView>), Common),
)]
pub async fn list_watches(
    State(api): State<Arc<Api>>,
    list: Listing<NoFilter>,
) -> Result<Json<Paged<WatchView>>, Problem> {
    let page = list.page::<WatchId>(&api)?;
    let mut conn = snapshot(&api.pool).await?;
    let rows = store::list(&mut conn, &list.access.partners, &page).await?;
    Ok(list.answer(&api, rows, |row| row.watch_id))
}

/// End a watch.
#[utoipa::path(
    delete, path = "/v1/watches/{id}", tag = "Events", params(("id" = inline(WatchId), Path)),
    responses((status = 204, description = "It is not listened to any more."), Writing),
)]
pub async fn delete_watch(
    State(api): State<Arc<Api>>,
    access: Writer,
    Path(id): Path<WatchId>,
) -> Result<StatusCode, Problem> {
    let mut tx = begin(&api.pool).await?;
    if !store::end(&mut tx, &access.partners, id).await? {
        return Err(Problem::NotFound("watch"));
    }
    commit(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}
