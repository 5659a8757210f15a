//! An endpoint as a sender needs it: where to, how, and with which secrets.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::callback_url::CallbackUrl;
use super::endpoint::PayloadFormat;
use super::header::CallbackHeaders;
use super::id::{EndpointId, PartnerId};
use super::redact::Redaction;
use super::retry::RetryPolicy;
use super::signing::Signer;
use super::tls_identity::TlsIdentity;

/// Everything that is needed to send one endpoint its deliveries. `Debug` shows no secret and no URL.
#[derive(Debug)]
pub struct Target {
    /// Whose endpoint.
    pub partner_id: PartnerId,
    /// Which endpoint.
    pub endpoint_id: EndpointId,
    /// Which version of it this is.
    pub revision: i32,
    /// Where to.
    pub url: CallbackUrl,
    /// The form of the body.
    pub format: PayloadFormat,
    /// The partner's own headers.
    pub headers: CallbackHeaders,
    /// The deadline of one attempt.
    pub timeout: Duration,
    /// When to try again.
    pub policy: RetryPolicy,
    /// What signs.
    pub signer: Signer,
    /// Its own certificate or authority, if it has any.
    pub identity: Option<Arc<TlsIdentity>>,
    /// What is taken out of the order first.
    pub redact: Redaction,
    /// The partner's current access token, for [`PayloadFormat::Transak`].
    pub access_token: Option<SecretString>,
    /// Since when the endpoint has only failed.
    pub failing_since: Option<DateTime<Utc>>,
}
