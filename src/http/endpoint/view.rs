//! An endpoint as it is shown.

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::proof::TlsView;
use crate::http::field::{Raw, Time};
use crate::model::endpoint::{EndpointState, PayloadFormat, SignatureVersion};
use crate::model::id::{EndpointId, PartnerId};
use crate::model::rate::Rate;
use crate::model::seal::MasterKey;
use crate::model::signing::{Ed25519Key, EndpointSecret};
use crate::store::endpoint::{Endpoint, headers_context};

/// A callback URL and what it is sent. Its secrets do not come out again.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Endpoint)]
pub struct EndpointView {
    id: EndpointId,
    /// Whose it is.
    partner_id: PartnerId,
    /// Where callbacks are sent.
    #[schema(format = Uri, example = "https://example.com/callback")]
    url: String,
    /// For people.
    #[schema(required)]
    description: Option<String>,
    /// The events that are sent; null: all.
    #[schema(required)]
    events: Option<Vec<String>>,
    /// The statuses that are sent; null: all.
    #[schema(required)]
    statuses: Option<Vec<String>>,
    format: PayloadFormat,
    /// The names of the headers that are added. Their values may be credentials and are not shown.
    header_names: Vec<String>,
    /// Milliseconds from connecting to the answer's last byte.
    #[schema(minimum = 100, maximum = 30000)]
    timeout_ms: i32,
    /// Seconds to wait after each failed try.
    retry_schedule: Vec<i32>,
    /// JSON pointers to values of the order that are sent as null.
    redact: Vec<String>,
    /// The most requests at once.
    #[schema(minimum = 1, maximum = 1000)]
    max_in_flight: i32,
    /// How fast at most; null: as fast as it answers.
    #[schema(required)]
    rate_limit: Option<RateLimitView>,
    /// One request at a time for each order, in the order in which its events were heard.
    ordered: bool,
    /// How callbacks are signed.
    signatures: Vec<SignatureVersion>,
    /// What `v1a` is checked with; null without `v1a`.
    #[schema(required, example = "whpk_VSiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=")]
    public_key: Option<String>,
    /// The certificate that callbacks show, and the authorities they believe; null: none, and the usual ones.
    #[schema(required)]
    tls: Option<TlsView>,
    state: EndpointState,
    /// Why it is disabled; null while it is enabled.
    #[schema(required)]
    disabled_reason: Option<String>,
    /// Since when it has only failed; null if its last answer was a success.
    #[schema(required)]
    failing_since: Option<Time>,
    /// Nothing is sent until then because it failed too often; then one delivery is tried. Null while it is sent to.
    #[schema(required)]
    paused_until: Option<Time>,
    created_at: Time,
    updated_at: Time,
}

/// How fast an endpoint is sent to at most.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitView {
    /// Requests per second.
    #[schema(value_type = f64, exclusive_minimum = 0, maximum = 10000)]
    per_second: Option<Raw>,
    /// Requests at once after a pause.
    #[schema(minimum = 1, maximum = 10000)]
    burst: u32,
}

impl From<Rate> for RateLimitView {
    fn from(rate: Rate) -> Self {
        Self { per_second: Raw::from_text(rate.per_second()), burst: rate.burst() }
    }
}

/// A new endpoint.
#[derive(Serialize, ToSchema)]
pub struct CreatedEndpoint {
    #[serde(flatten)]
    summary: EndpointView,
    /// What signs its callbacks. It is shown this once.
    #[schema(example = "whsec_Zm9yIGV4YW1wbGUgb25seSwgc2lnbnMgbm90aGluZyE=")]
    secret: String,
}

/// A new secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotatedSecret {
    /// What signs callbacks from now on. It is shown this once.
    #[schema(example = "whsec_Zm9yIGV4YW1wbGUgb25seSwgc2lnbnMgbm90aGluZyE=")]
    secret: String,
    /// What `v1a` is checked with from now on; null without `v1a`.
    #[schema(required, example = "whpk_VSiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=")]
    public_key: Option<String>,
    /// Until then what signed before signs too.
    previous_expires_at: Time,
}

impl EndpointView {
    pub(super) fn new(endpoint: Endpoint, key: &MasterKey) -> Self {
        let is_v1a = endpoint.signatures.contains(&SignatureVersion::V1a);
        Self {
            header_names: header_names(&endpoint, key),
            tls: TlsView::of(endpoint.tls.as_deref(), endpoint.endpoint_id, key),
            rate_limit: endpoint.rate().map(RateLimitView::from),
            public_key: endpoint.public_key.filter(|_| is_v1a),
            signatures: endpoint.signatures,
            max_in_flight: endpoint.max_in_flight,
            ordered: endpoint.ordered,
            paused_until: endpoint.paused_until.map(Time),
            id: endpoint.endpoint_id,
            partner_id: endpoint.partner_id,
            url: endpoint.url,
            description: endpoint.description,
            events: endpoint.events,
            statuses: endpoint.statuses,
            format: endpoint.format,
            timeout_ms: endpoint.timeout_ms,
            retry_schedule: endpoint.retry_schedule,
            redact: endpoint.redact,
            state: endpoint.state,
            disabled_reason: endpoint.disabled_reason,
            failing_since: endpoint.failing_since.map(Time),
            created_at: Time(endpoint.created_at),
            updated_at: Time(endpoint.updated_at),
        }
    }

    pub(super) fn with_secret(self, secret: &EndpointSecret) -> CreatedEndpoint {
        CreatedEndpoint { summary: self, secret: secret.expose().expose_secret().to_owned() }
    }
}

impl RotatedSecret {
    pub(super) fn new(secret: &EndpointSecret, pair: Option<&Ed25519Key>, previous_expires_at: Time) -> Self {
        let secret = secret.expose().expose_secret().to_owned();
        Self { secret, public_key: pair.map(Ed25519Key::public), previous_expires_at }
    }
}

/// Headers that do not open are shown as none: the sender is the one to complain.
fn header_names(endpoint: &Endpoint, key: &MasterKey) -> Vec<String> {
    let sealed = endpoint.headers.as_deref().unwrap_or_default();
    let json = key.open(&headers_context(endpoint.endpoint_id), sealed).unwrap_or_default();
    let pairs: serde_json::Map<_, _> = serde_json::from_slice(&json).unwrap_or_default();
    pairs.into_iter().map(|(name, _)| name).collect()
}

/// The tag of an endpoint's revision.
pub(super) fn etag(endpoint: &Endpoint) -> String {
    format!("\"{}\"", endpoint.revision)
}

/// An endpoint with its tag.
pub(super) fn tagged(endpoint: Endpoint, key: &MasterKey) -> Response {
    let tag = HeaderValue::try_from(etag(&endpoint)).expect("a number in quotes is a header's value");
    ([(header::ETAG, tag)], Json(EndpointView::new(endpoint, key))).into_response()
}
