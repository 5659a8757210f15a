//! A client of the stream of events, as `EventSource` is one.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use futures_util::StreamExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use transak_relay::model::id::EventId;

use crate::world::{ADMIN, World};

/// One client.
pub(crate) struct Stream {
    body: BodyDataStream,
    read: String,
}

impl Stream {
    pub(crate) async fn open(world: &World, query: &str, last: Option<EventId>) -> Self {
        Self::open_as(ADMIN, world, (query, last)).await
    }

    pub(crate) async fn open_as(token: &str, world: &World, (query, last): (&str, Option<EventId>)) -> Self {
        let response = request_as(token, world, (query, last.map(|id| id.to_string()))).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), read: String::new() }
    }

    /// The next frame, a heartbeat included; `None`: the stream has ended.
    pub(crate) async fn frame(&mut self) -> Option<String> {
        loop {
            if let Some((frame, rest)) = self.read.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.read = rest;
                return Some(frame);
            }
            let bytes = self.body.next().await?.unwrap();
            self.read.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    pub(crate) async fn event(&mut self) -> Option<(EventId, Value)> {
        loop {
            let frame = self.frame().await?;
            let Some(id) = frame.lines().find_map(|line| line.strip_prefix("id: ")) else { continue };
            let data: String = frame.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
            return Some((id.parse().unwrap(), serde_json::from_str(&data).unwrap()));
        }
    }

    pub(crate) async fn id(&mut self) -> EventId {
        // A feed that is stuck is a failure, not a test that never ends.
        tokio::time::timeout(Duration::from_mins(2), self.event()).await.expect("an event").unwrap().0
    }
}

pub(crate) async fn request(world: &World, query: &str, last: Option<String>) -> Response {
    request_as(ADMIN, world, (query, last)).await
}

async fn request_as(token: &str, world: &World, (query, last): (&str, Option<String>)) -> Response {
    let request = Request::get(format!("/v1/events/stream{query}")).header("access-token", token);
    let request = match last {
        Some(last) => request.header("last-event-id", last),
        None => request,
    };
    world.api.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}
