//! One message is one event in all its reasonable spellings, and two changes are never one.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::{Value, json};
use transak_relay::intake::decode::{Decoded, decode};
use transak_relay::intake::{Form, Heard};
use transak_relay::model::event::{NewEvent, Source};
use transak_relay::model::hops::Hops;
use transak_relay::model::id::PartnerId;
use transak_relay::transak::jws::VerifyingKey;

/// A change of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    id: u32,
    status: &'static str,
    /// Milliseconds; or what stands there instead of a time, and data that tells it from others.
    at: Result<i64, (&'static str, u8)>,
}

fn change() -> impl Strategy<Value = Change> {
    let nonsense = prop::sample::select(
        &["null", "\"\"", "\"Invalid date\"", "\"9999-01-01T00:00:00Z\"", "{}", "0"][..],
    );
    let at = prop_oneof![
        3 => (0_i64..100_000).prop_map(Ok),
        1 => (nonsense, 0_u8..3).prop_map(Err),
    ];
    let status = prop::sample::select(&["PROCESSING", "COMPLETED", "SOMETHING_NEW"][..]);
    (1_u32..5, status, at).prop_map(|(id, status, at)| Change { id, status, at })
}

/// How a change is written.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one habit of a writer, on or off")]
struct Spelling {
    time: usize,
    /// Members by the order of their numbers.
    order: [u8; 6],
    escapes: bool,
    spaces: bool,
    duplicates: bool,
    quoted_id: bool,
    wrapping: usize,
    packing: usize,
}

fn spelling() -> impl Strategy<Value = Spelling> {
    let writer = (any::<[u8; 6]>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (0_usize..10, writer, 0_usize..8, 0_usize..6).prop_map(|(time, writer, wrapping, packing)| {
        let (order, escapes, spaces, duplicates, quoted_id) = writer;
        Spelling { time, order, escapes, spaces, duplicates, quoted_id, wrapping, packing }
    })
}

impl Spelling {
    fn time(&self, ms: i64) -> String {
        let at: DateTime<Utc> =
            "2025-04-04T13:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::milliseconds(ms);
        let written = |form: &str| format!("\"{}\"", at.format(form));
        let elsewhere = at - TimeDelta::minutes(7 * 60 + 30);
        match self.time {
            0 => written("%Y-%m-%dT%H:%M:%S%.3fZ"),
            1 => written("%Y-%m-%dT%H:%M:%S%.6f+00:00"),
            2 => written("%Y-%m-%dT%H:%M:%S%.9f+0000"),
            3 => written("%Y-%m-%dT%H:%M:%S%.f"),
            4 => written("%Y-%m-%d %H:%M:%S%.f"),
            5 => format!("\"{}-07:30\"", elsewhere.format("%Y-%m-%dT%H:%M:%S%.f")),
            6 => at.timestamp_millis().to_string(),
            7 => format!("\"{}\"", at.timestamp_millis()),
            8 => format!("{}.{:03}", at.timestamp(), at.timestamp_subsec_millis()),
            _ => at.timestamp_micros().to_string(),
        }
    }

    fn text(&self, text: &str) -> String {
        if self.escapes {
            let first = u32::from(text.as_bytes()[0]);
            format!("\"\\u{first:04x}{}\"", &text[1..])
        } else {
            format!("\"{text}\"")
        }
    }

    /// The order's JSON.
    fn order(&self, change: &Change) -> String {
        let id =
            if self.quoted_id { self.text(&format!("70{}", change.id)) } else { format!("70{}", change.id) };
        let mut members = vec![
            ("id", if change.at.is_err() { format!("\"70{}\"", change.id) } else { id }),
            ("status", self.text(change.status)),
            ("fiatAmount", "1.10e2".to_owned()),
            ("statusHistories", "[]".to_owned()),
        ];
        match change.at {
            Ok(ms) => members.push(("updatedAt", self.time(ms))),
            Err((nonsense, data)) => {
                members.push(("updatedAt", nonsense.to_owned()));
                members.push(("transactionHash", data.to_string()));
            }
        }
        let mut places: Vec<_> = members.into_iter().zip(self.order).collect();
        places.sort_by_key(|(_, place)| *place);
        let space = if self.spaces { " \n\t" } else { "" };
        let mut text = "{".to_owned();
        if self.duplicates {
            text.push_str(r#""status":"OLD","updatedAt":"2001-01-01T00:00:00Z","#);
        }
        let members =
            places.iter().map(|((name, value), _)| format!("{space}{}{space}:{value}", self.text(name)));
        text.push_str(&members.collect::<Vec<_>>().join(","));
        text + space + "}"
    }

    fn claims(&self, change: &Change) -> String {
        let order = self.order(change);
        let quoted = Value::from(order.as_str()).to_string();
        match self.wrapping {
            0 => order,
            1 => format!(r#"{{"webhookData":{order},"eventID":"ORDER_PROCESSING"}}"#),
            2 => format!(r#"{{"data":{order}}}"#),
            3 => format!(r#"{{"createdAt":"2025-05-05T00:00:00Z","anything":{order}}}"#),
            4 => format!(r#"{{"data":{{"data":{order}}},"id":"row"}}"#),
            5 => format!(r#"{{"data":{quoted}}}"#),
            6 => quoted,
            _ => format!(
                r#"{{"id":"row","webhookResponse":{{"body":{{"id":1,"status":"ok"}}}},"webhookData":{order}}}"#
            ),
        }
    }

    fn message(&self, change: &Change) -> (Form, String) {
        let claims = self.claims(change);
        let signed = sign(&claims);
        match self.packing {
            0 => (Form::Signed, signed),
            1 => (Form::Signed, format!("\"{signed}\"")),
            2 => (Form::Signed, json!({ "data": signed, "version": 2 }).to_string()),
            3 => (Form::Signed, format!("\u{feff}{{\"d\\u0061ta\":\"{signed}\"}}\r\n")),
            4 => (Form::Rest, format!("\u{feff}{claims}")),
            _ => (Form::Open, claims),
        }
    }
}

fn sign(claims: &str) -> String {
    let head = format!("{}.{}", B64.encode(r#"{"alg":"HS256"}"#), B64.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"token");
    format!("{head}.{}", B64.encode(hmac::sign(&key, head.as_bytes())))
}

fn event((form, data): (Form, String)) -> NewEvent {
    let heard = Heard {
        partner_id: Some(PartnerId::new()),
        source: Source::Stream,
        form,
        channel: None,
        event: None,
        data: Bytes::from(data),
        at: Utc::now(),
        hops: Hops::default(),
        trace: None,
    };
    match decode(&heard, &[VerifyingKey::new(&SecretString::from("token"))]) {
        Decoded::Event(event) => *event,
        other => panic!("{:?}: {other:?}", String::from_utf8_lossy(&heard.data)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn one_message_is_one_event_in_all_its_spellings((change, one, other) in (change(), spelling(), spelling())) {
        let (one, other) = (event(one.message(&change)), event(other.message(&change)));
        prop_assert_eq!(one.identity, other.identity);
        let kept = |event: &NewEvent| event.order.as_ref().map(|order| (order.order_id.clone(), order.status.clone()));
        prop_assert_eq!(kept(&one), kept(&other));
    }

    #[test]
    fn two_changes_are_two_events_however_they_are_written(
        (one, other, first, second) in (change(), change(), spelling(), spelling())
    ) {
        prop_assume!(one != other);
        let (one, other) = (event(first.message(&one)), event(second.message(&other)));
        prop_assert_ne!(one.identity, other.identity);
    }
}
