//! The keys of an endpoint, in the text form of Standard Webhooks.

use std::fmt;

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use thiserror::Error;

const SECRET_PREFIX: &str = "whsec_";
const PRIVATE_PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";

/// What Standard Webhooks allows as the length of a secret, in bytes.
const SECRET_LENGTH: std::ops::RangeInclusive<usize> = 24..=64;
/// Length of the secrets made here, in bytes: what HMAC-SHA256 can use.
const GENERATED_LENGTH: usize = 32;
/// An Ed25519 seed.
const SEED: usize = 32;

/// The secret an endpoint and the relay share: 24 to 64 bytes, `whsec_` and base64 as text.
#[derive(Clone)]
pub struct EndpointSecret(SecretSlice<u8>);

/// Why a text is not a key. The text is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidSecret {
    /// Not `whsec_` and base64 of the right length.
    #[error("must be whsec_ followed by the base64 (with padding) of 24 to 64 random bytes")]
    Secret,
    /// Not `whsk_` and base64 of a key pair.
    #[error(
        "must be whsk_ followed by the base64 (with padding) of the 64 bytes of an Ed25519 seed and its public key"
    )]
    PrivateKey,
}

impl EndpointSecret {
    /// A new secret of 32 random bytes.
    ///
    /// # Panics
    /// If the operating system gives no randomness; nothing that must be secret could then be made.
    pub fn generate() -> Self {
        let mut bytes = vec![0; GENERATED_LENGTH];
        rand::fill(&mut bytes).expect("the operating system gives random bytes");
        Self(bytes.into())
    }

    /// Reads a secret a partner brings along, or one that was stored.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let bytes = text.strip_prefix(SECRET_PREFIX).and_then(|base64| STANDARD.decode(base64).ok());
        let bytes = bytes.filter(|bytes| SECRET_LENGTH.contains(&bytes.len()));
        bytes.map(|bytes| Self(bytes.into())).ok_or(InvalidSecret::Secret)
    }

    /// The secret as text, to show once and to store encrypted.
    pub fn expose(&self) -> SecretString {
        format!("{SECRET_PREFIX}{}", STANDARD.encode(self.bytes())).into()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl fmt::Debug for EndpointSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndpointSecret(..)")
    }
}

/// An endpoint's Ed25519 key pair, for receivers that would rather hold a public key than a secret.
pub struct Ed25519Key(Ed25519KeyPair);

impl Ed25519Key {
    /// A new key pair.
    ///
    /// # Panics
    /// If the operating system gives no randomness.
    pub fn generate() -> Self {
        Self(Ed25519KeyPair::generate().expect("the operating system gives random bytes"))
    }

    /// Reads a key pair that was stored.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let pair = text
            .strip_prefix(PRIVATE_PREFIX)
            .and_then(|base64| STANDARD.decode(base64).ok())
            .map(Zeroizing::new);
        let (seed, public) =
            pair.as_ref().and_then(|pair| pair.split_at_checked(SEED)).ok_or(InvalidSecret::PrivateKey)?;
        Ed25519KeyPair::from_seed_and_public_key(seed, public)
            .map(Self)
            .map_err(|_| InvalidSecret::PrivateKey)
    }

    /// The key pair as text (seed, then public key), to store encrypted.
    ///
    /// # Panics
    /// Never: every pair made or read here has a seed.
    pub fn expose(&self) -> SecretString {
        let seed = self.0.seed().and_then(|seed| seed.as_be_bytes()).expect("an Ed25519 key pair has a seed");
        let pair = Zeroizing::new([seed.as_ref(), self.0.public_key().as_ref()].concat());
        format!("{PRIVATE_PREFIX}{}", STANDARD.encode(&*pair)).into()
    }

    /// The public key as text, for the receiver.
    pub fn public(&self) -> String {
        format!("{PUBLIC_PREFIX}{}", STANDARD.encode(self.0.public_key()))
    }

    pub(super) fn sign(&self, message: &[u8]) -> impl AsRef<[u8]> {
        self.0.sign(message)
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519Key({})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_secret_reads_back_and_differs_from_the_next() {
        let secret = EndpointSecret::generate();
        let text = secret.expose();
        assert_eq!(EndpointSecret::parse(text.expose_secret()).unwrap().bytes(), secret.bytes());
        assert_eq!(secret.bytes().len(), GENERATED_LENGTH);
        assert_ne!(EndpointSecret::generate().bytes(), secret.bytes());
    }

    #[test]
    fn a_secret_of_24_to_64_bytes_may_be_brought_along() {
        for length in 0..=80 {
            let text = format!("whsec_{}", STANDARD.encode(vec![7; length]));
            assert_eq!(EndpointSecret::parse(&text).is_ok(), (24..=64).contains(&length), "{length}");
        }
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let good = STANDARD.encode([7; 32]);
        for text in [
            String::new(),
            "whsec_".into(),
            good.clone(),
            format!("whsk_{good}"),
            format!("WHSEC_{good}"),
            format!("whsec_{good} "),
            format!("whsec_{}", good.trim_end_matches('=')),
            format!("whsec_{}", good.replace("Bw", "-_")),
            format!("whsec_{}\n", &good[..40]),
        ] {
            assert_eq!(EndpointSecret::parse(&text).unwrap_err(), InvalidSecret::Secret, "{text:?}");
        }
    }

    #[test]
    fn a_key_pair_reads_back_and_must_belong_together() {
        let key = Ed25519Key::generate();
        let text = key.expose();
        let again = Ed25519Key::parse(text.expose_secret()).unwrap();
        assert_eq!(again.public(), key.public());
        let mut pair = STANDARD.decode(text.expose_secret().strip_prefix("whsk_").unwrap()).unwrap();
        pair[63] ^= 1;
        for bytes in [&pair[..], &pair[..32], &pair[..63], &[]] {
            let text = format!("whsk_{}", STANDARD.encode(bytes));
            assert_eq!(Ed25519Key::parse(&text).unwrap_err(), InvalidSecret::PrivateKey);
        }
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let secret = EndpointSecret::generate();
        assert_eq!(
            format!("{secret:?} {:?}", secret.expose()),
            "EndpointSecret(..) SecretBox<str>([REDACTED])"
        );
        let key = Ed25519Key::generate();
        assert_eq!(format!("{key:?}"), format!("Ed25519Key({})", key.public()));
    }
}
