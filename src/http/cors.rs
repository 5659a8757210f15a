//! Which pages of other origins may call: none, unless configured. Tokens stand in headers, never in cookies, so a page
//! can only use a token that it was given.

use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::model::origin::Origin;

/// What a page may send, and see of an answer, beyond what every page may.
const SENT: [&str; 7] = [
    "access-token",
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "last-event-id",
    "x-request-id",
];
const SEEN: [&str; 6] =
    ["etag", "idempotent-replayed", "ratelimit", "ratelimit-policy", "retry-after", "x-request-id"];

/// The headers that answer pages of these origins; `None`: there are none.
pub(super) fn layer(origins: &[Origin]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let any = origins.iter().any(|origin| origin.as_str() == "*");
    let listed = origins.iter().filter_map(|origin| HeaderValue::try_from(origin.as_str()).ok());
    let layer = CorsLayer::new()
        .allow_origin(if any { AllowOrigin::any() } else { AllowOrigin::list(listed) })
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(SENT.map(HeaderName::from_static))
        .expose_headers(SEEN.map(HeaderName::from_static));
    Some(layer)
}
