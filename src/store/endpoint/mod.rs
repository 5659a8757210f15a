//! Endpoints: the callback URLs partners registered.
//!
//! Every write adds one to `revision` and, like a change of a partner, tells the other processes at its commit, so that
//! whatever they remember of endpoints is read again.

pub mod bound;
pub mod health;
pub mod in_line;
pub mod read;
pub mod secret;
pub mod sending;
pub mod subscription;
pub mod switch;
pub mod write;

use chrono::{DateTime, Utc};

use crate::model::endpoint::{EndpointState, PayloadFormat, SignatureVersion};
use crate::model::id::{EndpointId, PartnerId};
use crate::model::rate::Rate;

/// An endpoint without its secrets. Its `Debug` would show the URL: do not log it.
#[derive(Clone)]
pub struct Endpoint {
    pub partner_id: PartnerId,
    pub endpoint_id: EndpointId,
    pub url: String,
    pub description: Option<String>,
    /// `None`: all.
    pub events: Option<Vec<String>>,
    /// `None`: all.
    pub statuses: Option<Vec<String>>,
    pub format: PayloadFormat,
    /// Sealed JSON object of names and values; opens with [`headers_context`].
    pub headers: Option<Vec<u8>>,
    pub timeout_ms: i32,
    /// Seconds after each failure.
    pub retry_schedule: Vec<i32>,
    /// JSON pointers into the order.
    pub redact: Vec<String>,
    pub state: EndpointState,
    pub disabled_reason: Option<String>,
    pub failing_since: Option<DateTime<Utc>>,
    /// The most requests at once.
    pub max_in_flight: i32,
    /// Requests in a thousand seconds, and how many at once; both or neither.
    pub rate_thousandths: Option<i32>,
    pub rate_burst: Option<i32>,
    /// One request at a time for each order.
    pub ordered: bool,
    /// What its callbacks are signed with.
    pub signatures: Vec<SignatureVersion>,
    /// The current public key, also while `v1a` is not asked for.
    pub public_key: Option<String>,
    /// Sealed [`TlsIdentityPem`](crate::model::tls_identity::TlsIdentityPem); opens with [`tls_context`].
    pub tls: Option<Vec<u8>>,
    /// Nothing is sent until then: it has failed too often.
    pub paused_until: Option<DateTime<Utc>>,
    pub revision: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What a partner decides about an endpoint.
#[derive(Clone)]
pub struct EndpointSettings {
    pub url: String,
    pub description: Option<String>,
    pub events: Option<Vec<String>>,
    pub statuses: Option<Vec<String>>,
    pub format: PayloadFormat,
    /// Sealed for the endpoint.
    pub headers: Option<Vec<u8>>,
    pub timeout_ms: i32,
    pub retry_schedule: Vec<i32>,
    pub redact: Vec<String>,
    pub max_in_flight: i32,
    /// `None`: as fast as it answers.
    pub rate: Option<Rate>,
    pub ordered: bool,
    pub signatures: Vec<SignatureVersion>,
    /// Sealed for the endpoint.
    pub tls: Option<Vec<u8>>,
}

impl Endpoint {
    /// How fast it is sent to at most.
    pub fn rate(&self) -> Option<Rate> {
        self.rate_thousandths.zip(self.rate_burst).and_then(|(rate, burst)| Rate::from_stored(rate, burst))
    }

    /// What its partner decided.
    pub fn into_settings(self) -> EndpointSettings {
        let rate = self.rate();
        EndpointSettings {
            url: self.url,
            description: self.description,
            events: self.events,
            statuses: self.statuses,
            format: self.format,
            headers: self.headers,
            timeout_ms: self.timeout_ms,
            retry_schedule: self.retry_schedule,
            rate,
            redact: self.redact,
            max_in_flight: self.max_in_flight,
            ordered: self.ordered,
            signatures: self.signatures,
            tls: self.tls,
        }
    }
}

/// The context of what an endpoint wants of TLS, sealed.
pub fn tls_context(endpoint_id: EndpointId) -> String {
    format!("tls/{}", endpoint_id.uuid())
}

/// The context of an endpoint's sealed callback headers.
pub fn headers_context(endpoint_id: EndpointId) -> String {
    format!("headers/{}", endpoint_id.uuid())
}
