//! What the API says when it says no: RFC 9457 problems of a closed set of types.
//!
//! Guarantees: a problem that is about a field or a parameter names it; none holds the database's words, a secret, or
//! what the caller sent. What is the relay's own fault is logged once, here.

mod catalogue;
pub mod openapi;
pub mod page;

use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use problem_details::ProblemDetails;
use serde::Serialize;
use utoipa::ToSchema;

use super::again::SessionEnded;
use crate::store;
use catalogue::Kind;

/// What is wrong with one field of a body or one parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field, like `headers` or `retrySchedule[2]`, or the parameter.
    #[schema(example = "url")]
    pub field: String,
    /// What it must be.
    #[schema(example = "must begin with https://")]
    pub detail: String,
}

impl FieldError {
    /// Names a field and says what it must be.
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), detail: detail.into() }
    }
}

/// Why a request was not served.
#[derive(Debug)]
pub enum Problem {
    /// The body is not JSON.
    MalformedBody(String),
    /// Parameters in the path, the query or a header that are not what they must be.
    InvalidParameter(Vec<FieldError>),
    /// A cursor that was not made for this list, caller and filter.
    InvalidCursor,
    /// No token, or one that opens nothing.
    Unauthorized,
    /// The token's scope does not allow this.
    Forbidden(&'static str),
    /// There is nothing of this name, or it is another partner's.
    NotFound(&'static str),
    /// There is no such path.
    NoSuchPath,
    /// The path has other methods.
    MethodNotAllowed,
    /// It contradicts what is there.
    Conflict(&'static str),
    /// It was changed since it was read.
    PreconditionFailed,
    /// The body is larger than this limit, in bytes.
    BodyTooLarge(usize),
    /// The body does not say that it is JSON.
    UnsupportedMediaType,
    /// Fields of the body that are not what they must be.
    Validation(Vec<FieldError>),
    /// The idempotency key was used for another request.
    IdempotencyKeyReused,
    /// No token of the partner verifies the webhook.
    Unverified,
    /// It has come through too many relays.
    Loop,
    /// Too many requests from there.
    TooManyRequests,
    /// The message can be neither kept nor spooled.
    IntakeFull,
    /// It took too long.
    Timeout,
    /// A query failed.
    Store(store::Error),
    /// A defect of the relay.
    Internal(&'static str),
}

impl Problem {
    /// One field of the body is wrong.
    pub fn field(field: &str, detail: impl Into<String>) -> Self {
        Self::Validation(vec![FieldError::new(field, detail)])
    }

    /// One parameter is wrong.
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::InvalidParameter(vec![FieldError::new(name, detail)])
    }

    fn kind(&self) -> &'static Kind {
        match self {
            Self::MalformedBody(_) => &catalogue::MALFORMED_BODY,
            Self::InvalidParameter(_) => &catalogue::INVALID_PARAMETER,
            Self::InvalidCursor => &catalogue::INVALID_CURSOR,
            Self::Unauthorized => &catalogue::UNAUTHORIZED,
            Self::Forbidden(_) => &catalogue::FORBIDDEN,
            Self::NotFound(_) | Self::NoSuchPath => &catalogue::NOT_FOUND,
            Self::MethodNotAllowed => &catalogue::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => &catalogue::CONFLICT,
            Self::PreconditionFailed => &catalogue::PRECONDITION_FAILED,
            Self::BodyTooLarge(_) => &catalogue::BODY_TOO_LARGE,
            Self::UnsupportedMediaType => &catalogue::UNSUPPORTED_MEDIA_TYPE,
            Self::Validation(_) => &catalogue::VALIDATION_FAILED,
            Self::IdempotencyKeyReused => &catalogue::IDEMPOTENCY_KEY_REUSED,
            Self::Timeout
            | Self::IntakeFull
            | Self::Store(
                store::Error::Unavailable(_)
                | store::Error::Unsettled(_)
                | store::Error::Contended(_)
                | store::Error::Locked(_),
            ) => &catalogue::UNAVAILABLE,
            Self::Unverified => &catalogue::UNVERIFIED,
            Self::Loop => &catalogue::LOOP,
            Self::TooManyRequests => &catalogue::TOO_MANY_REQUESTS,
            Self::Store(_) | Self::Internal(_) => &catalogue::INTERNAL,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::MalformedBody(what) => format!("The body is not valid JSON: {what}."),
            Self::InvalidParameter(errors) | Self::Validation(errors) => named(errors),
            Self::Forbidden(what) | Self::Conflict(what) => (*what).to_owned(),
            Self::NotFound(what) => format!("There is no such {what}."),
            Self::NoSuchPath => "There is no such path.".to_owned(),
            Self::BodyTooLarge(limit) => format!("The body must be at most {}.", size(*limit)),
            Self::Timeout => "The request took too long and was given up.".to_owned(),
            _ => self.kind().detail.to_owned(),
        }
    }

    fn log(&self) {
        match self {
            Self::Store(error) if self.kind().status == StatusCode::SERVICE_UNAVAILABLE => {
                tracing::warn!(error = %error, cause = store::cause(error), "a request was refused: the database is not available");
            }
            Self::Store(error) => {
                tracing::error!(error = %error, cause = store::cause(error), "a request failed");
            }
            Self::Internal(what) => tracing::error!(error = what, "a request failed"),
            Self::Timeout => tracing::warn!("a request took too long and was given up"),
            _ => {}
        }
    }
}

/// A limit as people write it.
fn size(bytes: usize) -> String {
    if bytes.is_multiple_of(1 << 20) {
        format!("{} MiB", bytes >> 20)
    } else {
        format!("{} KiB", bytes >> 10)
    }
}

/// Says every field and what it must be, in one line.
fn named(errors: &[FieldError]) -> String {
    let parts: Vec<_> = errors.iter().map(|error| format!("`{}` {}", error.field, error.detail)).collect();
    parts.join("; ")
}

/// Two parts of a request that are judged apart: what is wrong with the fields of both is told at once.
pub fn both<A, B>(one: Result<A, Problem>, other: Result<B, Problem>) -> Result<(A, B), Problem> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(Problem::Validation(mut errors)), Err(Problem::Validation(more))) => {
            errors.extend(more);
            Err(Problem::Validation(errors))
        }
        (Err(problem), _) | (Ok(_), Err(problem)) => Err(problem),
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What a problem has beyond RFC 9457.
#[derive(Serialize)]
struct Extension {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let session_ended = match &self {
            Self::Store(error) => SessionEnded::of(error),
            _ => None,
        };
        self.log();
        let kind = self.kind();
        let detail = self.detail();
        let errors = match self {
            Self::InvalidParameter(errors) | Self::Validation(errors) => errors,
            _ => Vec::new(),
        };
        let body = ProblemDetails::from_status_code(kind.status)
            .with_type(kind.uri())
            .with_title(kind.title)
            .with_detail(detail)
            .with_extensions(Extension { errors });
        let mut response = body.into_response();
        if let Some((name, value)) = kind.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        if let Some(session_ended) = session_ended {
            response.extensions_mut().insert(session_ended);
        }
        response
    }
}

impl Kind {
    fn uri(&self) -> Uri {
        Uri::try_from(format!("/docs/problems/{}", self.slug)).expect("slugs are letters and hyphens")
    }
}
