//! Requests that create something, once however often they are sent: the `Idempotency-Key` header.
//!
//! Guarantees: an answer is sent again only to the token, the path, the parameters and the body it was given to.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::IntoParams;

use super::Api;
use super::auth::presented;
use super::body::{self, Input};
use super::problem::Problem;
use crate::model::seal::MasterKey;
use crate::model::token::TokenHash;
use crate::store::idempotency::{self as store, Claim};

/// The header that makes a request safe to send again.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The body of a request that creates something, and its key if it has one.
#[derive(Debug)]
pub struct Creation<T> {
    pub new: T,
    pub once: Once,
}

/// The header of every request that creates something.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it only describes what `Creation` reads")]
pub struct IdempotencyParam {
    /// Makes the request safe to send again: within 24 hours the same request with the same key creates nothing more
    /// and is answered as before.
    #[param(rename = "idempotency-key", min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    idempotency_key: Option<String>,
}

/// As [`Creation`], of a request whose body may be left out.
#[derive(Debug)]
pub struct OptionalCreation<T> {
    pub new: T,
    pub once: Once,
}

/// The key of a request, if it has one.
#[derive(Debug)]
pub struct Once(Option<store::Request>);

impl<T: Input> FromRequest<Arc<Api>> for Creation<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Problem> {
        let sender = Sender::of(&request)?;
        let bytes = body::read(request, api).await?;
        Ok(Self { new: body::parse(&bytes, api)?, once: sender.once(&bytes) })
    }
}

impl<T: Input + Default> FromRequest<Arc<Api>> for OptionalCreation<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Problem> {
        let sender = Sender::of(&request)?;
        let bytes = body::read_optional(request, api).await?;
        Ok(Self { new: body::parse_optional(&bytes, api)?, once: sender.once(&bytes) })
    }
}

/// What tells a request apart beside its body.
struct Sender {
    key: Option<String>,
    caller: TokenHash,
    target: String,
}

impl Sender {
    fn of(request: &Request) -> Result<Self, Problem> {
        let caller = TokenHash::of(presented(request.headers()).unwrap_or_default());
        Ok(Self { key: key(request.headers())?, caller, target: target(request.uri()) })
    }

    fn once(self, body: &Bytes) -> Once {
        let fingerprint = fingerprint(&self.target, body);
        Once(self.key.map(|key| store::Request { caller: self.caller, key, fingerprint }))
    }
}

/// What is asked for, the same over HTTP/1.1 and HTTP/2: only the latter says scheme and host with it.
fn target(uri: &Uri) -> String {
    uri.path_and_query().map_or_else(String::new, |target| target.as_str().to_owned())
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let fits = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if !fits || given.next().is_some() {
        return Err(Problem::parameter(
            IDEMPOTENCY_KEY,
            "must be given once, as 1 to 255 visible ASCII characters",
        ));
    }
    Ok(Some(text.to_owned()))
}

fn fingerprint(target: &str, body: &Bytes) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(target.as_bytes());
    context.update(b"\n");
    context.update(body);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}

impl Once {
    /// The answer that was given before, if the request was sent before. Otherwise the key is the transaction's.
    pub async fn replay(
        &self,
        conn: &mut PgConnection,
        key: &MasterKey,
    ) -> Result<Option<Response>, Problem> {
        self.replay_as(StatusCode::CREATED, conn, key).await
    }

    /// As [`Once::replay`], of an operation that answers with this status.
    pub async fn replay_as(
        &self,
        status: StatusCode,
        conn: &mut PgConnection,
        key: &MasterKey,
    ) -> Result<Option<Response>, Problem> {
        let Some(request) = &self.0 else { return Ok(None) };
        match store::claim(conn, request).await? {
            Claim::New => Ok(None),
            Claim::OtherRequest => Err(Problem::IdempotencyKeyReused),
            Claim::Answered(sealed) => {
                let opened = key.open(&context(request), &sealed);
                let json = opened.map_err(|_| Problem::Internal("a kept answer does not open"))?;
                Ok(Some(
                    ([(REPLAYED, HeaderValue::from_static("true"))], answered(status, json)).into_response(),
                ))
            }
        }
    }

    /// Answers what was created, and keeps the answer with the transaction that created it.
    pub async fn answer<T: Serialize>(
        &self,
        conn: &mut PgConnection,
        key: &MasterKey,
        view: &T,
    ) -> Result<Response, Problem> {
        self.answer_as((StatusCode::CREATED, view), conn, key).await
    }

    /// As [`Once::answer`], of an operation that answers with this status.
    pub async fn answer_as<T: Serialize>(
        &self,
        (status, view): (StatusCode, &T),
        conn: &mut PgConnection,
        key: &MasterKey,
    ) -> Result<Response, Problem> {
        let json = serde_json::to_vec(view).map_err(|_| Problem::Internal("an answer does not serialise"))?;
        if let Some(request) = &self.0 {
            store::keep(conn, request, &key.seal(&context(request), &json)).await?;
        }
        Ok(answered(status, json))
    }
}

fn answered(status: StatusCode, json: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], json).into_response()
}

/// An answer opens only for the caller and the key it was sealed for.
fn context(request: &store::Request) -> String {
    let caller = STANDARD_NO_PAD.encode(request.caller.0);
    format!("idempotency/{caller}/{}", request.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_request_over_another_version_of_http_is_the_same() {
        let [first, again, other] =
            ["/v1/endpoints?a=1", "https://relay.example/v1/endpoints?a=1", "/v1/endpoints?a=2"]
                .map(|uri| target(&uri.parse().unwrap()));
        assert_eq!(first, again);
        assert_ne!(first, other);
    }
}
