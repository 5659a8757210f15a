//! A partner: the holder of a Transak API key, a tenant.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Which of Transak's two worlds an API key belongs to. Keys, secrets and tokens differ between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "UPPERCASE")]
#[sqlx(type_name = "environment", rename_all = "UPPERCASE")]
pub enum Environment {
    /// `api-stg.transak.com`.
    Staging,
    /// `api.transak.com`.
    Production,
}

/// When one of Transak's access tokens ends, by its own `exp` claim (Unix seconds).
///
/// Nothing is verified, for only Transak could: use it to plan a refresh, never to trust. `None` for a token that is no
/// JWT or does not say.
pub fn access_token_expiry(token: &str) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let payload = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&json).ok()?;
    // Further away than a table can hold is as good as not said.
    DateTime::from_timestamp(claims.exp, 0)
        .filter(|at| at.timestamp() < 253_402_300_800 && at.timestamp() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("{}.{}.sig", URL_SAFE_NO_PAD.encode("{}"), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_expiry_is_read_from_the_tokens_own_claims() {
        let at = access_token_expiry(&token(r#"{"API_KEY":"k","iat":1,"exp":1700000000}"#));
        assert_eq!(at.map(|at| at.timestamp()), Some(1_700_000_000));
    }

    #[test]
    fn what_does_not_say_has_no_expiry() {
        for text in [
            "",
            "opaque",
            "a.b.c",
            &token("{}"),
            &token(r#"{"exp":"soon"}"#),
            &token(r#"{"exp":99999999999999}"#),
        ] {
            assert_eq!(access_token_expiry(text), None, "{text}");
        }
    }
}
