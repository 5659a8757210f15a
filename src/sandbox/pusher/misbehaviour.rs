//! Everything a Pusher server can do wrong, as one list, so that a client's answers to it can be shown one by one.

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// How new connections are treated. Codes are those of Pusher's protocol documentation
/// (`pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Misbehaviour {
    /// As it should be.
    #[default]
    None,
    /// The TCP connection is accepted and nothing is ever said.
    Silence,
    /// The TCP connection is accepted and dropped at once.
    Hangup,
    /// A close frame instead of `connection_established`. With 4200 and a client that obeys: a storm.
    CloseAtConnect(u16),
    /// A close frame right after `connection_established`.
    CloseAfterEstablished(u16),
    /// A close frame once this many events were sent on the connection.
    CloseAfter {
        /// Events before the end.
        events: usize,
        /// Code of the close frame.
        code: u16,
    },
    /// `pusher:error` as the first frame; then silence, the socket stays open.
    ErrorFirst(u16),
    /// `pusher:error` right after the first subscription; the session goes on.
    ErrorMidSession(u16),
    /// `connection_established`, `pusher:error`, and the TCP connection is dropped without a close frame.
    ErrorThenDrop(u16),
    /// Subscriptions are neither confirmed nor made.
    NeverConfirm,
    /// From the first ping on, `pusher:ping` or WebSocket ping, the connection is dead air.
    NeverPong,
    /// Every event is sent twice.
    Twice,
}

/// A frame no client should have to expect, sent on connections that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Garbage {
    /// An event whose data has this many bytes.
    Oversized(usize),
    /// A text frame that is not JSON.
    NotJson,
    /// A JSON object without `event`.
    NoEvent,
    /// A binary frame; Pusher has none.
    Binary,
    /// A text frame that is not UTF-8. A WebSocket client must fail the connection (RFC 6455, 8.1).
    InvalidUtf8,
    /// An event of a channel nobody subscribed to.
    Stranger,
}

impl Garbage {
    pub(super) fn frame(self) -> Message {
        match self {
            Self::Oversized(bytes) => super::wire::event("ORDER_CREATED", "oversized", &"x".repeat(bytes)),
            Self::NotJson => Message::text("<html>502 Bad Gateway</html>"),
            Self::NoEvent => Message::text(r#"{"channel":"nobody","data":"{}"}"#),
            Self::Binary => Message::binary(vec![0_u8, 159, 146, 150]),
            Self::InvalidUtf8 => {
                Message::Frame(Frame::message(vec![b'"', 0xff, 0xfe, b'"'], OpCode::Data(Data::Text), true))
            }
            Self::Stranger => super::wire::event("ORDER_CREATED", "not-subscribed-to", "{}"),
        }
    }
}
