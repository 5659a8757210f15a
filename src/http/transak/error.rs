//! Errors in Transak's shape: `{"error": {"statusCode", "name", "message"}}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::problem::Problem;

/// Why Get Webhooks was not served.
#[derive(Debug)]
pub enum TransakError {
    /// A parameter is wrong; the message says which.
    BadRequest(String),
    /// Several partners have the access token, and it does not say whose it is.
    Shared,
    /// What the rest of the API would say, told in Transak's shape.
    Problem(Problem),
}

const SHARED: &str =
    "Several partners have this access token: use a token of the relay, or give each partner its own";

impl From<Problem> for TransakError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Transak's error.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TransakError)]
pub struct ErrorBody {
    error: ErrorDetail,
}

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TransakErrorDetail)]
pub struct ErrorDetail {
    /// The status code of the answer.
    #[schema(example = 401)]
    status_code: u16,
    /// Its name.
    #[schema(example = "Unauthorized")]
    name: &'static str,
    /// In words.
    #[schema(example = "Authorization Required")]
    message: String,
}

impl IntoResponse for TransakError {
    fn into_response(self) -> Response {
        let (mut response, message) = match self {
            Self::BadRequest(message) => (StatusCode::BAD_REQUEST.into_response(), Some(message)),
            Self::Shared => (Problem::Unauthorized.into_response(), Some(SHARED.to_owned())),
            Self::Problem(Problem::Unauthorized) => {
                (Problem::Unauthorized.into_response(), Some("Authorization Required".to_owned()))
            }
            Self::Problem(problem) => (problem.into_response(), None),
        };
        let status = response.status();
        let name = status.canonical_reason().unwrap_or_default();
        let message = message.unwrap_or_else(|| name.to_owned());
        let error = ErrorDetail { status_code: status.as_u16(), name, message };
        let (parts, body) = Json(ErrorBody { error }).into_response().into_parts();
        response.headers_mut().extend(parts.headers);
        *response.body_mut() = body;
        response
    }
}
