//! Whether a callback is genuine, in either format the relay sends.
//!
//! Pure: the time is handed in. The crate `standardwebhooks` is not used: it brings a second HMAC and a clock of its own.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// How far the sender's clock may be off, in seconds (Standard Webhooks' reference libraries).
const TOLERANCE: i64 = 300;
/// What every secret begins with.
const PREFIX: &str = "whsec_";

/// What the receiver trusts.
#[derive(Debug, Default)]
pub(super) struct Trust {
    /// `whsec_…`
    pub(super) secrets: Vec<SecretString>,
    /// Transak access tokens.
    pub(super) access_tokens: Vec<SecretString>,
}

/// What a callback says, and whether it is to be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) event: String,
    pub(super) order: Value,
    pub(super) verified: bool,
}

/// Reads and verifies a callback. Unreadable ones are empty and not verified.
pub(super) fn read(trust: &Trust, headers: &HeaderMap, (body, now): (&[u8], i64)) -> Reading {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(token) = parsed.get("data").and_then(Value::as_str) {
        return read_transak(trust, token);
    }
    let verified = trust.secrets.iter().any(|secret| is_signed(secret, headers, (body, now)));
    Reading { event: text(&parsed, "type"), order: parsed.get("data").cloned().unwrap_or_default(), verified }
}

/// `{"data":"<JWT>"}`: the way of Transak's own webhooks.
fn read_transak(trust: &Trust, token: &str) -> Reading {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let verified = trust.access_tokens.iter().find_map(|key| {
        let key = DecodingKey::from_secret(key.expose_secret().as_bytes());
        jsonwebtoken::decode::<Value>(token, &key, &validation).ok()
    });
    let genuine = verified.is_some();
    let claims = verified.or_else(|| jsonwebtoken::dangerous::insecure_decode(token).ok());
    let claims = claims.map(|token| token.claims).unwrap_or_default();
    let order = claims.get("webhookData").cloned().unwrap_or_default();
    Reading { event: text(&claims, "eventID"), order, verified: genuine }
}

fn text(object: &Value, key: &str) -> String {
    object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Standard Webhooks: `webhook-signature` holds one or more `v1,<base64>` of HMAC-SHA256 over `id.timestamp.body`.
fn is_signed(secret: &SecretString, headers: &HeaderMap, (body, now): (&[u8], i64)) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(id), Some(timestamp), Some(signatures)) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
    else {
        return false;
    };
    let fresh = timestamp.parse::<i64>().is_ok_and(|at| now.abs_diff(at) <= TOLERANCE.unsigned_abs());
    let secret = secret.expose_secret();
    let Ok(key) = STANDARD.decode(secret.strip_prefix(PREFIX).unwrap_or(secret)) else { return false };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let matches = |signature: &str| {
        let signature = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
        signature.is_some_and(|signature| hmac::verify(&key, &signed, &signature).is_ok())
    };
    fresh && signatures.split(' ').any(matches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::signing;

    /// The example of the Standard Webhooks reference libraries, with its published signature.
    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const AT: i64 = 1_649_367_553;
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

    fn headers(signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", ID.parse().unwrap());
        headers.insert("webhook-timestamp", AT.to_string().parse().unwrap());
        headers.insert("webhook-signature", signature.parse().unwrap());
        headers
    }

    fn trust() -> Trust {
        Trust { secrets: vec![SECRET.into()], access_tokens: vec!["old".into(), "token".into()] }
    }

    #[test]
    fn the_published_example_is_verified_within_five_minutes() {
        for (now, verified) in
            [(AT, true), (AT + 300, true), (AT - 300, true), (AT + 301, false), (AT - 301, false)]
        {
            assert_eq!(read(&trust(), &headers(SIGNATURE), (BODY, now)).verified, verified, "{}", now - AT);
        }
    }

    #[test]
    fn one_good_signature_among_others_is_enough() {
        let several = format!("v1,AAAA v1a,xyz {SIGNATURE} garbage");
        assert!(read(&trust(), &headers(&several), (BODY, AT)).verified);
    }

    #[test]
    fn anything_changed_is_not_verified() {
        let good = headers(SIGNATURE);
        assert!(!read(&trust(), &good, (b"{}", AT)).verified);
        assert!(!read(&Trust::default(), &good, (BODY, AT)).verified);
        let other = Trust { secrets: vec!["whsec_AAAA".into(), "whsec_!".into()], ..Trust::default() };
        assert!(!read(&other, &good, (BODY, AT)).verified);
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let mut without = good.clone();
            without.remove(name);
            assert!(!read(&trust(), &without, (BODY, AT)).verified, "{name}");
        }
        for signature in ["", "v1,", "v1,tZ1I", SIGNATURE.trim_start_matches("v1,")] {
            assert!(!read(&trust(), &headers(signature), (BODY, AT)).verified, "{signature}");
        }
    }

    #[test]
    fn a_transak_webhook_is_verified_with_any_of_the_tokens() {
        let claims = r#"{"webhookData":{"id":"o1"},"eventID":"ORDER_CREATED"}"#;
        for (key, verified) in [("token", true), ("other", false)] {
            let body = format!("{{\"data\":\"{}\"}}", signing::sign(&key.into(), claims).unwrap());
            let reading = read(&trust(), &HeaderMap::new(), (body.as_bytes(), AT));
            assert_eq!((reading.verified, reading.event.as_str()), (verified, "ORDER_CREATED"));
            assert_eq!(reading.order["id"], "o1");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_verified() {
        for body in ["", "{", "[]", r#"{"data":"a.b.c"}"#, r#"{"data":{}}"#] {
            assert!(!read(&trust(), &HeaderMap::new(), (body.as_bytes(), AT)).verified, "{body}");
        }
    }
}
