//! Events as they happen: `GET /v1/events/stream`, Server-Sent Events.
//!
//! Guarantees: every event that the caller may see and asked for, once, in the order of the commits; a client that comes
//! back with the id of the last event it got (`Last-Event-ID`) goes on behind it, on any process. However many clients
//! there are, a process reads new events once (`feed`); a client that is behind is served from Postgres at its own
//! pace (`follower`), and one that takes nothing is cut off by the kernel, see [`super::server`]. Not guaranteed: that an
//! event comes at once, see [`store::event::feed`](crate::store::event::feed).

mod feed;
mod follower;
mod frame;
mod tokens;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, de};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use utoipa::openapi::{ContentBuilder, ResponseBuilder};

pub use feed::{Feed, Reading};

use super::Api;
use super::auth::{self, Reader};
use super::field::{Text, Time};
use super::page::PartnerParam;
use super::problem::Problem;
use super::problem::openapi::Common;
use super::query::Params;
use crate::model::id::EventId;
use crate::model::token::TokenHash;
use crate::store::event::feed::{self as store, FeedFilter, Place};
use follower::Follower;

/// Has the streams of tokens end that another process deleted, until told to stop.
pub async fn follow_tokens(feed: Feed, gone: Arc<Notify>, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = gone.notified() => feed.tokens_changed(),
        }
    }
}

/// The header with which a client comes back.
const LAST_EVENT_ID: &str = "last-event-id";

/// From where, and what.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StreamQuery {
    /// Begin with the events that were received then or later (RFC 3339), or behind the event with this id. Left out:
    /// with what happens from now on. `Last-Event-ID` goes first.
    #[param(value_type = Option<String>, example = "2026-04-04T13:11:47.260Z")]
    since: Option<Since>,
    /// Only the events of this order (Transak's id).
    #[param(value_type = Option<String>, min_length = 1, max_length = 200)]
    order_id: Option<Text<200>>,
}

/// Where to begin.
#[derive(Debug, Clone, Copy)]
enum Since {
    Behind(EventId),
    Time(DateTime<Utc>),
}

impl<'de> Deserialize<'de> for Since {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Ok(id) = text.parse() {
            return Ok(Self::Behind(id));
        }
        let time = Time::deserialize(de::value::StrDeserializer::<de::value::Error>::new(&text));
        time.map(|time| Self::Time(time.0)).map_err(|_| {
            de::Error::custom(
                "must be the id of an event or a time of RFC 3339, like 2026-04-04T13:11:47.260Z",
            )
        })
    }
}

/// What the document says of the stream: utoipa knows no type for it.
struct Streaming;

impl utoipa::IntoResponses for Streaming {
    fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
        let schema = utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("Server-Sent Events: `id:` the event's id, `data:` an `EventDetail` as JSON."));
        let content = ContentBuilder::new().schema(Some(schema.build())).build();
        let response = ResponseBuilder::new()
            .description(
                "The events, until either side hangs up. A comment comes after 5 seconds of silence.",
            )
            .content("text/event-stream", content);
        [("200".to_owned(), response.build().into())].into()
    }
}

/// Follow events live.
///
/// Server-Sent Events, in the order in which they were kept. After a break, send the id of the last event in
/// `Last-Event-ID` (browsers do so by themselves): nothing is missed or repeated.
#[utoipa::path(
    get, path = "/v1/events/stream", tag = "Events",
    params(
        StreamQuery, PartnerParam,
        ("last-event-id" = Option<EventId>, Header, description = "The id of the last event received: go on behind it."),
    ),
    responses(Streaming, Common),
)]
pub async fn stream_events(
    State(api): State<Arc<Api>>,
    reader: Reader,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = query(&uri)?;
    let since = last_event_id(&headers)?.map(Since::Behind).or(query.since);
    let place = begin(&api, &reader, since).await?;
    let filter = FeedFilter {
        partners: (!reader.all).then_some(reader.partners),
        order_id: query.order_id.map(|text| text.0),
        since: since.and_then(|since| match since {
            Since::Time(time) => Some(time),
            Since::Behind(_) => None,
        }),
    };
    let token = auth::presented(&headers).map(TokenHash::of).ok_or(Problem::Unauthorized)?;
    let follower = Follower::new(api, (filter, place), token);
    let mut response = Body::from_stream(follower.into_stream()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that gather answers would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn query(uri: &Uri) -> Result<StreamQuery, Problem> {
    let mut params = Params::parse(uri.query().unwrap_or_default());
    // Read by `auth`.
    params.take("partnerId")?;
    params.into_filter()
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<EventId>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    let wrong = || {
        Problem::parameter(
            "last-event-id",
            "must be the id of an event, like evt_019e5a3c7d1b7c42a1f00d5e6b7c8d9e",
        )
    };
    id.map(Some).ok_or_else(wrong)
}

async fn begin(api: &Api, reader: &Reader, since: Option<Since>) -> Result<Place, Problem> {
    let mut conn = api.pool.acquire().await?;
    Ok(match since {
        None => store::horizon(&mut conn).await?,
        Some(Since::Time(time)) => store::place_before(&mut conn, &reader.partners, time).await?,
        Some(Since::Behind(id)) => {
            let place = store::place_of(&mut conn, &reader.partners, id).await?;
            place.ok_or(Problem::NotFound("event"))?
        }
    })
}
