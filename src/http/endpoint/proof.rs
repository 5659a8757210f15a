//! How an endpoint and the relay prove to each other who they are: signatures, certificates.

use std::fmt;

use chrono::Utc;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::settings::{Judge, set};
use crate::http::body::Object;
use crate::http::field::Time;
use crate::http::problem::FieldError;
use crate::model::change::Change;
use crate::model::endpoint::SignatureVersion;
use crate::model::id::EndpointId;
use crate::model::seal::MasterKey;
use crate::model::tls_identity::{Certificate, Part, TlsIdentity, TlsIdentityPem};
use crate::store::endpoint::{EndpointSettings, tls_context};

/// How it is signed if nobody says.
pub(super) const DEFAULT_SIGNATURES: [SignatureVersion; 1] = [SignatureVersion::V1];

/// What callbacks do in their TLS handshake beyond the usual. The texts do not come out again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TlsSettings {
    /// The certificate to show to a receiver that asks for one, in PEM, intermediate ones behind it. With `clientKey`.
    #[schema(max_length = 65536, write_only, example = "-----BEGIN CERTIFICATE-----\n…")]
    client_certificate: Option<String>,
    /// The private key of the certificate, in PEM, not encrypted.
    #[schema(max_length = 65536, write_only, example = "-----BEGIN PRIVATE KEY-----\n…")]
    client_key: Option<String>,
    /// The authorities to believe instead of the usual ones, in PEM.
    #[schema(max_length = 65536, write_only, example = "-----BEGIN CERTIFICATE-----\n…")]
    ca: Option<String>,
}

/// Shows nothing.
impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsSettings(..)")
    }
}

/// What is shown of TLS settings.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsView {
    /// The certificate that is shown to the receiver; null: none.
    #[schema(required)]
    client_certificate: Option<CertificateView>,
    /// The authorities that are believed; empty: the usual ones.
    ca: Vec<CertificateView>,
}

/// A certificate.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Certificate)]
pub struct CertificateView {
    /// Its distinguished name.
    #[schema(example = "CN=relay, O=Shop")]
    subject: String,
    expires_at: Time,
}

impl From<&Certificate> for CertificateView {
    fn from(certificate: &Certificate) -> Self {
        Self { subject: certificate.subject.clone(), expires_at: Time(certificate.expires_at) }
    }
}

impl TlsView {
    /// What a sealed text holds; one that does not open is shown as none: the sender is the one to complain.
    pub(super) fn of(sealed: Option<&[u8]>, endpoint_id: EndpointId, key: &MasterKey) -> Option<Self> {
        let json = key.open(&tls_context(endpoint_id), sealed?).ok()?;
        let identity = TlsIdentity::parse(&TlsIdentityPem::from_json(&json)?).ok()?;
        Some(Self {
            client_certificate: identity.certificate().map(CertificateView::from),
            ca: identity.authorities().iter().map(CertificateView::from).collect(),
        })
    }
}

/// Applies what is said of signatures and of TLS.
pub(super) fn apply_proofs(
    (signatures, tls): (Change<Vec<SignatureVersion>>, Change<Object<TlsSettings>>),
    to: &mut EndpointSettings,
    judge: &Judge<'_>,
    errors: &mut Vec<FieldError>,
) {
    if signatures.value().is_some_and(|versions| versions.is_empty() || versions.len() > 2) {
        errors.push(FieldError::new("signatures", "must name v1, v1a, or both"));
    }
    set(
        &mut to.signatures,
        signatures,
        || DEFAULT_SIGNATURES.to_vec(),
        |mut versions| {
            versions.sort_unstable();
            versions.dedup();
            versions
        },
    );
    match tls {
        Change::Keep => {}
        Change::Clear => to.tls = None,
        Change::Set(Object(settings)) => match checked_tls(settings) {
            Ok(pem) => to.tls = Some(judge.key.seal(&tls_context(judge.endpoint_id), &pem.to_json())),
            Err(error) => errors.push(error),
        },
    }
}

fn checked_tls(settings: TlsSettings) -> Result<TlsIdentityPem, FieldError> {
    let pem = TlsIdentityPem {
        client_cert: settings.client_certificate,
        client_key: settings.client_key.map(Into::into),
        ca: settings.ca,
    };
    if pem.is_empty() {
        return Err(FieldError::new("tls", "must hold clientCertificate and clientKey, ca, or all three"));
    }
    let identity =
        TlsIdentity::parse(&pem).map_err(|error| FieldError::new(field(error.part()), error.to_string()))?;
    match identity.expired_at(Utc::now()) {
        Some(part) => Err(FieldError::new(field(part), "has expired")),
        None => Ok(pem),
    }
}

const fn field(part: Part) -> &'static str {
    match part {
        Part::ClientCertificate => "tls.clientCertificate",
        Part::ClientKey => "tls.clientKey",
        Part::Ca => "tls.ca",
    }
}
