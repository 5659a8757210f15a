//! What a partner's credentials are worth: what an access token says of itself, and what Transak says of it.
//!
//! Guarantees: no text in here repeats a token.
//! Does not guarantee that a token which reads well is genuine. Only Transak could verify it, so Transak is asked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;
use uuid::Uuid;

use super::partner::access_token_expiry;

/// Why a text cannot be a partner's current access token. Each says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidToken {
    /// Not three parts, or parts that hold no JSON.
    #[error(
        "must be an access token of Transak: a JWT of three parts, as its refresh-token call answers it (not the API secret)"
    )]
    NotAJwt,
    /// Does not say whose it is.
    #[error(
        "must be an access token of Transak, which names the API key it is for in its claim `API_KEY`; this one names none: get one with Transak's refresh-token call"
    )]
    NamesNoKey,
    /// Another's.
    #[error(
        "must be the access token of this partner's `apiKey`; this one names another in its claim `API_KEY`: get the one of this key with Transak's refresh-token call, or correct `apiKey`"
    )]
    NamesAnotherKey,
    /// Does not say when it ends.
    #[error(
        "must be an access token of Transak, which ends at a number of seconds in its claim `exp`; this one's is no number: get one with Transak's refresh-token call"
    )]
    EndsNever,
    /// Over, by its own claim.
    #[error(
        "must be a current access token: this one ended at {0}; get a new one with Transak's refresh-token call"
    )]
    Ended(Second),
}

/// A time, shown in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Second(DateTime<Utc>);

impl std::fmt::Display for Second {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

/// What an access token says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenClaims {
    /// Whose it is, if it says.
    pub api_key: Option<String>,
}

/// Reads an access token, and refuses what cannot be one that works now.
pub fn read_token(token: &str, now: DateTime<Utc>) -> Result<TokenClaims, InvalidToken> {
    let claims = claims(token).ok_or(InvalidToken::NotAJwt)?;
    if claims.get("exp").is_some_and(|end| !end.is_number()) {
        return Err(InvalidToken::EndsNever);
    }
    if let Some(end) = access_token_expiry(token).filter(|end| *end <= now) {
        return Err(InvalidToken::Ended(Second(end)));
    }
    Ok(TokenClaims { api_key: api_key_of(&claims) })
}

/// Judges an access token that is given to a partner; `api_key`: the partner's, if it is at hand.
///
/// Transak's keys are UUIDs, so one that names another UUID is another's for certain. What names something else was not
/// made by Transak as it is known: it is taken, and [`judge`] says so once it was tried.
pub fn accept(token: &str, api_key: Option<&str>, now: DateTime<Utc>) -> Result<(), InvalidToken> {
    let named = api_key_of(&claims(token).ok_or(InvalidToken::NotAJwt)?);
    match (named, api_key) {
        (None, _) => Err(InvalidToken::NamesNoKey),
        (Some(named), Some(key)) if named != key && is_a_key_of_transaks(&named) => {
            Err(InvalidToken::NamesAnotherKey)
        }
        _ => read_token(token, now).map(drop),
    }
}

fn is_a_key_of_transaks(key: &str) -> bool {
    key.parse::<Uuid>().is_ok()
}

/// Whose an access token is by its own claim, also if it is over.
pub fn named_key(token: &str) -> Option<String> {
    api_key_of(&claims(token)?)
}

/// What is inside, if it has the form of a JWT.
fn claims(token: &str) -> Option<Map<String, Value>> {
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { return None };
    let object = |part: &str| {
        let json = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
        serde_json::from_slice::<Map<String, Value>>(&json).ok()
    };
    object(header).filter(|_| !signature.is_empty())?;
    object(payload)
}

fn api_key_of(claims: &Map<String, Value>) -> Option<String> {
    claims.get("API_KEY").and_then(Value::as_str).map(str::to_owned)
}

/// What is known of a partner's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "credentials_state", rename_all = "lowercase")]
pub enum CredentialsState {
    /// Transak has not answered yet.
    Unchecked,
    /// Transak accepts them.
    Valid,
    /// Transak accepts the access token, but it is not this partner's: it names another API key, or another partner has
    /// it too.
    Mismatched,
    /// Transak refuses them, or there are none.
    Invalid,
}

impl CredentialsState {
    /// One word of a closed set, for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Valid => "valid",
            Self::Mismatched => "mismatched",
            Self::Invalid => "invalid",
        }
    }
}

/// What Transak answered when it was asked with an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It accepts the token.
    Accepted,
    /// It does not.
    Refused,
    /// It said nothing of the token, for this reason.
    Nothing(String),
}

/// What is kept of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub state: CredentialsState,
    /// In a sentence; `None` where nothing is to be said.
    pub detail: Option<String>,
}

/// Judges an answer to a partner's token.
pub fn judge(answer: Answer, claims: Option<&TokenClaims>, api_key: &str) -> Verdict {
    let named = claims.and_then(|claims| claims.api_key.as_deref());
    let verdict = |state, detail: &str| Verdict { state, detail: Some(detail.to_owned()) };
    match answer {
        Answer::Refused => verdict(
            CredentialsState::Invalid,
            "Transak does not accept the access token: give the current one, or the API secret with which the relay makes one",
        ),
        Answer::Nothing(why) => verdict(CredentialsState::Unchecked, &why),
        Answer::Accepted if named.is_some_and(|named| named != api_key) => verdict(
            CredentialsState::Mismatched,
            "Transak accepts the access token, but it names another API key than this partner's: compare both with Transak's dashboard",
        ),
        Answer::Accepted => Verdict { state: CredentialsState::Valid, detail: None },
    }
}

/// What stands with a partner whose access token is another's as well, and does not say that it is this one's.
pub fn shared() -> Verdict {
    let detail = "another partner has the same access token, so it cannot be told whose orders it speaks of: give each its own";
    Verdict { state: CredentialsState::Mismatched, detail: Some(detail.to_owned()) }
}

/// What is known of a partner, as the tables have it.
#[derive(Debug, Clone)]
pub struct Known<'a> {
    pub has_secret: bool,
    /// The newest token.
    pub token: Option<Uuid>,
    /// When it ends, if it says.
    pub expires_at: Option<DateTime<Utc>>,
    /// Why the last refresh failed, if it did.
    pub refresh_error: Option<&'a str>,
    /// What was said of which token, and when.
    pub verdict: Verdict,
    pub of_token: Option<Uuid>,
    pub checked_at: Option<DateTime<Utc>>,
}

/// To give the API secret would be no help.
const REFUSED_BESIDE_A_SECRET: &str = "Transak does not accept the access token, and the relay makes another with the API secret: if this stays, compare `apiKey`, `apiSecret` and `environment` with Transak's dashboard";

/// What is to be shown of a partner's credentials now, and since when that is known.
pub fn shown(known: Known<'_>, now: DateTime<Utc>) -> (Verdict, Option<DateTime<Utc>>) {
    let say = |state, detail: String| (Verdict { state, detail: Some(detail) }, None);
    if known.token.is_none() {
        return match (known.has_secret, known.refresh_error) {
            (false, _) => say(
                CredentialsState::Invalid,
                "there is neither an access token nor an API secret: nothing that Transak signs can be verified".to_owned(),
            ),
            (true, Some(error)) => say(CredentialsState::Invalid, format!("no access token could be made: {error}")),
            (true, None) => say(CredentialsState::Unchecked, "an access token is being made".to_owned()),
        };
    }
    if let Some(end) = known.expires_at.filter(|end| *end <= now) {
        return say(CredentialsState::Invalid, format!("the access token ended at {}", Second(end)));
    }
    if known.of_token == known.token {
        let mut verdict = known.verdict;
        if verdict.state == CredentialsState::Invalid && known.has_secret {
            verdict.detail = Some(REFUSED_BESIDE_A_SECRET.to_owned());
        }
        return (verdict, known.checked_at);
    }
    say(CredentialsState::Unchecked, "Transak has not been asked yet".to_owned())
}

#[cfg(test)]
mod tests;
