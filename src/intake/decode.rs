//! From a message as it was heard to an event, or to the reason why it is none. Pure.

use chrono::SubsecRound as _;
use serde_json::value::RawValue;

use super::directory::Directory;
use super::{Form, Heard};
use crate::model::event::{Identity, NewEvent};
use crate::model::id::{EventId, PartnerId};
use crate::model::order::Snapshot;
use crate::model::quarantine::{Reason, Refusal};
use crate::store::quarantine::write::Quarantined;
use crate::trace::Span;
use crate::transak::claims::{self, About, Unreadable};
use crate::transak::jws::{self, Unverified, VerifyingKey};
use crate::transak::packing::signed_text;
use crate::transak::{json, order};

/// Times are kept in microseconds, and compared with what is kept.
const MICROS: u16 = 6;

/// What a message turned out to be.
#[derive(Debug)]
pub enum Decoded {
    /// An event.
    Event(Box<NewEvent>),
    /// Something that could not be verified.
    Unverified(Box<Quarantined>),
    /// Something that could not be read.
    Quarantine(Box<Quarantined>),
    /// The canned order of Transak's webhook test.
    Test,
}

/// The order that Transak's `test-webhook` call sends, freshly signed. Source: the public test vectors of integrators;
/// Transak's documents show the call but not the order.
const TEST_ORDER: &str = "9151faa1-e69b-4a36-b959-3c4f894afb68";

/// Why a message is put aside although a token of its partner verifies it.
const SHARED: &str =
    "the access token that verifies it is another partner's too, and does not say whose it is";

enum Failure {
    Unverified(Unverified),
    Unreadable(Refusal),
}

impl From<Unverified> for Failure {
    fn from(error: Unverified) -> Self {
        Self::Unverified(error)
    }
}

impl From<Unreadable> for Failure {
    fn from(error: Unreadable) -> Self {
        Self::Unreadable(Refusal::new(Reason::Unreadable, error.to_string()))
    }
}

/// Verifies and reads one message with what is known of its partner. What is put aside says which tokens it was tried
/// with.
pub(super) fn decode_with(directory: &Directory, heard: &Heard) -> Decoded {
    let keys = heard.partner_id.map_or(&[][..], |partner| directory.keys(partner));
    let mut decoded = decode(heard, keys);
    if let Decoded::Unverified(message) = &mut decoded
        && heard.partner_id.is_some_and(|partner| verifies(heard, directory.shared_keys(partner)))
    {
        message.refusal = Refusal::new(Reason::NoTokenFits, SHARED);
    }
    if let Decoded::Unverified(message) | Decoded::Quarantine(message) = &mut decoded {
        message.generation = heard.partner_id.map_or(0, |partner| directory.generation(partner));
    }
    decoded
}

/// Verifies and reads one message with the partner's keys.
pub fn decode(heard: &Heard, keys: &[VerifyingKey]) -> Decoded {
    match event(heard, keys) {
        Ok(event) if event.order.as_ref().is_some_and(|order| order.order_id.as_str() == TEST_ORDER) => {
            Decoded::Test
        }
        Ok(event) => Decoded::Event(Box::new(event)),
        Err(Failure::Unverified(error)) => Decoded::Unverified(Box::new(aside(heard, error.into()))),
        Err(Failure::Unreadable(refusal)) => Decoded::Quarantine(Box::new(aside(heard, refusal))),
    }
}

/// Whether a message would be believed.
pub(super) fn verifies(heard: &Heard, keys: &[VerifyingKey]) -> bool {
    heard.form != Form::Signed || verified_claims(heard, keys).is_ok()
}

/// The message as it came, to be put aside for this reason.
pub(super) fn aside(heard: &Heard, refusal: Refusal) -> Quarantined {
    Quarantined {
        partner_id: heard.partner_id,
        source: heard.source,
        form: heard.form.as_str(),
        channel: heard.channel.as_deref().map(str::to_owned),
        event: heard.event.clone(),
        refusal,
        generation: 0,
        raw: heard.data.to_vec(),
        received_at: heard.at,
        hops: heard.hops,
    }
}

fn event(heard: &Heard, keys: &[VerifyingKey]) -> Result<NewEvent, Failure> {
    let (claims, verified) = match heard.form {
        Form::Unreadable(reason) => {
            return Err(Failure::Unreadable(Refusal::new(Reason::Unreadable, reason)));
        }
        Form::Signed => (verified_claims(heard, keys)?, true),
        Form::Open => (open_claims(heard)?, false),
        Form::Rest | Form::History => (open_claims(heard)?, true),
    };
    let no_partner =
        || Failure::Unreadable(Refusal::new(Reason::NoPartner, "it belongs to no known partner"));
    let partner_id = heard.partner_id.ok_or_else(no_partner)?;
    let message = claims::read(&claims)?;
    match message.about {
        About::Kyc => Ok(without_order(heard, partner_id, (&message, verified))),
        About::Order => {
            let snapshot = order::read(&message.body)?;
            Ok(with_order(heard, (partner_id, verified), &message, snapshot))
        }
    }
}

fn with_order(
    heard: &Heard,
    (partner_id, verified): (PartnerId, bool),
    message: &claims::Message<'_>,
    snapshot: Snapshot,
) -> NewEvent {
    let outside = heard.event.as_deref().filter(|name| claims::is_event_name(name));
    let name = message.event.as_deref().or(outside).unwrap_or_else(|| snapshot.status.event_name());
    let heard_at = heard.at.trunc_subsecs(MICROS);
    NewEvent {
        partner_id,
        event_id: EventId::new(),
        event: name.to_owned(),
        payload: snapshot.raw.clone(),
        identity: Identity::of_order(&snapshot),
        source: heard.source,
        verified,
        from_history: matches!(heard.form, Form::Rest | Form::History),
        is_visit: heard.form == Form::Rest,
        occurred_at: snapshot.reached_at().or(message.triggered_at).unwrap_or(heard_at),
        received_at: heard_at,
        hops: heard.hops,
        trace: heard.trace.as_ref().and_then(Span::context),
        order: Some(snapshot),
    }
}

fn without_order(
    heard: &Heard,
    partner_id: PartnerId,
    (message, verified): (&claims::Message<'_>, bool),
) -> NewEvent {
    let outside = heard.event.clone().filter(|name| claims::is_event_name(name));
    let name =
        message.event.clone().or(outside).or_else(|| claims::kyc_name(&message.body)).unwrap_or_default();
    let heard_at = heard.at.trunc_subsecs(MICROS);
    let payload = bytes::Bytes::copy_from_slice(message.body.get().as_bytes());
    NewEvent {
        partner_id,
        event_id: EventId::new(),
        identity: Identity::of_other(&name, &payload, message.triggered_at),
        event: name,
        order: None,
        payload,
        source: heard.source,
        verified,
        from_history: matches!(heard.form, Form::Rest | Form::History),
        is_visit: heard.form == Form::Rest,
        occurred_at: message.triggered_at.unwrap_or(heard_at),
        received_at: heard_at,
        hops: heard.hops,
        trace: heard.trace.as_ref().and_then(Span::context),
    }
}

fn verified_claims(heard: &Heard, keys: &[VerifyingKey]) -> Result<Box<RawValue>, Unverified> {
    let text = std::str::from_utf8(&heard.data).map_err(|_| Unverified::NotSigned)?;
    let message = signed_text(text).ok_or(Unverified::NotSigned)?;
    jws::verify(&message, keys)
}

fn open_claims(heard: &Heard) -> Result<Box<RawValue>, Unreadable> {
    json::read(&heard.data).ok_or(Unreadable::NotAnObject)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
    use bytes::Bytes;
    use chrono::Utc;
    use secrecy::SecretString;

    use super::*;
    use crate::model::event::Source;
    use crate::model::hops::Hops;

    const ORDER: &str =
        r#"{"id":"o1","status":"PROCESSING","updatedAt":"2025-04-04T13:11:48.374Z","n":0.10}"#;

    fn sign(claims: &str) -> String {
        let head = format!("{}.{}", B64.encode(r#"{"alg":"HS256"}"#), B64.encode(claims));
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"token");
        format!("{head}.{}", B64.encode(hmac::sign(&key, head.as_bytes())))
    }

    fn heard(event: &str, data: &str, form: Form) -> Heard {
        Heard {
            partner_id: Some(PartnerId::new()),
            source: Source::Stream,
            form,
            channel: None,
            event: Some(event.to_owned()),
            data: Bytes::copy_from_slice(data.as_bytes()),
            at: Utc::now(),
            hops: Hops::default(),
            trace: None,
        }
    }

    fn decoded(event: &str, data: &str, form: Form) -> Result<NewEvent, String> {
        let keys = [VerifyingKey::new(&SecretString::from("token"))];
        match decode(&heard(event, data, form), &keys) {
            Decoded::Event(event) => Ok(*event),
            Decoded::Unverified(message) | Decoded::Quarantine(message) => Err(message.refusal.detail),
            Decoded::Test => Err("the test order".to_owned()),
        }
    }

    #[test]
    fn the_same_order_in_every_packing_is_the_same_event() {
        let jwt = sign(ORDER);
        let wrapped = sign(&format!(r#"{{"webhookData":{ORDER},"eventID":"ORDER_PROCESSING"}}"#));
        let identity = decoded("ORDER_PROCESSING", &jwt, Form::Signed).unwrap().identity;
        for data in [
            format!("\"{jwt}\""),
            format!(r#"{{"data":"{jwt}"}}"#),
            wrapped,
            sign(&format!(r#"{{"data":{ORDER}}}"#)),
        ] {
            let event = decoded("an order id instead of a name", &data, Form::Signed).unwrap();
            assert_eq!(event.identity, identity);
            assert_eq!(event.event, "ORDER_PROCESSING");
            assert_eq!(event.payload, ORDER.as_bytes());
        }
    }

    #[test]
    fn the_name_that_came_is_kept() {
        let cancelled = sign(r#"{"id":"o1","status":"CANCELLED"}"#);
        assert_eq!(decoded("ORDER_CANCELLED", &cancelled, Form::Signed).unwrap().event, "ORDER_CANCELLED");
        assert_eq!(decoded("o1", &cancelled, Form::Signed).unwrap().event, "ORDER_FAILED");
    }

    #[test]
    fn without_updated_at_the_payload_tells_events_apart() {
        let one = decoded("x", &sign(r#"{"id":"o","status":"S","a":1}"#), Form::Signed).unwrap();
        let same = decoded("x", &sign(r#"{"a":1, "status":"S","id":"o"}"#), Form::Signed).unwrap();
        let other = decoded("x", &sign(r#"{"id":"o","status":"S","a":2}"#), Form::Signed).unwrap();
        assert_eq!(one.identity, same.identity);
        assert_ne!(one.identity, other.identity);
    }

    #[test]
    fn an_unsigned_order_is_believed_only_where_orders_are_unsigned() {
        assert!(decoded("ORDER_PROCESSING", ORDER, Form::Signed).is_err());
        let open = decoded("ORDER_PROCESSING", ORDER, Form::Open).unwrap();
        assert!(!open.verified);
    }

    #[test]
    fn what_cannot_be_verified_or_read_says_why() {
        for (data, reason) in [
            ("", "signed message"),
            ("not json", "signed message"),
            ("\u{0}", "signed message"),
            (r#"{"id":1}"#, "signed message"),
            (&sign("{}"), "no order"),
            (&sign(r#"{"id":"x"}"#), "no status"),
            (&sign(&format!(r#"{{"id":"{}","status":"S"}}"#, "x".repeat(10_000))), "no id"),
        ] {
            let said = decoded("ORDER_CREATED", data, Form::Signed).unwrap_err();
            assert!(said.contains(reason), "{data:.20}: {said}");
        }
    }
}
