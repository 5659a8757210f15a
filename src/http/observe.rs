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

use super::endpoint::trial;
use super::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long a request may take until its answer begins, unless it waits for a callback.
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
    let deadline = if route == trial::PATH { trial::DEADLINE } else { DEADLINE };
    let answered = tokio::time::timeout(deadline, next.run(request)).await;
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
    use axum::Router;
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;
    use crate::model::delivery::MAX_TOTAL_DEADLINE;

    /// After how long a request is given up whose handler never ends.
    async fn given_up_after(route: &str) -> Duration {
        let endless = get(std::future::pending::<()>);
        let router = Router::new().route(route, endless).layer(axum::middleware::from_fn(observe));
        let request = Request::get(route.replace("{id}", "ep_1")).body(Body::empty()).unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(router.oneshot(request).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_test_of_an_endpoint_is_waited_for_as_long_as_a_callback_may_take() {
        let patience = given_up_after(trial::PATH).await;
        assert!(patience > MAX_TOTAL_DEADLINE + Duration::from_secs(5), "{patience:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn any_other_request_is_given_up_after_half_a_minute() {
        let patience = given_up_after("/v1/orders").await;
        assert_eq!(patience.as_secs(), DEADLINE.as_secs());
    }

    #[test]
    fn the_path_of_a_test_is_one_of_the_interface() {
        assert!(crate::http::openapi().paths.paths.contains_key(trial::PATH));
    }

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
