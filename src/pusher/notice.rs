//! What the stream tells its consumer.
//!
//! `Debug` of these types is safe to log: it shows sizes, never payloads.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};

use super::{Channel, Data, Reason};

/// One thing the consumer should know. Times are the relay's own clock, in UTC.
#[derive(Clone, PartialEq, Eq)]
pub enum Notice {
    /// A message was published on a channel we want.
    Event {
        /// The channel it was published on.
        channel: Channel,
        /// The event's name as it came. On a partner's channel it need not be an `ORDER_` name.
        event: String,
        /// The payload as it was published.
        data: Data,
        /// When it arrived.
        at: DateTime<Utc>,
    },
    /// Something arrived that is not a frame of the protocol. The connection stays.
    Unreadable {
        /// What arrived; cut at [`max_message_bytes`](super::Settings::max_message_bytes).
        raw: Vec<u8>,
        /// What is wrong with it, as a phrase.
        reason: &'static str,
        /// When it arrived.
        at: DateTime<Utc>,
    },
    /// The channel is heard from now on.
    Confirmed {
        /// The channel.
        channel: Channel,
        /// When the server confirmed it.
        at: DateTime<Utc>,
    },
    /// The server does not confirm the channel; it is tried again from time to time.
    Refused {
        /// The channel.
        channel: Channel,
        /// When we gave up for now.
        at: DateTime<Utc>,
    },
    /// A confirmed channel was taken off the wanted set: nothing of it is heard any more.
    Left {
        /// The channel.
        channel: Channel,
        /// When it was unsubscribed.
        at: DateTime<Utc>,
    },
    /// A confirmed channel is not heard any more, and not because it was taken off the wanted set.
    Lost {
        /// The channel.
        channel: Channel,
        /// When something was last received: what was published since may be lost.
        since: DateTime<Utc>,
        /// When the loss was noticed.
        at: DateTime<Utc>,
        /// Why.
        reason: Reason,
    },
    /// The connection's state changed.
    State(State),
}

/// The state of the connection. Its `Display` is a plain sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A connection is being made.
    Connecting,
    /// The server has greeted us; subscriptions are under way or done.
    Connected {
        /// Since when.
        since: DateTime<Utc>,
    },
    /// The last connection ended; the next attempt is due.
    BackingOff {
        /// When the next attempt is made.
        until: DateTime<Utc>,
        /// Why the last connection ended.
        reason: Reason,
    },
    /// The server said that trying again is pointless. Somebody must look; one slow probe goes on.
    Fatal {
        /// What the server said, 4000 to 4099.
        code: u16,
        /// The same as a reason.
        reason: Reason,
        /// When the next probe is made.
        until: DateTime<Utc>,
    },
    /// We were told to stop, and did.
    Stopped,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |at: &DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        match self {
            Self::Connecting => f.write_str("the stream is connecting"),
            Self::Connected { since } => write!(f, "the stream is connected since {}", time(since)),
            Self::BackingOff { until, reason } => {
                write!(f, "the stream is down: {reason}; next attempt at {}", time(until))
            }
            Self::Fatal { reason, until, .. } => {
                write!(f, "the stream is refused: {reason}; next probe at {}", time(until))
            }
            Self::Stopped => f.write_str("the stream is stopped"),
        }
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { channel, event, data, .. } => f
                .debug_struct("Event")
                .field("channel", channel)
                .field("event", event)
                .field("data", data)
                .finish(),
            Self::Unreadable { raw, reason, .. } => {
                f.debug_struct("Unreadable").field("raw_bytes", &raw.len()).field("reason", reason).finish()
            }
            Self::Confirmed { channel, .. } => f.debug_tuple("Confirmed").field(channel).finish(),
            Self::Refused { channel, .. } => f.debug_tuple("Refused").field(channel).finish(),
            Self::Left { channel, .. } => f.debug_tuple("Left").field(channel).finish(),
            Self::Lost { channel, since, at, reason } => f
                .debug_struct("Lost")
                .field("channel", channel)
                .field("since", since)
                .field("at", at)
                .field("reason", reason)
                .finish(),
            Self::State(state) => f.debug_tuple("State").field(state).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_a_payload() {
        let channel: Channel = "KEY".parse().unwrap();
        let at = DateTime::UNIX_EPOCH;
        let data = Data::Text("name@example.com".to_owned());
        let event = Notice::Event { channel, event: "ORDER_CREATED".to_owned(), data, at };
        let unreadable = Notice::Unreadable { raw: b"name@example.com".to_vec(), reason: "not JSON", at };
        let shown = format!("{event:?} {unreadable:?}");
        assert!(!shown.contains("example") && !shown.contains("110, 97"), "{shown}");
        assert!(shown.contains("ORDER_CREATED") && shown.contains("16"), "{shown}");
    }

    #[test]
    fn a_state_reads_as_a_sentence() {
        let until = DateTime::UNIX_EPOCH;
        let state = State::BackingOff { until, reason: Reason::Code(4100) };
        assert_eq!(
            state.to_string(),
            "the stream is down: the server is over capacity (code 4100); next attempt at 1970-01-01T00:00:00.000Z"
        );
    }
}
