//! API tokens: `rly_` and 43 characters of base64url (256 random bits), kept only as a SHA-256.
//!
//! A fast hash is enough because the token itself is random: there is nothing to guess.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;

use super::id::PartnerId;

/// What the table keeps of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// The hash of a presented token.
    pub fn of(token: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(hash)
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// A new random token, shown once.
pub fn generate() -> SecretString {
    let mut bytes = [0u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random source answers");
    SecretString::from(format!("rly_{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// What a token may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, sqlx::Type,
)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "api_scope", rename_all = "lowercase")]
pub enum Scope {
    /// Read one partner's data.
    Read,
    /// Read and change one partner's data.
    Write,
    /// Everything, for all partners.
    Admin,
}

/// Whose data a caller may touch, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// What the token may do.
    pub scope: Scope,
    /// The one partner of a `read` or `write` token; `None` for `admin`.
    pub partner_id: Option<PartnerId>,
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn tokens_are_long_random_and_marked() {
        let (a, b) = (generate(), generate());
        assert!(a.expose_secret().starts_with("rly_"));
        assert_eq!(a.expose_secret().len(), 4 + 43);
        assert_ne!(TokenHash::of(a.expose_secret()), TokenHash::of(b.expose_secret()));
    }
}
