//! What browsers are told to do with our answers, so that a page of ours is never a part of somebody else's and loads
//! nothing but what the relay serves.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

/// For every answer.
const ALWAYS: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];

/// For pages. Scripts are files of ours; the viewer of the API's document sets styles in its elements.
const PAGES: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// For what is no page: should a browser take it for one, it does nothing.
const OTHERS: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// The middleware around all others, and around what is answered without them.
pub(super) async fn tell_browsers(mut response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let headers = response.headers_mut();
    headers.extend(ALWAYS);
    headers.insert(header::CONTENT_SECURITY_POLICY, if is_page { PAGES } else { OTHERS });
    response
}
