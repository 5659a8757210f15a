//! What can be wrong with an answer, applied to every route.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use super::Shared;

/// The body of [`Fault::Oversized`], in bytes.
pub const OVERSIZED: usize = 10 << 20;

/// How answers go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// They do not.
    #[default]
    None,
    /// Transak's error envelope with this status.
    Status {
        /// 429, 500, 503…
        code: u16,
        /// `Retry-After`, in seconds.
        retry_after: Option<u32>,
    },
    /// 200 and a page for people, as a proxy in between would send.
    Html,
    /// The right answer, but only the first half of its bytes.
    Truncated,
    /// Get Order answers with another order than asked for.
    AnotherOrder,
    /// 10 MiB of JSON.
    Oversized,
    /// A refresh answers with a token that has ended.
    ExpiredToken,
    /// Get Orders answers with no more than this many orders, whatever was asked for, and tells no total.
    SmallPages(usize),
    /// The request is taken and never answered.
    Silence,
}

/// Counts the request, and lets it through, spoils the answer, or tells the handler to.
pub(super) async fn apply(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    shared.count(request.uri().path(), request.headers());
    let fault = shared.next_fault();
    request.extensions_mut().insert(fault);
    match fault {
        Fault::Status { code, retry_after } => status(code, retry_after),
        Fault::Html => Html("<!doctype html><title>502 Bad Gateway</title>").into_response(),
        Fault::Oversized => {
            let body = format!("{{\"data\":\"{}\"}}", "x".repeat(OVERSIZED));
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Fault::Truncated => truncate(next.run(request).await).await,
        Fault::Silence => std::future::pending().await,
        Fault::None | Fault::AnotherOrder | Fault::ExpiredToken | Fault::SmallPages(_) => {
            next.run(request).await
        }
    }
}

fn status(code: u16, retry_after: Option<u32>) -> Response {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = super::handlers::envelope(code, "Told to");
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

async fn truncate(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else { return status(500, None) };
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body.slice(..body.len() / 2)))
}
