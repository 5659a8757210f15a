//! Who calls, and whose data the call is about.
//!
//! A handler names what it needs: [`Reader`], [`Writer`] or [`Admin`]. Guarantees: a token of one partner reaches that
//! partner's data only, and cannot tell another's from what is not there (404, never 403); a `read` token changes
//! nothing; the bootstrap token is compared in constant time and opens also while Postgres is down.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use sqlx::PgConnection;
use subtle::ConstantTimeEq as _;
use url::form_urlencoded;

use super::Api;
use super::problem::Problem;
use super::rate::Slip;
use crate::model::id::{InvalidId, PartnerId, TokenId};
use crate::model::token::{Caller, Scope, TokenHash};
use crate::store::{self, again};

/// A caller who may read, and the partners whose data the call is about: its own, or for an admin the one in
/// `?partnerId=`, or else all.
#[derive(Debug, Clone)]
pub struct Reader {
    pub partners: Vec<PartnerId>,
    /// An admin who named no partner.
    pub all: bool,
}

/// A caller who may change things; otherwise as [`Reader`].
#[derive(Debug, Clone)]
pub struct Writer {
    pub partners: Vec<PartnerId>,
    /// The one partner the call is about, where that is settled.
    pub partner: Option<PartnerId>,
}

/// A caller who may manage partners and tokens.
#[derive(Debug, Clone, Copy)]
pub struct Admin;

impl Writer {
    /// Whose the new thing is: the caller's own partner, or the one that an admin names in the body.
    pub fn owner(&self, named: Option<PartnerId>) -> Result<PartnerId, Problem> {
        match (self.partner, named) {
            (Some(own), Some(named)) if own != named => Err(Problem::NotFound("partner")),
            (Some(own), _) => Ok(own),
            (None, Some(named)) if self.partners.contains(&named) => Ok(named),
            (None, Some(_)) => Err(Problem::NotFound("partner")),
            (None, None) => Err(Problem::field("partnerId", "is required with an admin token")),
        }
    }
}

impl FromRequestParts<Arc<Api>> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let caller = authenticate(parts, api).await?;
        let (partners, partner) = partners(parts, api, caller).await?;
        Ok(Self { partners, all: partner.is_none() })
    }
}

impl FromRequestParts<Arc<Api>> for Writer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let caller = authenticate(parts, api).await?;
        if caller.scope < Scope::Write {
            return Err(Problem::Forbidden("A `read` token cannot change anything."));
        }
        let (partners, partner) = partners(parts, api, caller).await?;
        Ok(Self { partners, partner })
    }
}

impl FromRequestParts<Arc<Api>> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let caller = authenticate(parts, api).await?;
        if caller.scope == Scope::Admin {
            return Ok(Self);
        }
        let path = RawPathParams::from_request_parts(parts, api).await.ok();
        let named = path.as_ref().and_then(|path| path.iter().next());
        let (Some(own), Some((name, id))) = (caller.partner_id, named) else { return Err(FOR_ADMINS) };
        if named_partner(parts.uri.query().unwrap_or_default())?.is_some_and(|named| named != own) {
            return Err(Problem::NotFound("partner"));
        }
        let mut conn = api.pool.acquire().await?;
        Err(refusal(&mut conn, own, (name, id)).await?)
    }
}

const FOR_ADMINS: Problem = Problem::Forbidden("This is for `admin` tokens.");

/// What somebody who is no admin hears of one thing: that it is for admins if it is their own partner's, and otherwise
/// that it is not there, whether or not it is another's.
async fn refusal(
    conn: &mut PgConnection,
    own: PartnerId,
    (name, id): (&str, &str),
) -> Result<Problem, Problem> {
    let (is_own, what) = match (name, id.parse::<TokenId>()) {
        ("orderId", _) => (store::order::read::find(conn, &[own], id).await?.is_some(), "order"),
        (_, Ok(token)) => (store::api_token::owner(conn, token).await? == Some(own), "token"),
        _ => (id.parse() == Ok(own), "partner"),
    };
    Ok(if is_own { FOR_ADMINS } else { Problem::NotFound(what) })
}

/// Who sends this request. Counts it.
async fn authenticate(parts: &Parts, api: &Api) -> Result<Caller, Problem> {
    let token = presented(&parts.headers).ok_or(Problem::Unauthorized)?;
    let hash = TokenHash::of(token);
    // Only what looks like one of our tokens is worth a query.
    if !is_ours(token, api) {
        return Err(Problem::Unauthorized);
    }
    let caller = caller(hash, api).await?;
    admit(hash, parts, api).await?;
    Ok(caller)
}

/// Counts a request of a token that opens something, and waits until it may be served.
pub async fn admit(token: TokenHash, parts: &Parts, api: &Api) -> Result<(), Problem> {
    let slip = parts.extensions.get::<Slip>();
    if slip.is_some_and(Slip::is_served) {
        return Ok(());
    }
    api.rates.take(token, &parts.extensions)?;
    // Without the middleware that holds it, a turn would end here.
    if let Some(slip) = slip {
        slip.hold(api.turns.wait(token).await?);
    }
    Ok(())
}

/// Who presents the token with this hash.
pub async fn caller(hash: TokenHash, api: &Api) -> Result<Caller, Problem> {
    if is_bootstrap(hash, api) {
        return Ok(Caller { scope: Scope::Admin, partner_id: None });
    }
    // Requests of every kind come by here first.
    let found =
        again(|| async { store::api_token::find_caller(&mut *api.pool.acquire().await?, hash).await }).await;
    found?.ok_or(Problem::Unauthorized)
}

/// Whether this is a token of the relay, by its look, and not one of Transak's.
pub fn is_ours(token: &str, api: &Api) -> bool {
    token.starts_with("rly_") || is_bootstrap(TokenHash::of(token), api)
}

fn is_bootstrap(hash: TokenHash, api: &Api) -> bool {
    api.admin_token.is_some_and(|admin| bool::from(admin.0.ct_eq(&hash.0)))
}

/// The token of `Authorization: Bearer`, or else of `access-token`, Transak's own header. Another scheme is for somebody
/// else, like a proxy on the way.
pub fn presented(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = match authorization.and_then(|value| value.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => headers.get("access-token")?.to_str().ok()?,
    };
    Some(token).filter(|token| !token.is_empty())
}

/// The partners a call is about, and the one if it is settled.
async fn partners(
    parts: &Parts,
    api: &Api,
    caller: Caller,
) -> Result<(Vec<PartnerId>, Option<PartnerId>), Problem> {
    let named = named_partner(parts.uri.query().unwrap_or_default())?;
    if let Some(own) = caller.partner_id {
        return match named {
            Some(named) if named != own => Err(Problem::NotFound("partner")),
            _ => Ok((vec![own], Some(own))),
        };
    }
    let all = again(|| async { store::partner::ids(&mut *api.pool.acquire().await?).await }).await?;
    match named {
        Some(named) if all.contains(&named) => Ok((vec![named], Some(named))),
        Some(_) => Err(Problem::NotFound("partner")),
        None => Ok((all, None)),
    }
}

fn named_partner(query: &str) -> Result<Option<PartnerId>, Problem> {
    let mut named = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "partnerId");
    match (named.next(), named.next()) {
        (None, _) => Ok(None),
        (Some((_, id)), None) => id
            .parse()
            .map(Some)
            .map_err(|error: InvalidId| Problem::parameter("partnerId", error.to_string())),
        (Some(_), Some(_)) => Err(Problem::parameter("partnerId", "must be given once")),
    }
}
