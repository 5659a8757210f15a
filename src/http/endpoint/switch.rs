//! Enabling and disabling endpoints by hand, and changing their secrets.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{TimeDelta, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::{EndpointView, RotatedSecret, tagged};
use crate::http::Api;
use crate::http::auth::Writer;
use crate::http::body::Input;
use crate::http::body::NoBody;
use crate::http::creation::{IdempotencyParam, OptionalCreation};
use crate::http::field::Time;
use crate::http::page::PartnerParam;
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::problem::openapi::{WithBody, WithoutBody};
use crate::model::endpoint::SignatureVersion;
use crate::model::id::EndpointId;
use crate::model::signing::{Ed25519Key, EndpointSecret};
use crate::store::endpoint::secret::SigningKey;
use crate::store::endpoint::{read, secret, switch};
use crate::store::{begin, commit};

/// Why an endpoint is disabled when somebody said so.
const BY_HAND: &str = "disabled by hand";

/// The longest overlap, in seconds, and the one if nobody says.
const MAX_OVERLAP: u32 = 7 * 86_400;
const DEFAULT_OVERLAP: u32 = 86_400;

/// Enable an endpoint: what was held is sent, each delivery on a schedule that starts anew.
#[utoipa::path(
    post, path = "/v1/endpoints/{id}/enable", tag = "Endpoints",
    params(("id" = inline(EndpointId), Path), PartnerParam),
    responses((status = 200, description = "The endpoint as it is now.", body = EndpointView), WithoutBody),
)]
pub async fn enable_endpoint(
    State(api): State<Arc<Api>>,
    writer: Writer,
    Path(id): Path<EndpointId>,
    NoBody: NoBody,
) -> Result<Response, Problem> {
    let mut tx = begin(&api.pool).await?;
    let endpoint = read::find(&mut tx, &writer.partners, id).await?.ok_or(Problem::NotFound("endpoint"))?;
    switch::enable(&mut tx, &endpoint).await?;
    let after = read::find(&mut tx, &writer.partners, id).await?.ok_or(Problem::NotFound("endpoint"))?;
    commit(tx).await?;
    Ok(tagged(after, &api.master_key))
}

/// Disable an endpoint: what it is owed is held until it is enabled.
#[utoipa::path(
    post, path = "/v1/endpoints/{id}/disable", tag = "Endpoints",
    params(("id" = inline(EndpointId), Path), PartnerParam),
    responses((status = 200, description = "The endpoint as it is now.", body = EndpointView), WithoutBody),
)]
pub async fn disable_endpoint(
    State(api): State<Arc<Api>>,
    writer: Writer,
    Path(id): Path<EndpointId>,
    NoBody: NoBody,
) -> Result<Response, Problem> {
    let mut tx = begin(&api.pool).await?;
    let endpoint = read::find(&mut tx, &writer.partners, id).await?.ok_or(Problem::NotFound("endpoint"))?;
    switch::disable(&mut tx, &endpoint, BY_HAND).await?;
    let after = read::find(&mut tx, &writer.partners, id).await?.ok_or(Problem::NotFound("endpoint"))?;
    commit(tx).await?;
    Ok(tagged(after, &api.master_key))
}

/// How a secret is changed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rotation {
    /// Seconds for which what signed before signs too.
    #[schema(minimum = 0, maximum = 604_800, default = 86400)]
    overlap_seconds: Option<u32>,
}

impl Input for Rotation {}

/// Make a new signing secret, and with `v1a` a new key pair too. Until the overlap is over, callbacks are signed with
/// the old and the new.
#[utoipa::path(
    post, path = "/v1/endpoints/{id}/rotate-secret", tag = "Endpoints",
    params(("id" = inline(EndpointId), Path), PartnerParam, IdempotencyParam), request_body = Option<Rotation>,
    responses((status = 200, description = "The new secret.", body = RotatedSecret), WithBody),
)]
pub async fn rotate_secret(
    State(api): State<Arc<Api>>,
    writer: Writer,
    Path(id): Path<EndpointId>,
    OptionalCreation { new: rotation, once }: OptionalCreation<Rotation>,
) -> Result<Response, Problem> {
    let overlap = rotation.overlap_seconds.unwrap_or(DEFAULT_OVERLAP);
    if overlap > MAX_OVERLAP {
        return Err(Problem::field("overlapSeconds", format!("must be from 0 to {MAX_OVERLAP}")));
    }
    let retire_at = Utc::now() + TimeDelta::seconds(overlap.into());
    let secret = EndpointSecret::generate();
    let mut tx = begin(&api.pool).await?;
    if let Some(answer) = once.replay_as(StatusCode::OK, &mut tx, &api.master_key).await? {
        return Ok(answer);
    }
    let endpoint = read::find(&mut tx, &writer.partners, id).await?.ok_or(Problem::NotFound("endpoint"))?;
    let pair = endpoint.signatures.contains(&SignatureVersion::V1a).then(Ed25519Key::generate);
    let new: Vec<_> = [Some(SigningKey::Secret(&secret)), pair.as_ref().map(SigningKey::Pair)]
        .into_iter()
        .flatten()
        .collect();
    let place = (endpoint.partner_id, id);
    if !secret::rotate(&mut tx, &api.master_key, (place, &new), retire_at).await? {
        // Deleted since it was read.
        return Err(Problem::NotFound("endpoint"));
    }
    let rotated = RotatedSecret::new(&secret, pair.as_ref(), Time(retire_at));
    let answer = once.answer_as((StatusCode::OK, &rotated), &mut tx, &api.master_key).await?;
    commit(tx).await?;
    Ok(answer)
}
