//! Every number of the protocol machine in one place, so that tests and the sandbox can shorten them.

use std::time::Duration;

use crate::model::coverage;

/// How long each step may take and how long to wait before the next. [`Timing::default`] is for production.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From the start of a connection attempt to the open WebSocket: [`CONNECT`].
    pub connect: Duration,
    /// From the open WebSocket to `pusher:connection_established`: [`ESTABLISH`].
    pub establish: Duration,
    /// Silence after which we ask for a sign of life: [`ACTIVITY`].
    pub activity: Duration,
    /// The least silence a server may make us ask after: [`ACTIVITY_FLOOR`].
    pub activity_floor: Duration,
    /// How long this side may read nothing, because its process or its machine stood still, before what is read then may be
    /// old: [`STANDSTILL`].
    pub standstill: Duration,
    /// How long the answer to a ping may take: [`PONG`].
    pub pong: Duration,
    /// How long the confirmation of a subscription may take: [`CONFIRM`].
    pub confirm: Duration,
    /// How often an unconfirmed subscription is sent again: [`RESENDS`].
    pub resends: u32,
    /// Subscriptions that may be unconfirmed at one time: [`BURST`].
    pub burst: usize,
    /// Pause before a refused channel is tried again: [`REFUSED_RETRY`].
    pub refused_retry: Duration,
    /// How long a connection must stand before its predecessors' failures are forgotten: [`STABLE`].
    pub stable: Duration,
    /// The widest random pause before reconnecting "immediately": [`PROMPT`].
    pub prompt: Duration,
    /// The shortest back-off: [`BACKOFF_FLOOR`].
    pub backoff_floor: Duration,
    /// The longest back-off: [`BACKOFF_CEILING`].
    pub backoff_ceiling: Duration,
    /// Pause between probes while the server says that we must not reconnect: [`FATAL_PROBE`].
    pub fatal_probe: Duration,
    /// How long a `pusher:error` explains a following bare drop: [`ERROR_MEMORY`].
    pub error_memory: Duration,
    /// How long the farewell may take when we are told to stop: [`CLOSE`].
    pub close: Duration,
}

/// Name resolution, TCP, TLS and HTTP to a far region take well under 2 s; 10 s rides out one lost SYN or two.
pub const CONNECT: Duration = Duration::from_secs(10);
/// The server sends it unasked as its first frame; later than this it will not come.
pub const ESTABLISH: Duration = Duration::from_secs(10);
/// Less than the protocol's default of two minutes: what is published on a connection that has gone mute is missed until
/// that is found out. A ping is a few bytes.
pub const ACTIVITY: Duration = coverage::PROOF_INTERVAL;
/// A server that says 0 must not make us ping in a loop.
pub const ACTIVITY_FLOOR: Duration = Duration::from_secs(10);
/// Half of what a gap reaches beyond what is unproven, and far more than a busy machine needs for a turn.
pub const STANDSTILL: Duration = Duration::from_secs(1);
/// An answer takes a round trip, and rides out a lost packet or two.
pub const PONG: Duration = Duration::from_secs(10);
/// A refused subscription is often answered by nothing at all, so only a deadline tells.
pub const CONFIRM: Duration = Duration::from_secs(10);
/// With [`CONFIRM`]: after 40 s without an answer the channel is given up for a while, or, if nothing at all was confirmed,
/// the connection.
pub const RESENDS: u32 = 3;
/// Few enough that the last of a burst is answered well within [`CONFIRM`], many enough that 10,000 channels need
/// 20 round trips.
pub const BURST: usize = 500;
/// A refusal is healed by a person, not by insisting; but what was healed is not heard until it is tried again.
pub const REFUSED_RETRY: Duration = Duration::from_mins(1);
/// Longer than any close-on-connect loop, shorter than a deploy of the server.
pub const STABLE: Duration = Duration::from_secs(30);
/// Spreads many clients of one restarting server without costing events.
pub const PROMPT: Duration = Duration::from_millis(250);
/// The protocol demands at least 1 s for 4100-4199.
pub const BACKOFF_FLOOR: Duration = Duration::from_secs(1);
/// Nothing published meanwhile can be had back, so the longest pause stays short.
pub const BACKOFF_CEILING: Duration = Duration::from_secs(30);
/// "Do not reconnect unchanged", yet a disabled app or an exceeded quota is healed by its owner, unannounced.
pub const FATAL_PROBE: Duration = Duration::from_mins(1);
/// The error frame and the drop leave the server together. Longer, and an error that a server sends while carrying on
/// would too often be taken for the reason of an accident.
pub const ERROR_MEMORY: Duration = Duration::from_secs(1);
/// A server that does not answer a close is not worth a slow shutdown.
pub const CLOSE: Duration = Duration::from_secs(2);

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: CONNECT,
            establish: ESTABLISH,
            activity: ACTIVITY,
            activity_floor: ACTIVITY_FLOOR,
            standstill: STANDSTILL,
            pong: PONG,
            confirm: CONFIRM,
            resends: RESENDS,
            burst: BURST,
            refused_retry: REFUSED_RETRY,
            stable: STABLE,
            prompt: PROMPT,
            backoff_floor: BACKOFF_FLOOR,
            backoff_ceiling: BACKOFF_CEILING,
            fatal_probe: FATAL_PROBE,
            error_memory: ERROR_MEMORY,
            close: CLOSE,
        }
    }
}
