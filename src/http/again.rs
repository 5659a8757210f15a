//! A read whose session with Postgres had been ended by the server is made once more, on another session: to the caller
//! nothing has happened. Requests that change something begin their transaction anew instead (`store::begin`).

use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

/// Stands with a response that says "not available" because a session had been ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionEnded;

/// As many sessions may have been ended at once, and each is found out by trying it.
const MOST: usize = 64;

/// Makes a read again until its session is a living one.
pub(super) async fn read_again(request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let mut response = next.clone().run(Request::from_parts(parts.clone(), body)).await;
    for _ in 1..MOST {
        if response.extensions().get::<SessionEnded>().is_none() {
            break;
        }
        // Nobody reads the body of such a request.
        response = next.clone().run(Request::from_parts(parts.clone(), Body::empty())).await;
    }
    response
}
