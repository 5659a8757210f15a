//! What receivers get, for the `webhooks` part of the OpenAPI document. Nothing in here runs: whoever sends callbacks
//! writes them (`delivery`), and a test compares what is sent with what is described here.

use serde::Serialize;
use utoipa::openapi::path::{HttpMethod, PathItem, Paths};
use utoipa::{Path, ToSchema};

use super::field::Time;

/// A callback in the format `standard`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StandardCallback {
    /// The event's name, or one of the relay's own.
    #[schema(example = "ORDER_COMPLETED")]
    r#type: String,
    /// When it happened.
    timestamp: Time,
    /// The order as Transak sent it, or what the relay has to say.
    #[schema(value_type = Object, example = json!({"id": "aa39d8e1-7a1b-4f5c-9d3e-0b6f5d2ace7f", "status": "COMPLETED"}))]
    data: serde_json::Value,
}

/// A callback in the format `transak`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransakCallback {
    /// A JWT, HS256 with the partner's current access token, of `webhookData`, `eventID` and `createdAt`.
    #[schema(pattern = "^[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]+$")]
    data: String,
}

/// The body of a callback.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it only describes what is sent")]
pub(super) enum Callback {
    Standard(StandardCallback),
    Transak(TransakCallback),
}

/// An event of an order, or one that the relay itself has to tell.
///
/// Check the signature before reading the body, remember `webhook-id`, and answer 2xx in time: `/docs` shows how.
#[utoipa::path(
    post, path = "event", tag = "Callbacks", operation_id = "receiveEvent", security(()),
    params(
        ("webhook-id" = String, Header, description = "The event's id, the same at every attempt."),
        ("webhook-timestamp" = String, Header, description = "When this attempt was signed, in seconds since 1970."),
        ("webhook-signature" = String, Header,
         description = "`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, `v1a,` and an Ed25519 signature, or several \
             with spaces between them."),
        ("transak-relay-hops" = String, Header, description = "How many relays it has come through."),
    ),
    request_body = Callback,
    responses(
        (status = "2XX", description = "It has arrived. Nothing else is success."),
        (status = 410, description = "The endpoint is to be disabled."),
        (status = 429, description = "Later: `Retry-After` postpones the next attempt, as with 503."),
        (status = "default", description = "It is tried again on the endpoint's schedule."),
    ),
)]
#[expect(dead_code, reason = "it only describes what is sent")]
fn receive_event() {}

/// The part of the document.
pub(super) fn webhooks() -> Paths {
    let mut paths = Paths::new();
    paths
        .paths
        .insert("event".to_owned(), PathItem::new(HttpMethod::Post, __path_receive_event::operation()));
    paths
}
