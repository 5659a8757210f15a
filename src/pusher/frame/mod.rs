//! The frames of the protocol: text in, [`Frame`] out, and the few frames a subscriber sends.
//!
//! Tolerant, because servers differ: `data` may be absent, an object, a string holding JSON, or a string that is not
//! JSON; unknown fields and white space around the frame are ignored; an error's `code` may be a number, null or absent.
//! Guarantees: the data of a channel event is kept byte for byte as it was published, so that a signature over it holds.
//! Does not guarantee: anything about what that data means.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Channel;

/// The text event that asks the server for a sign of life. A WebSocket-level ping is not counted by every server.
pub const PING: &str = r#"{"event":"pusher:ping","data":{}}"#;
/// The answer to the server's own `pusher:ping`.
pub const PONG: &str = r#"{"event":"pusher:pong","data":{}}"#;

/// The payload of a channel event and the form it came in.
#[derive(Clone, PartialEq, Eq)]
pub enum Data {
    /// It was a JSON string; this is its content, decoded once. It may or may not be JSON again.
    Text(String),
    /// It was any other JSON value; this is its text as it came.
    Json(String),
    /// There was no `data` at all.
    Absent,
}

impl Data {
    /// The payload's text; empty if there was none.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) | Self::Json(text) => text,
            Self::Absent => "",
        }
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self {
            Self::Text(_) => "Text",
            Self::Json(_) => "Json",
            Self::Absent => "Absent",
        };
        write!(f, "{form}({} bytes)", self.as_str().len())
    }
}

/// One frame from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<'a> {
    /// `pusher:connection_established`: only now may we subscribe.
    Established {
        /// After this much silence the server wants to be pinged, if it said so readably.
        activity_timeout: Option<Duration>,
    },
    /// `pusher_internal:subscription_succeeded`.
    Subscribed {
        /// The channel that is heard from now on.
        channel: Cow<'a, str>,
    },
    /// `pusher:subscription_error` or `pusher_internal:subscription_error`: both spellings exist.
    SubscriptionError {
        /// The channel that is not heard.
        channel: Cow<'a, str>,
    },
    /// `pusher:ping`: must be answered.
    Ping,
    /// `pusher:pong`.
    Pong,
    /// `pusher:error`.
    Error {
        /// The code, if there was one.
        code: Option<u16>,
        /// The server's words; for matching, not for logs.
        message: String,
    },
    /// Any other event of the protocol itself. Never a message for the consumer.
    Protocol,
    /// A message published on a channel.
    Event {
        /// The channel's name as it came, not validated.
        channel: Cow<'a, str>,
        /// The event's name as it came.
        event: Cow<'a, str>,
        /// The payload.
        data: Data,
    },
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(default, borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

/// Unlike serde's own `Option`, tells `null` from absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Frame<'a> {
    /// Reads one text message.
    ///
    /// # Errors
    /// What is wrong with it, as a phrase that repeats nothing of the message.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        let envelope: Envelope<'a> = serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => {
                "not a frame: `event` is missing or a field has the wrong type"
            }
            _ => "not JSON",
        })?;
        let Envelope { event, channel, data } = envelope;
        let frame = match (&*event, channel) {
            ("pusher:connection_established", _) => {
                Self::Established { activity_timeout: activity_timeout(data) }
            }
            ("pusher_internal:subscription_succeeded", Some(channel)) => Self::Subscribed { channel },
            ("pusher:subscription_error" | "pusher_internal:subscription_error", Some(channel)) => {
                Self::SubscriptionError { channel }
            }
            ("pusher:ping", _) => Self::Ping,
            ("pusher:pong", _) => Self::Pong,
            ("pusher:error", _) => error(data),
            (name, _) if name.starts_with("pusher:") || name.starts_with("pusher_internal:") => {
                Self::Protocol
            }
            (_, Some(channel)) => Self::Event { channel, data: payload(data)?, event },
            (_, None) => return Err("an event without a channel"),
        };
        Ok(frame)
    }

    /// What kind of frame it is, out of a small fixed set, for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Established { .. } => "connection_established",
            Self::Subscribed { .. } => "subscription_succeeded",
            Self::SubscriptionError { .. } => "subscription_error",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Error { .. } => "error",
            Self::Protocol => "protocol",
            Self::Event { event, .. } => EVENTS.into_iter().find(|known| known == event).unwrap_or("other"),
        }
    }
}

/// The event names that have a metric label of their own (`docs.transak.com`, "WebSocket events" and "Webhooks").
const EVENTS: [&str; 7] = [
    "ORDER_CREATED",
    "ORDER_PAYMENT_VERIFYING",
    "ORDER_PROCESSING",
    "ORDER_COMPLETED",
    "ORDER_FAILED",
    "ORDER_CANCELLED",
    "ORDER_REFUNDED",
];

fn payload(data: Option<&RawValue>) -> Result<Data, &'static str> {
    match data.map(RawValue::get) {
        None => Ok(Data::Absent),
        Some(raw) if raw.starts_with('"') => {
            serde_json::from_str(raw).map(Data::Text).map_err(|_| "`data` is a string that is not Unicode")
        }
        Some(raw) => Ok(Data::Json(raw.to_owned())),
    }
}

/// The value of a protocol event's data, whether it came as itself or encoded once more in a string.
fn value(data: Option<&RawValue>) -> Value {
    match data.map(|raw| serde_json::from_str(raw.get())) {
        Some(Ok(Value::String(text))) => serde_json::from_str(&text).unwrap_or_default(),
        Some(Ok(value)) => value,
        _ => Value::Null,
    }
}

fn activity_timeout(data: Option<&RawValue>) -> Option<Duration> {
    let seconds = value(data).get("activity_timeout")?.as_f64()?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn error<'a>(data: Option<&RawValue>) -> Frame<'a> {
    let value = value(data);
    let code = value.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let message = value.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    Frame::Error { code, message }
}

/// The channel that something names which is no whole frame: binary, cut, or not JSON. A guess, for a label only.
pub fn named_channel(raw: &[u8]) -> Option<String> {
    const KEY: &[u8] = br#""channel""#;
    let mut rest = raw;
    loop {
        let at = rest.windows(KEY.len()).position(|window| window == KEY)?;
        let behind = rest[at + KEY.len()..].trim_ascii_start();
        // What is escaped belongs to the text of a payload.
        let is_key = at == 0 || rest[at - 1] != b'\\';
        let value = behind.strip_prefix(b":").map(<[u8]>::trim_ascii_start).filter(|_| is_key);
        if let Some(text) = value.and_then(|text| text.strip_prefix(b"\"")) {
            let name = text.split(|&byte| byte == b'"').next().filter(|name| name.len() < text.len())?;
            return String::from_utf8(name.to_vec()).ok();
        }
        rest = &rest[at + KEY.len()..];
    }
}

/// The frame that subscribes to a public channel. A valid name needs no escaping.
pub fn subscribe(channel: &Channel) -> String {
    format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel}"}}}}"#)
}

/// The frame that ends a subscription. The server never answers it.
pub fn unsubscribe(channel: &Channel) -> String {
    format!(r#"{{"event":"pusher:unsubscribe","data":{{"channel":"{channel}"}}}}"#)
}

#[cfg(test)]
mod tests;
