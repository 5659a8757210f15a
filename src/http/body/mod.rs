//! Reading JSON bodies, so that what is wrong is said of the field it is wrong in, and all of it at once.

mod read;
mod shape;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, MatchedPath, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::Api;
use super::ingest;
pub use super::object::Object;
use super::problem::{FieldError, Problem};
pub use read::{field_error, parse, parse_optional};

/// What can be a body: serde reads it, and its schema says what is wrong with one that cannot be read.
pub trait Input: DeserializeOwned + ToSchema {
    /// What is wrong beyond the shape with the fields whose shape is right, given the body without the others: so that
    /// nobody mends one field only to hear of the next.
    fn judge(_well_shaped: &[u8], _api: &Api) -> Vec<FieldError> {
        Vec::new()
    }
}

/// A JSON body.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

/// The body of an operation that takes none: nothing, or an object without members.
#[derive(Debug, Clone, Copy)]
pub struct NoBody;

/// A JSON body that may be left out.
#[derive(Debug, Clone, Copy)]
pub struct OptionalJson<T>(pub T);

impl<T: Input + Default> FromRequest<Arc<Api>> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Problem> {
        parse_optional(&read_optional(request, api).await?, api).map(Self)
    }
}

impl<T: Input> FromRequest<Arc<Api>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Problem> {
        parse(&read(request, api).await?, api).map(Self)
    }
}

impl FromRequest<Arc<Api>> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Problem> {
        #[derive(Default, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}

        impl Input for Nothing {}

        OptionalJson::<Nothing>::from_request(request, api).await.map(|_| Self)
    }
}

/// Reads a body that is empty or says it is JSON to its end.
pub async fn read_optional<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let is_json = is_json(request.headers());
    let bytes = Bytes::from_request(request, state).await.map_err(|error| unread(&error))?;
    if is_json || bytes.is_empty() { Ok(bytes) } else { Err(Problem::UnsupportedMediaType) }
}

/// The largest body, in bytes.
pub const MAX_BODY: usize = 1 << 20;

/// How much of a body that is too large is read and thrown away: most clients send everything before they listen, and
/// one whose connection is closed meanwhile never hears why.
const HEARD_OUT: u64 = 32 << 20;

/// The middleware that refuses a body which says that it is too large.
pub async fn refuse_too_large(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length: u64 = length.and_then(|length| length.parse().ok()).unwrap_or_default();
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let limit = if path == ingest::PATH { ingest::MAX_BODY } else { MAX_BODY };
    if length <= limit as u64 {
        return next.run(request).await;
    }
    // Who waits for a 100 (Continue) listens already.
    if length <= HEARD_OUT && !request.headers().contains_key(header::EXPECT) {
        let mut rest = request.into_body().into_data_stream();
        while let Some(Ok(_)) = rest.next().await {}
    }
    Problem::BodyTooLarge(limit).into_response()
}

/// Reads a body that says it is JSON to its end.
pub async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let is_json = is_json(request.headers());
    let bytes = Bytes::from_request(request, state).await.map_err(|error| unread(&error))?;
    if is_json { Ok(bytes) } else { Err(Problem::UnsupportedMediaType) }
}

/// `application/json` and what is built on it, with or without parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn unread(error: &BytesRejection) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::BodyTooLarge(MAX_BODY)
    } else {
        Problem::MalformedBody("it could not be read to its end".to_owned())
    }
}
