//! Transak's own webhook body, signed as Transak signs it (docs.transak.com, "How to decrypt webhook payload").
//!
//! `{"data":"<JWT>"}` with HS256; the key is the text of the partner's access token, not what its base64 decodes to;
//! the JOSE header is `{"alg":"HS256"}` and nothing more; the claims have no times of their own but `createdAt`. Written
//! here and not through a JWT library, because a library would parse and rewrite the order, and its numbers with it.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

use super::{quoted, rfc3339};

/// base64url of `{"alg":"HS256"}`.
const JOSE_HEADER: &str = "eyJhbGciOiJIUzI1NiJ9";

/// The body a handler written for Transak's webhooks expects. `raw_order` must be one JSON value; its bytes are kept.
pub fn transak_body(token: &SecretString, event: &str, created_at: DateTime<Utc>, raw_order: &[u8]) -> Bytes {
    let tail = format!(r#","eventID":{},"createdAt":"{}"}}"#, quoted(event), rfc3339(created_at));
    let claims = [br#"{"webhookData":"#, raw_order, tail.as_bytes()].concat();
    let mut jwt = format!("{JOSE_HEADER}.");
    URL_SAFE_NO_PAD.encode_string(&claims, &mut jwt);
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.expose_secret().as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, jwt.as_bytes()));
    format!(r#"{{"data":"{jwt}.{signature}"}}"#).into()
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
    use serde_json::Value;

    use super::*;

    const ORDER: &[u8] = br#"{"id":"9151faa1-e69b-4a36-b959-3c4f894afb68", "fiatAmount":45.10,"x":1e400}"#;

    fn jwt() -> String {
        let body = transak_body(
            &"token.of.transak".to_owned().into(),
            "ORDER_COMPLETED",
            DateTime::UNIX_EPOCH,
            ORDER,
        );
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body.as_object().unwrap().len(), 1);
        body["data"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_jose_header_is_the_algorithm_alone() {
        let header = jwt().split('.').next().unwrap().to_owned();
        assert_eq!(URL_SAFE_NO_PAD.decode(header).unwrap(), br#"{"alg":"HS256"}"#);
    }

    #[test]
    fn the_claims_are_transaks_with_the_order_byte_for_byte() {
        let claims = URL_SAFE_NO_PAD.decode(jwt().split('.').nth(1).unwrap()).unwrap();
        let tail = br#","eventID":"ORDER_COMPLETED","createdAt":"1970-01-01T00:00:00.000Z"}"#;
        assert_eq!(claims, [br#"{"webhookData":"#, ORDER, tail].concat());
    }

    #[test]
    fn another_implementation_verifies_it_with_the_token_and_with_nothing_else() {
        #[derive(serde::Deserialize)]
        struct Claims {
            #[serde(rename = "eventID")]
            event: String,
        }
        let mut rules = Validation::new(Algorithm::HS256);
        rules.required_spec_claims.clear();
        rules.validate_exp = false;
        let verify =
            |token: &str| decode::<Claims>(jwt(), &DecodingKey::from_secret(token.as_bytes()), &rules);
        assert_eq!(verify("token.of.transak").unwrap().claims.event, "ORDER_COMPLETED");
        assert!(verify("token.of.Transak").is_err());
    }
}
