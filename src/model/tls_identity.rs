//! What an endpoint wants of TLS beyond the usual: a client certificate to show, a private authority to trust.
//!
//! Guarantees: the key belongs to the certificate, and both can be used; with a private authority given, no other is
//! trusted for that endpoint. `Debug` shows a fingerprint, never a key.
//! Does not guarantee: that the certificate is in date or that the receiver accepts it; the attempt shows that.

use std::fmt;

use aws_lc_rs::digest;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

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

/// A checked identity.
pub struct TlsIdentity {
    fingerprint: Fingerprint,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    roots: Option<RootCertStore>,
}

/// Why the texts make no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidTlsIdentity {
    /// Longer than [`MAX_PEM`].
    #[error("must be at most {MAX_PEM} bytes of PEM")]
    TooLong,
    /// One without the other.
    #[error("a client certificate and its key must be given together")]
    HalfAPair,
    /// No certificate in it.
    #[error("the client certificate must be PEM with at least one CERTIFICATE section")]
    Certificate,
    /// No usable key in it.
    #[error("the client key must be one unencrypted PEM private key")]
    Key,
    /// Certificate and key are strangers.
    #[error("the client key does not belong to the client certificate")]
    Mismatch,
    /// No authority in it.
    #[error("the private CA must be PEM with at least one CERTIFICATE section of an authority")]
    Authority,
}

impl TlsIdentity {
    /// Reads and checks the texts.
    pub fn parse(pem: &TlsIdentityPem) -> Result<Self, InvalidTlsIdentity> {
        let key = pem.client_key.as_ref().map(ExposeSecret::expose_secret);
        let texts = [pem.client_cert.as_deref(), key, pem.ca.as_deref()];
        if texts.iter().flatten().any(|text| text.len() > MAX_PEM) {
            return Err(InvalidTlsIdentity::TooLong);
        }
        let client = match (&pem.client_cert, key) {
            (Some(cert), Some(key)) => Some(client(cert, key)?),
            (None, None) => None,
            _ => return Err(InvalidTlsIdentity::HalfAPair),
        };
        let roots = pem.ca.as_deref().map(roots).transpose()?;
        Ok(Self { fingerprint: fingerprint(&texts), client, roots })
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

fn roots(ca: &str) -> Result<RootCertStore, InvalidTlsIdentity> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(ca).ok_or(InvalidTlsIdentity::Authority)? {
        roots.add(authority).map_err(|_| InvalidTlsIdentity::Authority)?;
    }
    Ok(roots)
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
