//! Lists in pages.
//!
//! A cursor is the place of the last row, sealed together with the path, the partner and the filters it was made for.
//! Guarantees: a cursor of another list, tenant or filter, or one that was made up, is refused; rows that come or go
//! between two pages make no row appear twice and hide none that stays.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::auth::{Admin, Reader};
use super::problem::Problem;
use super::query::Params;
use crate::model::id::{InvalidId, PartnerId};
use crate::store::list::Page;

/// The most rows of a page.
const MAX_LIMIT: i64 = 200;
/// The rows of a page if the caller does not say.
const DEFAULT_LIMIT: i64 = 50;

/// The parameters of every list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it only describes what `Listing` reads")]
pub struct PageParams {
    /// The most rows to answer.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `nextCursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// With an admin token: which partner's. Left out, lists answer all partners.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes what `auth` reads")]
pub struct PartnerParam {
    /// With an admin token: whose. Left out: any partner's.
    #[param(value_type = Option<PartnerId>, inline)]
    partner_id: Option<PartnerId>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Paged<T> {
    /// The rows. A page may hold fewer than `limit`, or none, although there are more.
    pub data: Vec<T>,
    /// The cursor of the next page; null if this is the last.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// A request for a page of a list that `A` may read, filtered by `F`.
#[derive(Debug)]
pub struct Listing<F, A = Reader> {
    pub access: A,
    pub filter: F,
    /// The partner in the query.
    pub partner: Option<PartnerId>,
    limit: i64,
    cursor: Option<String>,
    /// What a cursor is sealed for.
    context: String,
}

impl<F, A> FromRequestParts<Arc<Api>> for Listing<F, A>
where
    F: DeserializeOwned,
    A: FromRequestParts<Arc<Api>, Rejection = Problem> + Tenancy,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let access = A::from_request_parts(parts, api).await?;
        let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let mut params = Params::parse(parts.uri.query().unwrap_or_default());
        let cursor = params.take("cursor")?.map(Cow::into_owned);
        let limit = params.take("limit")?.map_or(Ok(DEFAULT_LIMIT), |limit| read_limit(&limit))?;
        let partner = params.take("partnerId")?.map(|id| id.parse()).transpose();
        let partner =
            partner.map_err(|error: InvalidId| Problem::parameter("partnerId", error.to_string()))?;
        let context = format!("cursor{path} {} {partner:?} {}", access.tenancy(), params.canonical());
        Ok(Self { access, filter: params.into_filter()?, partner, limit, cursor, context })
    }
}

/// What tells one tenant's cursors from another's.
pub trait Tenancy {
    /// The partner, or that it is all of them.
    fn tenancy(&self) -> String;
}

impl Tenancy for Reader {
    fn tenancy(&self) -> String {
        if self.all { "all".to_owned() } else { self.partners.iter().map(ToString::to_string).collect() }
    }
}

impl Tenancy for Admin {
    fn tenancy(&self) -> String {
        "admin".to_owned()
    }
}

impl<F, A> Listing<F, A> {
    /// What to ask the store for: one row more than the page, to see whether there is a next one.
    pub fn page<P: DeserializeOwned>(&self, api: &Api) -> Result<Page<P>, Problem> {
        let after = self.cursor.as_deref().map(|cursor| self.open(cursor, api)).transpose()?;
        Ok(Page { after, limit: self.limit + 1 })
    }

    fn open<P: DeserializeOwned>(&self, cursor: &str, api: &Api) -> Result<P, Problem> {
        let sealed = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| Problem::InvalidCursor)?;
        let place = api.master_key.open(&self.context, &sealed).map_err(|_| Problem::InvalidCursor)?;
        serde_json::from_slice(&place).map_err(|_| Problem::InvalidCursor)
    }

    /// Whether the store answered more than the page, and what the page is.
    pub fn cut<R>(&self, mut rows: Vec<R>) -> (Vec<R>, bool) {
        let fits = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > fits;
        rows.truncate(fits);
        (rows, more)
    }

    /// The cursor that leads on from `place`.
    pub fn cursor<P: Serialize>(&self, api: &Api, place: &P) -> Option<String> {
        let place = serde_json::to_vec(place).ok()?;
        Some(URL_SAFE_NO_PAD.encode(api.master_key.seal(&self.context, &place)))
    }

    /// The answer, from what the store answered.
    pub fn answer<R, P: Serialize, T: From<R>>(
        &self,
        api: &Api,
        rows: Vec<R>,
        place: impl Fn(&R) -> P,
    ) -> axum::Json<Paged<T>> {
        self.answer_up_to(api, rows, place, None)
    }

    /// The same for a list that was looked at up to a horizon: there the next page begins, if this one is not full.
    pub fn answer_up_to<R, P: Serialize, T: From<R>>(
        &self,
        api: &Api,
        rows: Vec<R>,
        place: impl Fn(&R) -> P,
        horizon: Option<P>,
    ) -> axum::Json<Paged<T>> {
        let (rows, more) = self.cut(rows);
        let end = rows.last().filter(|_| more).map(place).or(horizon);
        let next_cursor = end.and_then(|place| self.cursor(api, &place));
        axum::Json(Paged { data: rows.into_iter().map(T::from).collect(), next_cursor })
    }
}

fn read_limit(text: &str) -> Result<i64, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Problem::parameter("limit", format!("must be a number from 1 to {MAX_LIMIT}")))
}
