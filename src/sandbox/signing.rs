//! Signing as Transak signs: HS256 over the claims, key = the raw bytes of the access token's text.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;

/// A JWT whose header is exactly `{"alg":"HS256"}` (no `typ`) and whose claims are `claims` as they are written
/// (`docs.transak.com/guides/how-to-decrypt-webhook-payload`).
///
/// # Errors
/// If the claims are not JSON.
pub fn sign(access_token: &SecretString, claims: &str) -> anyhow::Result<String> {
    let claims: &RawValue = serde_json::from_str(claims)?;
    let header = Header { typ: None, ..Header::new(Algorithm::HS256) };
    let key = EncodingKey::from_secret(access_token.expose_secret().as_bytes());
    Ok(jsonwebtoken::encode(&header, &claims, &key)?)
}

/// A partner's access token as Transak issues them: itself a JWT of the API key and two times, valid for `lifetime`
/// seconds from `now` (seconds since 1970).
///
/// # Errors
/// Only if the signing library fails.
pub fn access_token(api_key: &str, now: i64, lifetime: i64) -> anyhow::Result<SecretString> {
    let claims = serde_json::json!({ "API_KEY": api_key, "iat": now, "exp": now + lifetime });
    let random = uuid::Uuid::new_v4();
    let key = EncodingKey::from_secret(random.as_bytes());
    Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)?.into())
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    fn part(token: &str, n: usize) -> String {
        String::from_utf8(URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn the_header_has_only_an_algorithm_and_the_claims_are_kept_byte_for_byte() {
        let token = sign(&"key".into(), "{\"n\":0.10,\"a\":1}").unwrap();
        assert_eq!(part(&token, 0), "{\"alg\":\"HS256\"}");
        assert_eq!(part(&token, 1), "{\"n\":0.10,\"a\":1}");
    }

    #[test]
    fn the_signature_is_hmac_sha256_over_header_and_claims() {
        let token = sign(&"not base64!".into(), "{}").unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"not base64!");
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn what_is_not_json_is_not_signed() {
        assert!(sign(&"key".into(), "{").is_err());
    }

    #[test]
    fn an_access_token_names_the_key_and_its_end() {
        let token = access_token("4f", 100, 604_800).unwrap();
        assert_eq!(part(token.expose_secret(), 1), "{\"API_KEY\":\"4f\",\"exp\":604900,\"iat\":100}");
        let again = access_token("4f", 100, 604_800).unwrap();
        assert_ne!(token.expose_secret(), again.expose_secret());
    }
}
