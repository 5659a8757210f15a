//! Any text as a frame of the Pusher protocol.
//!
//! Holds: nothing panics; white space around a frame does not count; a frame that was read, written again and read
//! again is the same frame; a payload is kept byte for byte and is JSON or the content of a string; the protocol's own
//! events never reach a consumer; the canonical text of a payload is its own canonical text and means the same.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use transak_relay::model::canonical;
use transak_relay::pusher::frame::{self, Frame};
use transak_relay::pusher::{Channel, Data};

const LABELS: [&str; 15] = [
    "connection_established",
    "subscription_succeeded",
    "subscription_error",
    "ping",
    "pong",
    "error",
    "protocol",
    "other",
    "ORDER_CREATED",
    "ORDER_PAYMENT_VERIFYING",
    "ORDER_PROCESSING",
    "ORDER_COMPLETED",
    "ORDER_FAILED",
    "ORDER_CANCELLED",
    "ORDER_REFUNDED",
];

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    subscribing(text);
    let read = Frame::parse(text);
    assert_eq!(read, Frame::parse(&format!(" \n{text}\t\r")), "white space around a frame counts");
    let Ok(frame) = read else { return };
    serde_json::from_str::<&RawValue>(text).expect("a frame is JSON");
    assert!(LABELS.contains(&frame.label()), "{} is no label", frame.label());
    let written = written(&frame);
    let again = Frame::parse(&written).expect("a frame that was read can be read again");
    assert!(is_same(&frame, &again), "{frame:?} became {again:?}");
    if let Frame::Event { event, data, .. } = &frame {
        assert!(
            !event.starts_with("pusher:") && !event.starts_with("pusher_internal:"),
            "{event} is a message"
        );
        payload(text, data);
    }
});

/// A text that is a channel's name can be put into a frame as it is.
fn subscribing(name: &str) {
    let Ok(channel) = name.parse::<Channel>() else { return };
    for text in [frame::subscribe(&channel), frame::unsubscribe(&channel)] {
        let value: Value = serde_json::from_str(&text).expect("what is sent is JSON");
        assert_eq!(value["data"]["channel"], name);
        assert_eq!(Frame::parse(&text), Ok(Frame::Protocol));
    }
}

fn payload(text: &str, data: &Data) {
    if let Data::Json(json) = data {
        assert!(text.contains(json.as_str()), "the payload is not as it came");
        assert!(!json.starts_with('"'), "a string was not decoded");
        let raw: &RawValue = serde_json::from_str(json).expect("a payload that is no text is JSON");
        assert_eq!(raw.get(), json);
    }
    let Ok(raw) = serde_json::from_str::<&RawValue>(data.as_str()) else { return };
    let first = canonical_text(raw);
    let again: &RawValue = serde_json::from_str(&first).expect("canonical text is JSON");
    assert_eq!(canonical_text(again), first, "the canonical text is not canonical");
    if let Ok(value) = serde_json::from_str::<Value>(raw.get()) {
        assert_eq!(
            serde_json::from_str::<Value>(&first).ok(),
            Some(value),
            "the canonical text means something else"
        );
    }
}

fn canonical_text(raw: &RawValue) -> String {
    let mut out = Vec::new();
    canonical::write(raw, &mut out);
    String::from_utf8(out).expect("canonical text is text")
}

/// The frame as a server might have sent it.
fn written(frame: &Frame<'_>) -> String {
    let value = match frame {
        Frame::Established { activity_timeout } => json!({
            "event": "pusher:connection_established",
            "data": activity_timeout.map(|wait| json!({ "activity_timeout": wait.as_secs_f64() })),
        }),
        Frame::Subscribed { channel } => {
            json!({ "event": "pusher_internal:subscription_succeeded", "channel": channel })
        }
        Frame::SubscriptionError { channel } => {
            json!({ "event": "pusher:subscription_error", "channel": channel })
        }
        Frame::Ping => json!({ "event": "pusher:ping" }),
        Frame::Pong => json!({ "event": "pusher:pong" }),
        Frame::Error { code, message } => {
            json!({ "event": "pusher:error", "data": { "code": code, "message": message } })
        }
        Frame::Protocol => json!({ "event": "pusher:anything" }),
        Frame::Event { channel, event, data } => {
            let (channel, event) = (json!(channel), json!(event));
            let data = match data {
                Data::Text(text) => format!(r#","data":{}"#, json!(text)),
                Data::Json(json) => format!(r#","data":{json}"#),
                Data::Absent => String::new(),
            };
            return format!(r#"{{"channel":{channel}{data},"event":{event}}}"#);
        }
    };
    value.to_string()
}

/// Seconds go through a float both ways, so the last digits may differ.
fn is_same(one: &Frame<'_>, other: &Frame<'_>) -> bool {
    match (one, other) {
        (
            Frame::Established { activity_timeout: Some(one) },
            Frame::Established { activity_timeout: Some(other) },
        ) => one.abs_diff(*other) <= Duration::from_nanos(1) + *one / 1_000_000_000,
        _ => one == other,
    }
}
