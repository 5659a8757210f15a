//! Verifying what Transak signs: a JWS in compact form, HS256, keyed with the raw bytes of the partner's access token.
//!
//! Source: docs.transak.com/guides/how-to-decrypt-webhook-payload. The JOSE header seen there is exactly
//! `{"alg":"HS256"}`, and the claims carry no `exp`, so none is required. Any other algorithm, `none` included, is
//! refused before a key is looked at. Which token signs during a rotation is not documented: each recent one is tried.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::value::RawValue;

use super::json;
use crate::model::quarantine::{Reason, Refusal};

/// One access token, ready to verify with. Its `Debug` is silent.
#[derive(Clone)]
pub struct VerifyingKey(DecodingKey);

impl VerifyingKey {
    /// The key that the holder of this access token verifies with.
    pub fn new(access_token: &SecretString) -> Self {
        Self(DecodingKey::from_secret(access_token.expose_secret().as_bytes()))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyingKey(..)")
    }
}

/// Why a message was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    #[error("it is not a signed message in compact form")]
    NotSigned,
    #[error("it is signed with an algorithm other than HS256")]
    OtherAlgorithm,
    #[error("no access token of the partner verifies its signature")]
    NoTokenFits,
    #[error("the partner has no access token to verify it with")]
    NoToken,
    #[error("its claims are not JSON")]
    ClaimsAreNotJson,
}

impl From<Unverified> for Refusal {
    fn from(error: Unverified) -> Self {
        let reason = match error {
            Unverified::NoToken => Reason::NoToken,
            Unverified::NoTokenFits => Reason::NoTokenFits,
            Unverified::NotSigned | Unverified::ClaimsAreNotJson => Reason::NotSigned,
            Unverified::OtherAlgorithm => Reason::OtherAlgorithm,
        };
        Self::new(reason, error.to_string())
    }
}

/// The claims of a message that one of `keys` verifies, as the bytes that were signed: any JSON, for what is inside is read
/// by others.
pub fn verify<'k>(
    message: &str,
    keys: impl IntoIterator<Item = &'k VerifyingKey>,
) -> Result<Box<RawValue>, Unverified> {
    let mut keys = keys.into_iter().peekable();
    keys.peek().ok_or(Unverified::NoToken)?;
    let (signed, signature) = message.rsplit_once('.').ok_or(Unverified::NotSigned)?;
    let (_, claims) = signed.split_once('.').ok_or(Unverified::NotSigned)?;
    let header = jsonwebtoken::decode_header(message).map_err(|error| refusal_of(error.kind()))?;
    if header.alg != Algorithm::HS256 {
        return Err(Unverified::OtherAlgorithm);
    }
    for VerifyingKey(key) in keys {
        match jsonwebtoken::crypto::verify(signature, signed.as_bytes(), key, Algorithm::HS256) {
            Ok(true) => return read(claims),
            Ok(false) => {}
            Err(error) => return Err(refusal_of(error.kind())),
        }
    }
    Err(Unverified::NoTokenFits)
}

fn read(claims: &str) -> Result<Box<RawValue>, Unverified> {
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| Unverified::NotSigned)?;
    json::read(&claims).ok_or(Unverified::ClaimsAreNotJson)
}

fn refusal_of(kind: &ErrorKind) -> Unverified {
    match kind {
        // The header names the algorithm; an unknown name fails to parse.
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => Unverified::OtherAlgorithm,
        ErrorKind::Json(error) if error.to_string().contains("unknown variant") => Unverified::OtherAlgorithm,
        _ => Unverified::NotSigned,
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;

    use super::*;

    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.e30.sandbox";

    fn signed(header: &str, claims: &str, token: &str) -> String {
        let head = format!("{}.{}", B64.encode(header), B64.encode(claims));
        let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
        format!("{head}.{}", B64.encode(hmac::sign(&key, head.as_bytes())))
    }

    fn keys(tokens: &[&str]) -> Vec<VerifyingKey> {
        tokens.iter().map(|token| VerifyingKey::new(&SecretString::from(*token))).collect()
    }

    #[test]
    fn transaks_own_form_verifies_and_the_claims_keep_their_bytes() {
        let claims = r#"{"id":"o", "n":0.10}"#;
        for header in [r#"{"alg":"HS256"}"#, r#"{"alg":"HS256","typ":"JWT"}"#] {
            let verified = verify(&signed(header, claims, TOKEN), &keys(&[TOKEN])).unwrap();
            assert_eq!(verified.get(), claims);
        }
    }

    #[test]
    fn claims_may_be_any_json() {
        for (claims, read) in [
            (r#""{\"id\":1}""#, r#""{\"id\":1}""#),
            ("\u{feff}{}", "{}"),
            (r#"{"exp":"a","exp":[]}"#, r#"{"exp":"a","exp":[]}"#),
        ] {
            let message = signed(r#"{"alg":"HS256"}"#, claims, TOKEN);
            assert_eq!(verify(&message, &keys(&[TOKEN])).unwrap().get(), read);
        }
    }

    #[test]
    fn expired_claims_still_verify_because_the_event_happened() {
        let message = signed(r#"{"alg":"HS256"}"#, r#"{"exp":1,"nbf":99999999999,"aud":"x"}"#, TOKEN);
        assert!(verify(&message, &keys(&[TOKEN])).is_ok());
    }

    #[test]
    fn an_older_token_of_the_partner_still_verifies() {
        let message = signed(r#"{"alg":"HS256"}"#, "{}", TOKEN);
        assert!(verify(&message, &keys(&["newer", TOKEN])).is_ok());
        assert_eq!(verify(&message, &keys(&["newer"])).err(), Some(Unverified::NoTokenFits));
        assert_eq!(verify(&message, &keys(&[])).err(), Some(Unverified::NoToken));
    }

    #[test]
    fn any_other_algorithm_is_refused() {
        for alg in ["none", "None", "HS384", "HS512", "RS256", "EdDSA", "x"] {
            let message = signed(&format!(r#"{{"alg":"{alg}"}}"#), "{}", TOKEN);
            assert_eq!(verify(&message, &keys(&[TOKEN])).err(), Some(Unverified::OtherAlgorithm), "{alg}");
        }
    }

    #[test]
    fn what_is_no_signed_message_is_refused() {
        for message in ["", "x", "a.b", "....", "eyJhbGciOiJub25lIn0.e30.", "\u{0}.\u{0}.\u{0}"] {
            assert!(verify(message, &keys(&[TOKEN])).is_err(), "{message:?}");
        }
        let not_json = signed(r#"{"alg":"HS256"}"#, "not json", TOKEN);
        assert_eq!(verify(&not_json, &keys(&[TOKEN])).err(), Some(Unverified::ClaimsAreNotJson));
    }
}
