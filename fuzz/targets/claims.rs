//! Any text as a signed message, as its header, and as its claims.
//!
//! Holds: nothing panics; whatever verifies carries an HMAC-SHA256 that aws-lc-rs computes too, and its claims are the
//! bytes that were signed; only HS256 is believed; a changed message and another token are not; the same message is the
//! same event in every packing; what is read fits the tables and is part of what came; identity does not depend on
//! how the JSON is written.
#![no_main]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::LazyLock;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use bytes::Bytes;
use chrono::{DateTime, Datelike as _, Utc};
use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::value::RawValue;
use transak_relay::intake::decode::{Decoded, decode};
use transak_relay::intake::{Form, Heard};
use transak_relay::model::amount::Amount;
use transak_relay::model::canonical;
use transak_relay::model::event::{Identity, NewEvent, Source};
use transak_relay::model::hops::Hops;
use transak_relay::model::id::PartnerId;
use transak_relay::model::order::Snapshot;
use transak_relay::transak::jws::{self, Unverified, VerifyingKey};
use transak_relay::transak::{claims, order};

const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.e30.access-token";
const HEADER: &str = r#"{"alg":"HS256"}"#;

static HMAC: LazyLock<hmac::Key> = LazyLock::new(|| hmac::Key::new(hmac::HMAC_SHA256, TOKEN.as_bytes()));
static KEYS: LazyLock<[VerifyingKey; 1]> = LazyLock::new(|| [key(TOKEN)]);
static OTHERS: LazyLock<[VerifyingKey; 1]> = LazyLock::new(|| [key("another token")]);
static PARTNER: LazyLock<PartnerId> = LazyLock::new(PartnerId::new);

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(claims) = jws::verify(text, &*KEYS) {
        assert!(is_signed(text, &claims), "a message was believed that nobody signed");
    }
    if jws::verify(&sign(text, "{}"), &*KEYS).is_ok() {
        let header: Value = serde_json::from_str(text).expect("a header is JSON");
        assert_eq!(header["alg"], "HS256", "another algorithm was believed");
    }
    as_claims(text);
    as_open_message(text);
});

fn key(token: &str) -> VerifyingKey {
    VerifyingKey::new(&SecretString::from(token))
}

fn sign(header: &str, claims: &str) -> String {
    let head = format!("{}.{}", B64.encode(header), B64.encode(claims));
    let signature = hmac::sign(&HMAC, head.as_bytes());
    format!("{head}.{}", B64.encode(signature))
}

/// What a second implementation says.
fn is_signed(message: &str, claims: &RawValue) -> bool {
    let Some((head, signature)) = message.rsplit_once('.') else { return false };
    let Ok(signature) = B64.decode(signature) else { return false };
    let payload = head.split_once('.').and_then(|(_, payload)| B64.decode(payload).ok()).unwrap_or_default();
    hmac::verify(&HMAC, head.as_bytes(), &signature).is_ok()
        && payload.trim_ascii() == claims.get().as_bytes()
}

fn as_claims(text: &str) {
    let message = sign(HEADER, text);
    assert_eq!(jws::verify(&message, &[]).err(), Some(Unverified::NoToken));
    assert_eq!(jws::verify(&message, &*OTHERS).err(), Some(Unverified::NoTokenFits));
    let forged = changed(&message, text);
    if let Ok(claims) = jws::verify(&forged, &*KEYS) {
        panic!("a changed message was believed: {forged} {}", claims.get());
    }
    match jws::verify(&message, OTHERS.iter().chain(&*KEYS)) {
        Ok(claims) => {
            assert!(is_signed(&message, &claims), "the claims are not what was signed");
            as_messages(&message, &claims);
        }
        Err(error) => {
            assert_eq!(error, Unverified::ClaimsAreNotJson);
            let object = serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object());
            let twice = ["exp", "nbf", "aud", "iss", "sub"].iter().any(|name| text.matches(name).count() > 1);
            assert!(!object || twice || text.contains("\\u"), "a signed object was not believed");
        }
    }
}

/// The message with one character replaced; which one, the text decides.
fn changed(message: &str, text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let draw = usize::try_from(hasher.finish() >> 8).unwrap_or_default();
    let mut bytes = message.as_bytes().to_vec();
    let at = draw / 64 % bytes.len();
    let letter = LETTERS[draw % 64];
    bytes[at] = if bytes[at] == letter { b'.' } else { letter };
    String::from_utf8(bytes).expect("a message is ASCII")
}

/// The message as the stream and the webhook carry it.
fn as_messages(message: &str, claims: &RawValue) {
    let packed = format!(r#"{{"data":"{message}"}}"#);
    let quoted = format!(r#""{message}""#);
    let bare = decoded(message, Form::Signed);
    for packing in [packed, quoted] {
        match (&bare, decoded(&packing, Form::Signed)) {
            (Decoded::Event(one), Decoded::Event(other)) => {
                assert_eq!((one.identity, &one.event), (other.identity, &other.event));
                assert_eq!(one.payload, other.payload);
            }
            (one, other) => assert_eq!(std::mem::discriminant(one), std::mem::discriminant(&other)),
        }
    }
    match &bare {
        Decoded::Event(event) => {
            assert!(event.verified);
            kept(event, claims.get());
        }
        Decoded::Unverified(_) => panic!("a signed message was not believed"),
        Decoded::Quarantine(_) | Decoded::Test => {}
    }
}

/// The text as somebody writes it to a channel that anybody could know.
fn as_open_message(text: &str) {
    match decoded(text, Form::Open) {
        Decoded::Event(event) => {
            assert!(!event.verified, "an unsigned message was believed");
            kept(&event, text);
        }
        Decoded::Quarantine(aside) => assert_eq!(aside.raw, text.as_bytes()),
        Decoded::Unverified(_) => panic!("an open message needs no signature"),
        Decoded::Test => {}
    }
}

fn decoded(text: &str, form: Form) -> Decoded {
    let heard = Heard {
        partner_id: Some(*PARTNER),
        source: Source::Stream,
        form,
        channel: None,
        event: None,
        data: Bytes::copy_from_slice(text.as_bytes()),
        at: DateTime::<Utc>::UNIX_EPOCH,
        hops: Hops::default(),
        trace: None,
    };
    decode(&heard, &*KEYS)
}

/// What holds for every event that is kept.
fn kept(event: &NewEvent, claims: &str) {
    let payload = std::str::from_utf8(&event.payload).expect("a payload is text");
    assert!(claims.contains(payload), "the payload is not as it came");
    assert!(payload.starts_with('{'), "the payload is no object");
    assert!(claims::is_event_name(&event.event), "{} is no name of an event", event.event);
    let Some(snapshot) = &event.order else { return };
    assert_eq!(snapshot.raw, event.payload);
    fits_the_tables(snapshot);
    let mut text = Vec::new();
    canonical::write(serde_json::from_str(payload).expect("a payload is JSON"), &mut text);
    let raw: &RawValue = serde_json::from_slice(&text).expect("canonical text is JSON");
    let again = order::read(raw).expect("an order is one however it is written");
    assert_eq!(
        Identity::of_order(&again),
        event.identity,
        "writing an order differently makes it another event"
    );
    assert_eq!(again.details.fiat_amount, snapshot.details.fiat_amount);
}

fn fits_the_tables(snapshot: &Snapshot) {
    assert!((1..=200).contains(&snapshot.order_id.as_str().len()));
    assert!((1..=100).contains(&snapshot.status.as_str().len()));
    let texts = [
        &snapshot.details.partner_order_id,
        &snapshot.details.wallet_address,
        &snapshot.details.fiat_currency,
        &snapshot.details.crypto_currency,
        &snapshot.details.network,
    ];
    assert!(texts.iter().copied().flatten().all(|text| text.len() <= 500), "a key is too long for an index");
    let ids = [snapshot.order_id.as_str(), snapshot.status.as_str()].into_iter();
    let all = ids.chain(texts.into_iter().flatten().map(String::as_str));
    assert!(all.into_iter().all(|text| !text.contains('\0')), "a text column cannot hold NUL");
    let times = [snapshot.created_at, snapshot.updated_at, snapshot.completed_at];
    assert!(times.iter().flatten().all(|at| (2000..=2200).contains(&at.year())), "a time is out of range");
    for amount in [&snapshot.details.fiat_amount, &snapshot.details.crypto_amount].into_iter().flatten() {
        is_exact(amount);
    }
}

fn is_exact(amount: &Amount) {
    let shown = serde_json::to_string(amount).expect("an amount is JSON");
    assert_eq!(shown, amount.as_json(), "an amount changed");
    assert!(!shown.contains('\0'));
}
