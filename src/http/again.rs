//! A request whose session with Postgres was ended by the server is made once more, on another session: to the caller
//! nothing has happened.
//!
//! Guarantees: nothing is done twice. Every change is one transaction; what is made again is a read, what was not
//! committed, or what the caller itself declared safe to send again with an `Idempotency-Key`.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::Frame;

use super::creation::IDEMPOTENCY_KEY;
use crate::store;

/// Stands with a response that says "not available" because a session had been ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionEnded {
    /// Nothing was done.
    Undone,
    /// What was asked for may have been done.
    Unsettled,
}

impl SessionEnded {
    pub(super) fn of(error: &store::Error) -> Option<Self> {
        match error {
            error if error.is_session_ended() => Some(Self::Undone),
            error if error.is_left_unsettled() => Some(Self::Unsettled),
            _ => None,
        }
    }
}

/// As many sessions may have been ended at once, and each is found out by trying it.
const MOST: usize = 64;

/// Makes a request again until its session is a living one.
pub(super) async fn make_again(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let is_repeatable =
        matches!(parts.method, Method::GET | Method::HEAD) || parts.headers.contains_key(IDEMPOTENCY_KEY);
    let said = Said::new(body);
    for _ in 1..MOST {
        let request = Request::from_parts(parts.clone(), Body::new(said.read()));
        let response = next.clone().run(request).await;
        match response.extensions().get::<SessionEnded>() {
            Some(SessionEnded::Undone) => {}
            Some(SessionEnded::Unsettled) if is_repeatable => {}
            _ => return response,
        }
    }
    next.run(Request::from_parts(parts, Body::new(said.read()))).await
}

/// The body of a request, which can be read again from its beginning.
#[derive(Debug, Clone)]
struct Said(Arc<Mutex<Told>>);

#[derive(Debug)]
struct Told {
    parts: Vec<Bytes>,
    /// `None`: it was read to its end.
    rest: Option<Body>,
}

/// One reading of a body.
struct Reading {
    said: Said,
    next: usize,
}

impl Said {
    fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Told { parts: Vec::new(), rest: Some(body) })))
    }

    fn read(&self) -> Reading {
        Reading { said: self.clone(), next: 0 }
    }
}

impl HttpBody for Reading {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { said, next } = &mut *self;
        let mut told = said.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = told.parts.get(*next) {
            *next += 1;
            return Poll::Ready(Some(Ok(Frame::data(part.clone()))));
        }
        let Some(rest) = &mut told.rest else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(rest).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(part) = frame.data_ref() {
                    told.parts.push(part.clone());
                    *next += 1;
                }
            }
            Some(Err(_)) => {}
            None => told.rest = None,
        }
        Poll::Ready(frame)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_body_is_read_again_from_its_beginning_however_far_it_had_been_read() {
        let parts = ["one ", "two ", "three"].map(|part| Ok::<_, std::io::Error>(Bytes::from(part)));
        let said = Said::new(Body::from_stream(futures_util::stream::iter(parts)));
        let first = said.read().frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "one ");
        for _ in 0..2 {
            assert_eq!(said.read().collect().await.unwrap().to_bytes(), "one two three");
        }
    }
}
