//! The frames of Pusher's protocol 7, as the real service spells them: `data` is text that holds JSON, except in
//! `pusher:error`, where it is an object.

use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// The longest channel name the service documents, prefix included.
const LONGEST_CHANNEL: usize = 164;

/// What a client may say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Subscribe(String),
    Unsubscribe(String),
    Ping,
    Pong,
    /// Well-formed, but nothing this server does anything about.
    Other,
}

#[derive(Deserialize)]
struct Incoming {
    event: String,
    #[serde(default)]
    data: Value,
}

/// Reads a client's frame.
///
/// # Errors
/// The message for the `pusher:error` to be answered.
pub(super) fn read(text: &str) -> Result<Request, String> {
    let Incoming { event, data } =
        serde_json::from_str(text).map_err(|_| "Invalid JSON, or no event".to_owned())?;
    let channel = || {
        let name = data.get("channel").and_then(Value::as_str).unwrap_or_default();
        if is_channel(name) { Ok(name.to_owned()) } else { Err(format!("Invalid channel name {name:.64}")) }
    };
    Ok(match event.as_str() {
        "pusher:subscribe" => Request::Subscribe(channel()?),
        "pusher:unsubscribe" => Request::Unsubscribe(channel()?),
        "pusher:ping" => Request::Ping,
        "pusher:pong" => Request::Pong,
        _ => Request::Other,
    })
}

/// Whether Pusher would take this name; private and presence channels ask for a key this server does not have.
fn is_channel(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=@,.;".contains(&byte);
    let guarded = name.starts_with("private-") || name.starts_with("presence-");
    (1..=LONGEST_CHANNEL).contains(&name.len()) && name.bytes().all(legal) && !guarded
}

/// Checks the request target of the WebSocket handshake.
///
/// # Errors
/// Code and message for the `pusher:error` and the close frame that follow.
pub(super) fn check_target(target: &str, app_key: &str) -> Result<(), (u16, String)> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(key) = path.strip_prefix("/app/") else { return Err((4005, "Path not found".to_owned())) };
    if key != app_key {
        let known = "not in this cluster. Did you forget to specify the cluster?";
        return Err((4001, format!("App key {key:.64} {known}")));
    }
    let protocol = query.split('&').find_map(|pair| pair.strip_prefix("protocol="));
    match protocol.map(str::parse) {
        Some(Ok(5..=7_u32)) => Ok(()),
        Some(_) => Err((4007, "Unsupported protocol version".to_owned())),
        None => Err((4008, "No protocol version supplied".to_owned())),
    }
}

fn frame(frame: &Value) -> Message {
    Message::text(frame.to_string())
}

pub(super) fn established(socket_id: &str, activity_timeout_s: u64) -> Message {
    let data = json!({ "socket_id": socket_id, "activity_timeout": activity_timeout_s }).to_string();
    frame(&json!({ "event": "pusher:connection_established", "data": data }))
}

pub(super) fn subscribed(channel: &str) -> Message {
    frame(&json!({ "event": "pusher_internal:subscription_succeeded", "data": "{}", "channel": channel }))
}

pub(super) fn pong() -> Message {
    frame(&json!({ "event": "pusher:pong", "data": "{}" }))
}

pub(super) fn error(code: Option<u16>, message: &str) -> Message {
    frame(&json!({ "event": "pusher:error", "data": { "code": code, "message": message } }))
}

/// An event. `data` is sent as it is: JSON text or a JWT, inside a JSON string.
pub(super) fn event(name: &str, channel: &str, data: &str) -> Message {
    frame(&json!({ "event": name, "channel": channel, "data": data }))
}

pub(super) fn close(code: u16, reason: &str) -> Message {
    Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribing_to_a_channel_pusher_would_take_is_understood() {
        for channel in ["a", "0a-Z_9=@,.;", &"x".repeat(164)] {
            let text = json!({ "event": "pusher:subscribe", "data": { "channel": channel, "auth": "" } })
                .to_string();
            assert_eq!(read(&text), Ok(Request::Subscribe(channel.to_owned())));
        }
    }

    #[test]
    fn a_channel_pusher_would_refuse_is_an_error() {
        for channel in ["", "a b", "a/b", "a:b", "#a", "ä", "private-a", "presence-a", &"x".repeat(165)] {
            let text = json!({ "event": "pusher:subscribe", "data": { "channel": channel } }).to_string();
            assert!(read(&text).unwrap_err().starts_with("Invalid channel"), "{channel}");
        }
    }

    #[test]
    fn what_is_not_a_frame_is_an_error_and_what_is_unknown_is_not() {
        for text in ["", "{", "[]", "{}", "\"pusher:ping\"", r#"{"event":1}"#] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(read(r#"{"event":"client-typing","channel":"c"}"#), Ok(Request::Other));
        assert_eq!(read(r#"{"event":"pusher:ping"}"#), Ok(Request::Ping));
    }

    #[test]
    fn a_wrong_address_gets_the_documented_code() {
        for (target, code) in [
            ("/app/key?protocol=7&client=js", None),
            ("/app/key?client=js&protocol=5", None),
            ("/", Some(4005)),
            ("/application/key?protocol=7", Some(4005)),
            ("/app/other?protocol=7", Some(4001)),
            ("/app/key", Some(4008)),
            ("/app/key?protocol=8", Some(4007)),
            ("/app/key?protocol=x", Some(4007)),
        ] {
            assert_eq!(check_target(target, "key").err().map(|(code, _)| code), code, "{target}");
        }
    }

    #[test]
    fn the_data_of_an_event_is_text_even_where_it_is_json() {
        let Message::Text(text) = event("ORDER_CREATED", "c", r#"{"n":0.10}"#) else { panic!("not text") };
        let parsed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["data"], r#"{"n":0.10}"#);
    }
}
