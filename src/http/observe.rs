//! What every request goes through: an id in and out, a deadline, a net for panics, and a line in the log.
//!
//! The log names the route and never the path or the query, which hold other people's ids and wallets.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;
use uuid::Uuid;

use super::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long a request may take until its answer begins.
const DEADLINE: Duration = Duration::from_secs(30);

/// The middleware.
pub async fn observe(mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let id_text = id.to_str().unwrap_or_default();
    let span = tracing::info_span!("http.request", request_id = id_text, %method, route);
    let mut response = answer(request, next, &route).instrument(span).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

async fn answer(request: Request, next: Next, route: &str) -> Response {
    let began = Instant::now();
    let answered = tokio::time::timeout(DEADLINE, next.run(request)).await;
    let response = answered.unwrap_or_else(|_| Problem::Timeout.into_response());
    let (status, took) = (response.status().as_u16(), began.elapsed());
    tracing::debug!(status, duration_ms = took.as_millis(), "answered");
    let labels = [("route", route.to_owned()), ("status", status.to_string())];
    metrics::histogram!("http_request_duration_seconds", &labels).record(took);
    response
}

/// The caller's id if it is fit for a log, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(REQUEST_ID).filter(|id| {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
        (1..=128).contains(&id.len()) && id.as_bytes().iter().all(plain)
    });
    given.cloned().unwrap_or_else(|| {
        let id = Uuid::now_v7().to_string();
        HeaderValue::try_from(id).expect("a UUID is a header's value")
    })
}

/// A panic is a defect of one request, not of the process.
pub fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    Problem::Internal("a handler panicked").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_fit_for_a_log_is_kept() {
        let id = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, text.parse().unwrap());
            request_id(&headers)
        };
        assert_eq!(id("abc-1.2_3"), "abc-1.2_3");
        for unfit in ["", "a b", "a\"b", &"x".repeat(129)] {
            assert_ne!(id(unfit), unfit);
        }
    }
}
