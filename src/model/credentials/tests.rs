//! What is said of tokens, by themselves and by Transak.

use proptest::prelude::*;

use super::*;

fn token(claims: &str) -> String {
    format!("{}.{}.sig", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode(claims))
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

#[test]
fn a_token_is_read_and_what_is_none_or_over_is_refused_with_what_to_do() {
    let read = |claims: &str| read_token(&token(claims), now());
    assert_eq!(read(r#"{"API_KEY":"k","exp":1700000001}"#).unwrap().api_key.as_deref(), Some("k"));
    assert_eq!(read("{}").unwrap().api_key, None);
    let ended = read(r#"{"API_KEY":"k","exp":1700000000}"#).unwrap_err().to_string();
    assert!(ended.contains("ended at 2023-11-14T22:13:20Z; get a new one"), "{ended}");
    for text in ["", "abc", "a.b.c", "eyJ.eyJ.x", "e30.e30.", "e30.e30", "e30.e30.a.b", "e30.W10.x"] {
        assert_eq!(read_token(text, now()), Err(InvalidToken::NotAJwt), "{text}");
    }
}

#[test]
fn an_accepted_token_that_names_another_key_is_a_warning() {
    let claims = |key: &str| TokenClaims { api_key: Some(key.to_owned()) };
    let state = |answer, claims: Option<TokenClaims>| judge(answer, claims.as_ref(), "key").state;
    assert_eq!(state(Answer::Accepted, Some(claims("key"))), CredentialsState::Valid);
    assert_eq!(state(Answer::Accepted, None), CredentialsState::Valid);
    assert_eq!(state(Answer::Accepted, Some(claims("other"))), CredentialsState::Mismatched);
    assert_eq!(state(Answer::Refused, Some(claims("key"))), CredentialsState::Invalid);
    assert_eq!(state(Answer::Nothing("no".to_owned()), None), CredentialsState::Unchecked);
}

#[test]
fn what_was_said_of_an_earlier_token_is_not_shown_of_the_next() {
    let (old, new) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let known = |token, expires_at| Known {
        has_secret: false,
        token,
        expires_at,
        refresh_error: None,
        verdict: Verdict { state: CredentialsState::Valid, detail: None },
        of_token: Some(old),
        checked_at: Some(now()),
    };
    let state = |known| shown(known, now()).0.state;
    assert_eq!(shown(known(Some(old), None), now()).1, Some(now()));
    assert_eq!(state(known(Some(old), None)), CredentialsState::Valid);
    assert_eq!(state(known(Some(new), None)), CredentialsState::Unchecked);
    assert_eq!(state(known(Some(old), Some(now()))), CredentialsState::Invalid);
    assert_eq!(state(known(None, None)), CredentialsState::Invalid);
}

#[test]
fn nobody_is_told_to_give_the_secret_that_is_there() {
    let token = Some(Uuid::from_u128(1));
    let detail = |has_secret| {
        let verdict = judge(Answer::Refused, None, "key");
        let known = Known {
            has_secret,
            token,
            expires_at: None,
            refresh_error: None,
            verdict,
            of_token: token,
            checked_at: None,
        };
        shown(known, now()).0.detail.unwrap()
    };
    assert!(detail(false).contains("or the API secret"), "{}", detail(false));
    assert!(detail(true).contains("compare `apiKey`"), "{}", detail(true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_refusal_repeats_the_token(text in "[!-~]{20,80}") {
        if let Err(error) = read_token(&text, now()) {
            prop_assert!(!error.to_string().contains(&text));
        }
    }
}
