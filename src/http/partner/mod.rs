//! Partners: the holders of Transak API keys. For admins.

mod parts;
mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::http::Api;
use crate::http::auth::Admin;
use crate::http::body::{Input, Json as Body};
use crate::http::creation::{Creation, IdempotencyParam};
use crate::http::field::{Secret, Text};
use crate::http::page::{Listing, PageParams, Paged};
use crate::http::path::Path;
use crate::http::problem::openapi::{Common, WithBody, Writing};
use crate::http::problem::{FieldError, Problem};
use crate::http::quarantine::NoFilter;
use crate::model::change::Change;
use crate::model::id::PartnerId;
use crate::model::partner::Environment;
use crate::store::list::snapshot;
use crate::store::partner::Changed;
use crate::store::{access_token, partner as store};
use crate::store::{begin, commit};
pub use view::PartnerView;

/// A partner to be registered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewPartner {
    /// For people.
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "Acme")]
    name: Text<200>,
    environment: Environment,
    /// Transak's API key: the name of its channel.
    #[schema(
        value_type = String, min_length = 1, max_length = 164, pattern = "^[A-Za-z0-9_=@,.;-]+$",
        example = "c4f1a5de-1b2c-4d3e-8f90-5a6b7c8d9e0f"
    )]
    api_key: Text<164>,
    /// Transak's access token, which signs its messages.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 8192, pattern = "^[!-~]+$", write_only)]
    access_token: Option<Secret>,
    /// Transak's API secret, with which the relay fetches access tokens by itself.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 8192, pattern = "^[!-~]+$", write_only)]
    api_secret: Option<Secret>,
}

/// What changes of a partner: what is left out stays, null forgets.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PartnerPatch {
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    #[serde(default)]
    name: Change<Text<200>>,
    #[schema(value_type = Environment)]
    #[serde(default)]
    environment: Change<Environment>,
    #[schema(value_type = String, min_length = 1, max_length = 164, pattern = "^[A-Za-z0-9_=@,.;-]+$")]
    #[serde(default)]
    api_key: Change<Text<164>>,
    /// A new access token; those before still verify. Null forgets them all.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 8192, pattern = "^[!-~]+$", write_only)]
    #[serde(default)]
    access_token: Change<Secret>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 8192, pattern = "^[!-~]+$", write_only)]
    #[serde(default)]
    api_secret: Change<Secret>,
    /// How many endpoints it may have. Null: as many as the installation says.
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 1_000_000)]
    #[serde(default)]
    max_endpoints: Change<i32>,
}

/// Register a partner.
#[utoipa::path(
    post, path = "/v1/partners", tag = "Partners", params(IdempotencyParam), request_body = NewPartner,
    responses((status = 201, description = "The partner.", body = PartnerView), WithBody),
)]
pub async fn create_partner(
    State(api): State<Arc<Api>>,
    _: Admin,
    Creation { new, once }: Creation<NewPartner>,
) -> Result<Response, Problem> {
    let (row, token) = new.check()?;
    let mut tx = begin(&api.pool).await?;
    if let Some(answer) = once.replay(&mut tx, &api.master_key).await? {
        return Ok(answer);
    }
    let id = store::insert(&mut tx, &api.master_key, &row).await?.ok_or(API_KEY_TAKEN)?;
    if let Some(token) = token {
        access_token::add(&mut tx, &api.master_key, id, &token.0).await?;
        parts::check_owner(&mut tx, id, &token).await?;
    }
    let Json(partner) = show(&mut tx, id).await?;
    let answer = once.answer(&mut tx, &api.master_key, &partner).await?;
    commit(tx).await?;
    api.know_partners().await;
    Ok(answer)
}

impl Input for NewPartner {
    fn judge(well_shaped: &[u8], _api: &Api) -> Vec<FieldError> {
        parts::judge(well_shaped)
    }
}

impl Input for PartnerPatch {
    fn judge(well_shaped: &[u8], _api: &Api) -> Vec<FieldError> {
        parts::judge(well_shaped)
    }
}

impl NewPartner {
    fn check(self) -> Result<(store::NewPartner, Option<Secret>), Problem> {
        parts::check(Some(&self.api_key.0), self.access_token.as_ref())?;
        let row = store::NewPartner {
            name: self.name.0,
            environment: self.environment,
            api_key: self.api_key.0,
            api_secret: self.api_secret.map(|secret| secret.0),
        };
        Ok((row, self.access_token))
    }
}

/// The most endpoints that can be allowed to a partner.
const MOST_ENDPOINTS: i32 = 1_000_000;

const API_KEY_TAKEN: Problem = Problem::Conflict("Another partner has this `apiKey` in this `environment`.");

/// List partners, newest first.
#[utoipa::path(
    get, path = "/v1/partners", tag = "Partners", params(PageParams),
    responses((status = 200, description = "A page of partners.", body = Paged<PartnerView>), Common),
)]
pub async fn list_partners(
    State(api): State<Arc<Api>>,
    list: Listing<NoFilter, Admin>,
) -> Result<Json<Paged<PartnerView>>, Problem> {
    let page = list.page::<PartnerId>(&api)?;
    let mut conn = snapshot(&api.pool).await?;
    let rows = store::list(&mut conn, &page).await?;
    Ok(list.answer(&api, rows, |row| row.partner_id))
}

/// Get a partner.
#[utoipa::path(
    get, path = "/v1/partners/{id}", tag = "Partners", params(("id" = inline(PartnerId), Path)),
    responses((status = 200, description = "The partner.", body = PartnerView), Common),
)]
pub async fn get_partner(
    State(api): State<Arc<Api>>,
    _: Admin,
    Path(id): Path<PartnerId>,
) -> Result<Json<PartnerView>, Problem> {
    let mut conn = snapshot(&api.pool).await?;
    show(&mut conn, id).await
}

async fn show(conn: &mut PgConnection, id: PartnerId) -> Result<Json<PartnerView>, Problem> {
    let partner = store::find(conn, id).await?.ok_or(Problem::NotFound("partner"))?;
    Ok(Json(partner.into()))
}

/// Change a partner. What is left out stays.
#[utoipa::path(
    patch, path = "/v1/partners/{id}", tag = "Partners", params(("id" = inline(PartnerId), Path)),
    request_body = PartnerPatch,
    responses((status = 200, description = "The partner as it is now.", body = PartnerView), WithBody),
)]
pub async fn change_partner(
    State(api): State<Arc<Api>>,
    _: Admin,
    Path(id): Path<PartnerId>,
    Body(patch): Body<PartnerPatch>,
) -> Result<Json<PartnerView>, Problem> {
    let (change, token) = patch.check()?;
    let mut tx = begin(&api.pool).await?;
    match store::change(&mut tx, &api.master_key, id, &change).await? {
        Changed::Yes => {}
        Changed::NoSuchPartner => return Err(Problem::NotFound("partner")),
        Changed::ApiKeyTaken => return Err(taken(&change)),
    }
    match token {
        Change::Keep => {}
        Change::Clear => access_token::forget(&mut tx, id).await?,
        Change::Set(token) => {
            access_token::add(&mut tx, &api.master_key, id, &token.0).await?;
            parts::check_owner(&mut tx, id, &token).await?;
        }
    }
    let partner = show(&mut tx, id).await?;
    commit(tx).await?;
    api.know_partners().await;
    Ok(partner)
}

/// A change that would give two partners the same key in one environment: the field that does it.
fn taken(change: &store::PartnerChange) -> Problem {
    let field = if change.api_key.is_some() { "apiKey" } else { "environment" };
    Problem::field(field, "must not make two partners with one `apiKey` in one `environment`")
}

impl PartnerPatch {
    fn check(self) -> Result<(store::PartnerChange, Change<Secret>), Problem> {
        let mut errors = Vec::new();
        let change = store::PartnerChange {
            name: never_null("name", self.name, &mut errors).map(|name| name.0),
            environment: never_null("environment", self.environment, &mut errors),
            api_key: never_null("apiKey", self.api_key, &mut errors).map(|key| key.0),
            api_secret: self.api_secret.map(|secret| secret.0),
            max_endpoints: self.max_endpoints,
        };
        if change.max_endpoints.value().is_some_and(|most| !(1..=MOST_ENDPOINTS).contains(most)) {
            errors.push(FieldError::new("maxEndpoints", format!("must be from 1 to {MOST_ENDPOINTS}")));
        }
        errors.extend(parts::faults(change.api_key.as_deref(), self.access_token.value()));
        if errors.is_empty() { Ok((change, self.access_token)) } else { Err(Problem::Validation(errors)) }
    }
}

/// The new value of a field that cannot be cleared.
pub fn never_null<T>(field: &str, change: Change<T>, errors: &mut Vec<FieldError>) -> Option<T> {
    match change {
        Change::Keep => None,
        Change::Set(value) => Some(value),
        Change::Clear => {
            errors.push(FieldError::new(field, "must not be null"));
            None
        }
    }
}

/// Delete a partner with its secrets, tokens and endpoints. What was heard stays until retention drops it.
#[utoipa::path(
    delete, path = "/v1/partners/{id}", tag = "Partners", params(("id" = inline(PartnerId), Path)),
    responses((status = 204, description = "It is gone."), Writing),
)]
pub async fn delete_partner(
    State(api): State<Arc<Api>>,
    _: Admin,
    Path(id): Path<PartnerId>,
) -> Result<StatusCode, Problem> {
    let mut tx = begin(&api.pool).await?;
    if !store::delete(&mut tx, id).await? {
        return Err(Problem::NotFound("partner"));
    }
    commit(tx).await?;
    api.know_partners().await;
    api.feed.tokens_changed();
    Ok(StatusCode::NO_CONTENT)
}
