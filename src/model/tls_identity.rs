//! What an endpoint wants of TLS beyond the usual: a client certificate to show, a private authority to trust.
//!
//! Guarantees: every text is what it should be; the key belongs to the certificate, and both can be used; with a private authority given, no other is
//! trusted for that endpoint. `Debug` shows a fingerprint, never a key.
//! Does not guarantee: that the certificate is in date or that the receiver accepts it; the attempt shows that.

use std::fmt;

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Longest PEM text, in bytes: a chain or a bundle of a few dozen certificates.
pub const MAX_PEM: usize = 64 * 1024;

/// The same for all endpoints that gave the same texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// The texts an identity is made of, all PEM. A certificate and a key come together or not at all.
#[derive(Debug, Clone, Default)]
pub struct TlsIdentityPem {
    /// The client certificate, with the intermediate ones after it.
    pub client_cert: Option<String>,
    /// Its private key (PKCS#8, PKCS#1 or SEC1, not encrypted).
    pub client_key: Option<SecretString>,
    /// The authorities to trust instead of the system's.
    pub ca: Option<String>,
}

/// One of the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// [`TlsIdentityPem::client_cert`].
    ClientCertificate,
    /// [`TlsIdentityPem::client_key`].
    ClientKey,
    /// [`TlsIdentityPem::ca`].
    Ca,
}

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The distinguished name, as in `CN=relay, O=Shop`.
    pub subject: String,
    /// From then on nobody believes it.
    pub expires_at: DateTime<Utc>,
}

/// A checked identity.
pub struct TlsIdentity {
    fingerprint: Fingerprint,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    roots: Option<RootCertStore>,
    given: Vec<CertificateDer<'static>>,
    certificate: Option<Certificate>,
    authorities: Vec<Certificate>,
}

/// Why the texts make no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidTlsIdentity {
    /// Longer than [`MAX_PEM`].
    #[error("must be at most {MAX_PEM} bytes of PEM")]
    TooLong(Part),
    /// A certificate without its key, or the other way round: this is what is missing.
    #[error("must be given: a client certificate and its key come together")]
    Missing(Part),
    /// No certificate in it.
    #[error("must be PEM with at least one CERTIFICATE section, the client's own first")]
    Certificate,
    /// No usable key in it.
    #[error("must be one unencrypted private key in PEM")]
    Key,
    /// Certificate and key are strangers.
    #[error("does not belong to the client certificate")]
    Mismatch,
    /// No authority in it.
    #[error("must be PEM with at least one CERTIFICATE section of an authority")]
    Authority,
}

impl InvalidTlsIdentity {
    /// The text that is wrong.
    pub const fn part(self) -> Part {
        match self {
            Self::TooLong(part) | Self::Missing(part) => part,
            Self::Certificate => Part::ClientCertificate,
            Self::Key | Self::Mismatch => Part::ClientKey,
            Self::Authority => Part::Ca,
        }
    }
}

/// The texts as they are stored, sealed.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored<'a> {
    client_certificate: Option<std::borrow::Cow<'a, str>>,
    client_key: Option<std::borrow::Cow<'a, str>>,
    ca: Option<std::borrow::Cow<'a, str>>,
}

impl TlsIdentityPem {
    /// Nothing is given.
    pub fn is_empty(&self) -> bool {
        self.client_cert.is_none() && self.client_key.is_none() && self.ca.is_none()
    }

    /// The texts as JSON, to be sealed.
    ///
    /// # Panics
    /// Never: texts are always JSON.
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let stored = Stored {
            client_certificate: self.client_cert.as_deref().map(Into::into),
            client_key: self.client_key.as_ref().map(|key| key.expose_secret().into()),
            ca: self.ca.as_deref().map(Into::into),
        };
        Zeroizing::new(serde_json::to_vec(&stored).expect("texts are JSON"))
    }

    /// What [`to_json`](Self::to_json) made.
    pub fn from_json(json: &[u8]) -> Option<Self> {
        let stored: Stored<'_> = serde_json::from_slice(json).ok()?;
        Some(Self {
            client_cert: stored.client_certificate.map(Into::into),
            client_key: stored.client_key.map(|key| String::from(key).into()),
            ca: stored.ca.map(Into::into),
        })
    }
}

impl TlsIdentity {
    /// Reads and checks the texts.
    pub fn parse(pem: &TlsIdentityPem) -> Result<Self, InvalidTlsIdentity> {
        let key = pem.client_key.as_ref().map(ExposeSecret::expose_secret);
        let texts = [pem.client_cert.as_deref(), key, pem.ca.as_deref()];
        let parts = [Part::ClientCertificate, Part::ClientKey, Part::Ca];
        for (text, part) in texts.iter().zip(parts) {
            if text.is_some_and(|text| text.len() > MAX_PEM) {
                return Err(InvalidTlsIdentity::TooLong(part));
            }
        }
        let client = match (&pem.client_cert, key) {
            (Some(cert), Some(key)) => Some(client(cert, key)?),
            (None, None) => None,
            (Some(_), None) => return Err(InvalidTlsIdentity::Missing(Part::ClientKey)),
            (None, Some(_)) => return Err(InvalidTlsIdentity::Missing(Part::ClientCertificate)),
        };
        let leaf = client.as_ref().and_then(|(chain, _)| chain.first());
        let certificate =
            leaf.map(|leaf| describe(leaf).ok_or(InvalidTlsIdentity::Certificate)).transpose()?;
        let given = match &pem.ca {
            Some(ca) => certificates(ca).ok_or(InvalidTlsIdentity::Authority)?,
            None => Vec::new(),
        };
        let roots = pem.ca.as_ref().map(|_| roots(&given)).transpose()?;
        let described: Option<Vec<_>> = given.iter().map(describe).collect();
        let authorities = described.ok_or(InvalidTlsIdentity::Authority)?;
        Ok(Self { fingerprint: fingerprint(&texts), client, roots, given, certificate, authorities })
    }

    /// What the client certificate says of itself.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// What the private authorities say of themselves.
    pub fn authorities(&self) -> &[Certificate] {
        &self.authorities
    }

    /// The text whose certificates nobody believes any more at a moment: the client's own, or all authorities.
    pub fn expired_at(&self, now: DateTime<Utc>) -> Option<Part> {
        let over = |certificate: &Certificate| certificate.expires_at <= now;
        if self.certificate.as_ref().is_some_and(over) {
            return Some(Part::ClientCertificate);
        }
        (!self.authorities.is_empty() && self.authorities.iter().all(over)).then_some(Part::Ca)
    }

    /// What tells this identity from another.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The certificate chain to show, and its key.
    pub fn client(&self) -> Option<(&[CertificateDer<'static>], PrivateKeyDer<'static>)> {
        self.client.as_ref().map(|(chain, key)| (chain.as_slice(), key.clone_key()))
    }

    /// The only authorities to trust, if any are given.
    pub fn roots(&self) -> Option<&RootCertStore> {
        self.roots.as_ref()
    }

    /// The certificates that were given as authorities. One of them may be a receiver's own, signed by itself.
    pub fn given(&self) -> &[CertificateDer<'static>] {
        &self.given
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsIdentity({:02x?}..)", &self.fingerprint.0[..4])
    }
}

fn client(
    cert: &str,
    key: &str,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), InvalidTlsIdentity> {
    let chain = certificates(cert).ok_or(InvalidTlsIdentity::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| InvalidTlsIdentity::Key)?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    match CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider) {
        Ok(_) => Ok((chain, key)),
        Err(rustls::Error::InconsistentKeys(_)) => Err(InvalidTlsIdentity::Mismatch),
        Err(rustls::Error::InvalidCertificate(_)) => Err(InvalidTlsIdentity::Certificate),
        Err(_) => Err(InvalidTlsIdentity::Key),
    }
}

fn roots(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, InvalidTlsIdentity> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|_| InvalidTlsIdentity::Authority)?;
    }
    Ok(roots)
}

fn describe(der: &CertificateDer<'_>) -> Option<Certificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let expires_at = DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0)?;
    Some(Certificate { subject: certificate.subject().to_string(), expires_at })
}

/// Whether a certificate is in date at a moment, in seconds since 1970; `None`: it cannot be read.
pub fn is_in_date(der: &CertificateDer<'_>, second: i64) -> Option<bool> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    Some((validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&second))
}

/// All certificates of a text; none at all, or a broken one, is nothing.
fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().ok()?;
    (!certificates.is_empty()).then_some(certificates)
}

fn fingerprint(texts: &[Option<&str>]) -> Fingerprint {
    let mut context = digest::Context::new(&digest::SHA256);
    for text in texts {
        let text = text.unwrap_or_default();
        context.update(&text.len().to_be_bytes());
        context.update(text.as_bytes());
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Fingerprint(bytes)
}
