//! The one connection there is, or is not: what it brings and what is written to it.
//!
//! Guarantees: reading never waits for writing, so a server that does not read us is still read; waiting can be
//! cancelled at any time without losing anything.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{FutureExt as _, Sink as _, Stream as _};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

use super::connect::{Stream, Target};
use super::scanner::Kind;

/// The most messages that wait to be written. Enough to leave 20,000 channels at once; more means that the server
/// does not read.
const MAX_OUTGOING: usize = 20_000;

/// What the protocol calls a close frame without a code.
const NO_CODE: u16 = 1005;

type Opening = Pin<Box<dyn Future<Output = anyhow::Result<Stream>> + Send>>;

pub(super) enum Link {
    None,
    Opening(Opening),
    Open(Box<Open>),
}

pub(super) struct Open {
    stream: Stream,
    outgoing: VecDeque<Message>,
}

/// What came from the connection. After an end there is no connection any more.
#[derive(Debug)]
pub(super) enum Incoming {
    Opened,
    /// No connection was made, for this reason.
    NotConnected(String),
    Text(Utf8Bytes),
    /// A data message that is no text.
    Unreadable(Bytes, &'static str),
    /// A WebSocket ping or pong.
    Control,
    Closed(u16),
    Dropped,
}

impl Link {
    pub(super) fn open(&mut self, target: Target, secure: bool) {
        *self = Self::Opening(Box::pin(target.open(secure)));
    }

    /// Queues a text message.
    pub(super) fn send(&mut self, text: String) {
        if let Self::Open(open) = self {
            open.outgoing.push_back(Message::text(text));
        }
    }

    /// Says goodbye as far as that takes no time, and drops the connection.
    pub(super) fn close(&mut self) {
        if let Self::Open(mut open) = std::mem::replace(self, Self::None) {
            open.outgoing.clear();
            open.outgoing.push_back(goodbye());
            let _ = poll_fn(|cx| open.poll_write(cx)).now_or_never();
        }
    }

    /// Queues the close frame of a regular end. What the server still sends can be read until its own.
    pub(super) fn begin_close(&mut self) -> bool {
        if let Self::Open(open) = self {
            open.outgoing.push_back(goodbye());
            return true;
        }
        false
    }

    /// Waits for the next thing to happen; for ever if there is no connection.
    pub(super) async fn next(&mut self) -> Incoming {
        let incoming = match self {
            Self::None => std::future::pending().await,
            Self::Opening(opening) => match opening.await {
                Ok(stream) => {
                    *self = Self::Open(Box::new(Open { stream, outgoing: VecDeque::new() }));
                    return Incoming::Opened;
                }
                Err(error) => Incoming::NotConnected(format!("{error:#}")),
            },
            Self::Open(open) => poll_fn(|cx| open.poll(cx)).await,
        };
        if let Incoming::NotConnected(_) | Incoming::Closed(_) | Incoming::Dropped = incoming {
            self.end();
        }
        incoming
    }

    /// The other side has ended it; its close frame is answered as far as that takes no time.
    fn end(&mut self) {
        if let Self::Open(mut open) = std::mem::replace(self, Self::None) {
            open.outgoing.clear();
            let _ = poll_fn(|cx| open.poll_write(cx)).now_or_never();
        }
    }
}

fn goodbye() -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))
}

impl Open {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        if self.outgoing.len() > MAX_OUTGOING {
            tracing::warn!(
                waiting = self.outgoing.len(),
                "the stream's server does not read what it is sent"
            );
            return Poll::Ready(Incoming::Dropped);
        }
        if let Poll::Ready(Err(error)) = self.poll_write(cx) {
            // The reason, a close frame perhaps, may still wait to be read.
            self.outgoing.clear();
            tracing::debug!(error = %error, "writing to the stream failed");
        }
        let message = ready!(Pin::new(&mut self.stream).poll_next(cx));
        Poll::Ready(self.incoming(message))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<tungstenite::Result<()>> {
        let mut stream = Pin::new(&mut self.stream);
        while !self.outgoing.is_empty() {
            ready!(stream.as_mut().poll_ready(cx))?;
            if let Some(message) = self.outgoing.pop_front() {
                stream.as_mut().start_send(message)?;
            }
        }
        stream.poll_flush(cx)
    }

    fn incoming(&mut self, message: Option<tungstenite::Result<Message>>) -> Incoming {
        match message {
            Some(Ok(Message::Binary(bytes))) => self.data(bytes),
            Some(Ok(Message::Close(frame))) => {
                Incoming::Closed(frame.map_or(NO_CODE, |frame| frame.code.into()))
            }
            Some(Ok(_)) => Incoming::Control,
            Some(Err(error)) => {
                tracing::debug!(error = %error, "reading from the stream failed");
                Incoming::Dropped
            }
            None => Incoming::Dropped,
        }
    }

    fn data(&mut self, bytes: Bytes) -> Incoming {
        match self.stream.get_mut().next_kind() {
            Kind::Text => match Utf8Bytes::try_from(bytes.clone()) {
                Ok(text) => Incoming::Text(text),
                Err(_) => Incoming::Unreadable(bytes, "text that is not UTF-8"),
            },
            Kind::Binary => Incoming::Unreadable(bytes, "a binary message"),
            Kind::Cut => Incoming::Unreadable(bytes, "longer than the limit; only the beginning is kept"),
        }
    }
}
