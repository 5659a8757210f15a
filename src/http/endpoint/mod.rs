//! Endpoints: the callback URLs partners register.

mod judged;
pub mod pace;
pub mod proof;
pub mod settings;
pub mod switch;
pub mod trial;
pub mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use secrecy::ExposeSecret as _;
use sqlx::PgConnection;

use super::Api;
use super::auth::{Reader, Writer};
use super::body::Json as Body;
use super::condition::IfMatch;
use super::creation::{Creation, IdempotencyParam};
use super::page::{Listing, PageParams, Paged, PartnerParam};
use super::path::Path;
use super::problem::openapi::{Common, WithBody, Writing};
use super::problem::{Problem, both};
use super::quarantine::NoFilter;
use crate::model::endpoint::SignatureVersion;
use crate::model::id::EndpointId;
use crate::model::queue::Place;
use crate::model::signing::EndpointSecret;
use crate::store::endpoint::bound::{self, Bound};
use crate::store::endpoint::secret::SigningKey;
use crate::store::endpoint::{self as store, EndpointSettings, secret};
use crate::store::list::snapshot;
use crate::store::{begin, commit};
use settings::{EndpointPatch, Judge, NewEndpoint, defaults};
use view::{CreatedEndpoint, EndpointView, etag, tagged};

/// Register a callback URL. The secret is shown once.
#[utoipa::path(
    post, path = "/v1/endpoints", tag = "Endpoints",
    params(PartnerParam, IdempotencyParam), request_body = NewEndpoint,
    responses((status = 201, description = "The endpoint.", body = CreatedEndpoint), WithBody),
)]
pub async fn create_endpoint(
    State(api): State<Arc<Api>>,
    writer: Writer,
    Creation { new, once }: Creation<NewEndpoint>,
) -> Result<Response, Problem> {
    let owner = writer.owner(new.partner_id);
    let brought = new.secret.as_ref().map(|secret| EndpointSecret::parse(secret.0.expose_secret()));
    let secret = brought.unwrap_or_else(|| Ok(EndpointSecret::generate()));
    let secret = secret.map_err(|error| Problem::field("secret", error.to_string()));
    let id = EndpointId::new();
    let settings = new.into_patch().apply(defaults(), &judge(&api, id));
    let (owner, (secret, settings)) = both(owner, both(secret, settings))?;
    let mut tx = begin(&api.pool).await?;
    if let Some(answer) = once.replay(&mut tx, &api.master_key).await? {
        return Ok(answer);
    }
    match bound::lock(&mut tx, owner, api.limits.endpoints).await? {
        Bound::Room => {}
        Bound::NoSuchPartner => return Err(Problem::NotFound("partner")),
        Bound::Full { most } => return Err(Problem::field("url", full(most))),
    }
    store::write::insert(&mut tx, owner, id, &settings).await?;
    secret::add(&mut tx, &api.master_key, ((owner, id), &SigningKey::Secret(&secret))).await?;
    add_pair(&mut tx, &api, ((owner, id), &settings)).await?;
    let made = store::read::find(&mut tx, &[owner], id).await?.ok_or(Problem::NotFound("endpoint"))?;
    let shown = EndpointView::new(made, &api.master_key).with_secret(&secret);
    let answer = once.answer(&mut tx, &api.master_key, &shown).await?;
    commit(tx).await?;
    Ok(answer)
}

fn full(most: u32) -> String {
    format!(
        "would be one more than the {most} endpoints that this partner may have: delete endpoints that are not needed \
         (DELETE /v1/endpoints/{{id}}), or have an administrator raise the partner's `maxEndpoints` \
         (PATCH /v1/partners/{{id}}) or RELAY_MAX_ENDPOINTS_PER_PARTNER"
    )
}

/// An endpoint that wants `v1a` has a key pair.
async fn add_pair(
    tx: &mut PgConnection,
    api: &Api,
    (place, settings): (Place, &EndpointSettings),
) -> Result<(), Problem> {
    if settings.signatures.contains(&SignatureVersion::V1a) {
        secret::ensure_pair(tx, &api.master_key, place).await?;
    }
    Ok(())
}

fn judge(api: &Api, endpoint_id: EndpointId) -> Judge<'_> {
    Judge { policy: &api.url_policy, key: &api.master_key, endpoint_id }
}

/// List endpoints, newest first.
#[utoipa::path(
    get, path = "/v1/endpoints", tag = "Endpoints", params(PageParams, PartnerParam),
    responses((status = 200, description = "A page of endpoints.", body = Paged<EndpointView>), Common),
)]
pub async fn list_endpoints(
    State(api): State<Arc<Api>>,
    list: Listing<NoFilter>,
) -> Result<Json<Paged<EndpointView>>, Problem> {
    let page = list.page::<EndpointId>(&api)?;
    let mut conn = snapshot(&api.pool).await?;
    let rows = store::read::list(&mut conn, &list.access.partners, &page).await?;
    let (rows, more) = list.cut(rows);
    let end = rows.last().filter(|_| more).map(|row| row.endpoint_id);
    let next_cursor = end.and_then(|place| list.cursor(&api, &place));
    let data = rows.into_iter().map(|row| EndpointView::new(row, &api.master_key)).collect();
    Ok(Json(Paged { data, next_cursor }))
}

/// Get an endpoint.
#[utoipa::path(
    get, path = "/v1/endpoints/{id}", tag = "Endpoints", params(("id" = inline(EndpointId), Path), PartnerParam),
    responses(
        (status = 200, description = "The endpoint.", body = EndpointView, headers(("etag" = String))), Common,
    ),
)]
pub async fn get_endpoint(
    State(api): State<Arc<Api>>,
    reader: Reader,
    Path(id): Path<EndpointId>,
) -> Result<Response, Problem> {
    let mut conn = snapshot(&api.pool).await?;
    let endpoint = store::read::find(&mut conn, &reader.partners, id).await?;
    Ok(tagged(endpoint.ok_or(Problem::NotFound("endpoint"))?, &api.master_key))
}

/// Change an endpoint. What is left out stays, null is the default again.
///
/// With `If-Match` it is changed only if it still is what that `ETag` stood for.
#[utoipa::path(
    patch, path = "/v1/endpoints/{id}", tag = "Endpoints",
    params(
        ("id" = inline(EndpointId), Path), PartnerParam,
        ("if-match" = Option<String>, Header, description = "The `ETag` of what was read."),
    ),
    request_body = EndpointPatch,
    responses(
        (status = 200, description = "The endpoint as it is now.", body = EndpointView, headers(("etag" = String))),
        WithBody,
    ),
)]
pub async fn change_endpoint(
    State(api): State<Arc<Api>>,
    Edit { writer, id, if_match }: Edit,
    Body(patch): Body<EndpointPatch>,
) -> Result<Response, Problem> {
    let mut tx = begin(&api.pool).await?;
    // Changes take turns: of two that are made from the same state, the later would undo the earlier.
    store::write::lock(&mut tx, &writer.partners, id).await?;
    let found = store::read::find(&mut tx, &writer.partners, id).await?;
    let before = found.ok_or(Problem::NotFound("endpoint"))?;
    if !if_match.holds(&etag(&before)) {
        return Err(Problem::PreconditionFailed);
    }
    let (place, was_ordered) = ((before.partner_id, id), before.ordered);
    let settings = patch.apply(before.into_settings(), &judge(&api, id))?;
    store::write::change(&mut tx, (place, was_ordered), &settings).await?;
    add_pair(&mut tx, &api, (place, &settings)).await?;
    let after =
        store::read::find(&mut tx, &writer.partners, id).await?.ok_or(Problem::NotFound("endpoint"))?;
    commit(tx).await?;
    Ok(tagged(after, &api.master_key))
}

/// Who changes which endpoint, and what it must still be.
pub struct Edit {
    writer: Writer,
    id: EndpointId,
    if_match: IfMatch,
}

impl FromRequestParts<Arc<Api>> for Edit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let writer = Writer::from_request_parts(parts, api).await?;
        let Path(id) = Path::from_request_parts(parts, api).await?;
        Ok(Self { writer, id, if_match: IfMatch::of(&parts.headers) })
    }
}

/// Delete an endpoint. What it is owed is cancelled.
#[utoipa::path(
    delete, path = "/v1/endpoints/{id}", tag = "Endpoints", params(("id" = inline(EndpointId), Path), PartnerParam),
    responses((status = 204, description = "It is gone."), Writing),
)]
pub async fn delete_endpoint(
    State(api): State<Arc<Api>>,
    writer: Writer,
    Path(id): Path<EndpointId>,
) -> Result<StatusCode, Problem> {
    let mut tx = begin(&api.pool).await?;
    let endpoint = store::read::find(&mut tx, &writer.partners, id).await?;
    store::switch::delete(&mut tx, &endpoint.ok_or(Problem::NotFound("endpoint"))?).await?;
    commit(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}
