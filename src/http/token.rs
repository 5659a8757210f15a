//! API tokens: who may call the relay. For admins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::auth::Admin;
use super::body::Input;
use super::creation::{Creation, IdempotencyParam};
use super::field::{Text, Time};
use super::page::{Listing, PageParams, Paged, PartnerParam};
use super::path::Path;
use super::problem::Problem;
use super::problem::openapi::{Common, WithBody, Writing};
use super::quarantine::NoFilter;
use crate::model::id::{PartnerId, TokenId};
use crate::model::token::{Caller, Scope, TokenHash, generate};
use crate::store::api_token::{self as store, ApiToken};
use crate::store::list::snapshot;
use crate::store::partner;
use crate::store::{begin, commit};

/// A token, without what opens anything.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Token)]
pub struct TokenView {
    id: TokenId,
    name: String,
    scope: Scope,
    /// The partner whose data it opens; null for `admin`, which opens all.
    #[schema(required)]
    partner_id: Option<PartnerId>,
    created_at: Time,
}

impl From<ApiToken> for TokenView {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.token_id,
            name: token.name,
            scope: token.scope,
            partner_id: token.partner_id,
            created_at: Time(token.created_at),
        }
    }
}

/// A new token.
#[derive(Serialize, ToSchema)]
pub struct CreatedToken {
    #[serde(flatten)]
    summary: TokenView,
    /// What to send as `Authorization: Bearer`. It is shown this once.
    #[schema(example = "rly_Zm9yIGV4YW1wbGUgb25seSwgb3BlbnMgbm90aGluZyE")]
    token: String,
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewToken {
    /// For people: who or what uses it.
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "Acme's order service")]
    name: Text<200>,
    scope: Scope,
    /// Needed unless the scope is `admin`.
    partner_id: Option<PartnerId>,
}

impl Input for NewToken {}

impl NewToken {
    fn caller(&self) -> Result<Caller, Problem> {
        match (self.scope, self.partner_id) {
            (Scope::Admin, Some(_)) => {
                Err(Problem::field("partnerId", "must be left out: an admin has no partner"))
            }
            (Scope::Write | Scope::Read, None) => {
                Err(Problem::field("partnerId", "is required unless scope is admin"))
            }
            (scope, partner_id) => Ok(Caller { scope, partner_id }),
        }
    }
}

/// Make a token. It is shown once.
#[utoipa::path(
    post, path = "/v1/tokens", tag = "Tokens", params(IdempotencyParam), request_body = NewToken,
    responses((status = 201, description = "The token.", body = CreatedToken), WithBody),
)]
pub async fn create_token(
    State(api): State<Arc<Api>>,
    _: Admin,
    Creation { new, once }: Creation<NewToken>,
) -> Result<Response, Problem> {
    let caller = new.caller()?;
    let mut tx = begin(&api.pool).await?;
    if let Some(answer) = once.replay(&mut tx, &api.master_key).await? {
        return Ok(answer);
    }
    if let Some(id) = caller.partner_id {
        partner::lock(&mut tx, id).await?.ok_or_else(|| Problem::field("partnerId", "is no partner's id"))?;
    }
    let secret = generate();
    let hash = TokenHash::of(secret.expose_secret());
    let token = store::insert(&mut tx, &store::NewApiToken { name: new.name.0, caller, hash }).await?;
    let shown = CreatedToken { summary: token.into(), token: secret.expose_secret().to_owned() };
    let answer = once.answer(&mut tx, &api.master_key, &shown).await?;
    commit(tx).await?;
    Ok(answer)
}

/// List tokens, newest first.
#[utoipa::path(
    get, path = "/v1/tokens", tag = "Tokens", params(PageParams, PartnerParam),
    responses((status = 200, description = "A page of tokens.", body = Paged<TokenView>), Common),
)]
pub async fn list_tokens(
    State(api): State<Arc<Api>>,
    list: Listing<NoFilter, Admin>,
) -> Result<Json<Paged<TokenView>>, Problem> {
    let page = list.page::<TokenId>(&api)?;
    let mut conn = snapshot(&api.pool).await?;
    let rows = store::list(&mut conn, list.partner, &page).await?;
    Ok(list.answer(&api, rows, |row| row.token_id))
}

/// Delete a token: whoever has it is refused from then on.
#[utoipa::path(
    delete, path = "/v1/tokens/{id}", tag = "Tokens", params(("id" = inline(TokenId), Path)),
    responses((status = 204, description = "It is gone."), Writing),
)]
pub async fn delete_token(
    State(api): State<Arc<Api>>,
    _: Admin,
    Path(id): Path<TokenId>,
) -> Result<StatusCode, Problem> {
    let mut tx = begin(&api.pool).await?;
    if !store::delete(&mut tx, id).await? {
        return Err(Problem::NotFound("token"));
    }
    commit(tx).await?;
    api.feed.tokens_changed();
    Ok(StatusCode::NO_CONTENT)
}
