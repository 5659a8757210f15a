//! The Pusher Channels protocol, version 7, from the subscriber's side.
//!
//! - [`frame`]: what the frames say. Text in, typed frame out, tolerant of every known server.
//! - [`session`]: what to do about it. A state machine without sockets, tasks or a clock of its own.
//! - [`client`]: the sockets. One task that keeps one connection alive and tells a sink what it hears.
//!
//! Guarantees: a message that arrived is handed to the sink exactly once, with its data byte for byte as published, or
//! is handed over as unreadable; a lost connection is replaced without being asked; each span in which a channel was
//! not heard is bracketed by a [`Notice::Lost`] or [`Notice::Left`] and a [`Notice::Confirmed`].
//! Does not guarantee: that anything published in such a span arrives. The protocol has no history, no acknowledgement
//! and no message ids; it may also repeat or reorder messages around a reconnection.
//!
//! Source: Pusher's "Pusher Channels Protocol" and "Channels" documentation (`pusher.com/docs/channels`).

mod channel;
pub mod client;
pub mod frame;
mod notice;
mod reason;
pub mod session;
pub mod timing;

pub use channel::{Channel, Channels, InvalidChannel};
pub use client::{MAX_MESSAGE_BYTES, Settings, run};
pub use frame::Data;
pub use notice::{Notice, State};
pub use reason::Reason;
pub use timing::Timing;
