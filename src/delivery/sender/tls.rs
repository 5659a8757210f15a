//! TLS for callbacks: rustls on aws-lc-rs, the system's authorities, or an endpoint's own.
//!
//! Guarantees: certificates are always verified, nothing below TLS 1.2 is spoken, and only `http/1.1` is offered.
//! Does not guarantee: revocation is not asked for.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, OtherError};
use rustls_platform_verifier::Verifier;

use super::given::GivenAuthorities;
use super::outcome::SendError;
use crate::model::tls_identity::{Fingerprint, TlsIdentity};

/// Most prepared identities that are kept. More than that are prepared anew, which costs a millisecond.
pub(super) const MAX_PREPARED: usize = 256;

#[derive(Debug)]
pub(super) struct TlsConfigs {
    provider: Arc<CryptoProvider>,
    system: Arc<dyn ServerCertVerifier>,
    usual: Arc<ClientConfig>,
    prepared: Mutex<HashMap<Fingerprint, Arc<ClientConfig>>>,
}

impl TlsConfigs {
    /// Reads the system's authorities, once.
    pub(super) fn new() -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let system: Arc<dyn ServerCertVerifier> = Arc::new(Verifier::new(Arc::clone(&provider))?);
        let usual = Arc::new(configure(&provider, &system, None)?);
        Ok(Self { provider, system, usual, prepared: Mutex::default() })
    }

    /// What to shake hands with for an endpoint.
    pub(super) fn config(&self, identity: Option<&TlsIdentity>) -> Result<Arc<ClientConfig>, SendError> {
        let Some(identity) = identity else {
            return Ok(Arc::clone(&self.usual));
        };
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = prepared.get(&identity.fingerprint()) {
            return Ok(Arc::clone(config));
        }
        let config = configure(&self.provider, &self.system, Some(identity));
        let config =
            Arc::new(config.map_err(|_| SendError::Tls("the endpoint's certificate or key cannot be used"))?);
        if prepared.len() >= MAX_PREPARED {
            prepared.clear();
        }
        prepared.insert(identity.fingerprint(), Arc::clone(&config));
        Ok(config)
    }

    #[cfg(test)]
    pub(super) fn prepared(&self) -> usize {
        self.prepared.lock().unwrap().len()
    }
}

fn configure(
    provider: &Arc<CryptoProvider>,
    system: &Arc<dyn ServerCertVerifier>,
    identity: Option<&TlsIdentity>,
) -> Result<ClientConfig, Error> {
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions()?;
    let verifier: Arc<dyn ServerCertVerifier> = match identity.and_then(|one| Some((one, one.roots()?))) {
        Some((identity, roots)) => {
            Arc::new(GivenAuthorities::new(roots.clone(), identity.given(), provider)?)
        }
        None => Arc::clone(system),
    };
    // "Dangerous" is only the name of the door: what goes through verifies.
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match identity.and_then(TlsIdentity::client) {
        Some((chain, key)) => builder.with_client_auth_cert(chain.to_vec(), key)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The sentence for an I/O error that is a TLS error underneath, if it is one.
pub(super) fn fault(error: &io::Error) -> Option<SendError> {
    let inner = error.get_ref()?.downcast_ref::<Error>()?;
    Some(SendError::Tls(match inner {
        Error::InvalidCertificate(error) => certificate(error),
        Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
            | AlertDescription::UnsupportedCertificate,
        ) => "the receiver refused the client certificate, or wants one",
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "the receiver does not speak HTTP/1.1"
        }
        Error::AlertReceived(_) => "the receiver refused the handshake",
        Error::PeerIncompatible(_) => "the receiver offers no common version or cipher",
        Error::InvalidMessage(_) => "the receiver does not speak TLS on this port",
        _ => "the handshake failed",
    }))
}

fn certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the certificate has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet"
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "the certificate names no host: make it with the host name as subjectAltName"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another host name"
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the certificate is from an unknown authority"
        }
        CertificateError::Other(other) if is_authority_as_leaf(other) => {
            "the certificate is an authority's own: give it as tls.ca, or let the receiver show one that it signed"
        }
        CertificateError::Revoked => "the certificate was revoked",
        _ => "the certificate is not valid",
    }
}

/// rustls passes on what its verifier has no word for.
fn is_authority_as_leaf(error: &OtherError) -> bool {
    matches!(error.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}
