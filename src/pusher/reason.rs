//! Why a connection ended, and what the protocol wants the client to do next.
//!
//! Source: Pusher's protocol documentation, "Error codes", for the codes and their ranges.

use std::fmt;

/// Why a connection, or a channel on it, was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The server said so: a WebSocket close code, or the code of a `pusher:error` that stands in for one.
    Code(u16),
    /// The connection ended without a word.
    Dropped,
    /// Name resolution, TCP, TLS or the HTTP upgrade failed.
    NotConnected,
    /// The WebSocket did not open in time.
    ConnectTimeout,
    /// The WebSocket opened but the server did not greet in time.
    NotEstablished,
    /// The server was silent and did not answer a ping.
    PongTimeout,
    /// A subscription was sent repeatedly and never confirmed.
    Unconfirmed,
    /// The server withdrew a single channel.
    Refused,
    /// We were told to stop.
    Stopped,
}

/// What to do after a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Connect with TLS instead.
    UseTls,
    /// Reconnecting unchanged is pointless until somebody changes something.
    Fatal(u16),
    /// Reconnect at once.
    AtOnce,
    /// Reconnect after a pause.
    BackOff,
}

impl Reason {
    /// The next step. `secure`: the ended connection was (to be) made with TLS.
    pub(super) fn verdict(self, secure: bool) -> Verdict {
        match self {
            Self::Code(4000) if !secure => Verdict::UseTls,
            Self::Code(code @ 4000..=4099) => Verdict::Fatal(code),
            Self::Code(4200..=4299) => Verdict::AtOnce,
            _ => Verdict::BackOff,
        }
    }

    /// A short name out of a small fixed set, for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Code(4000..=4099) => "code_40xx",
            Self::Code(4100..=4199) => "code_41xx",
            Self::Code(4200..=4299) => "code_42xx",
            Self::Code(_) => "code_other",
            Self::Dropped => "dropped",
            Self::NotConnected => "not_connected",
            Self::ConnectTimeout => "connect_timeout",
            Self::NotEstablished => "not_established",
            Self::PongTimeout => "pong_timeout",
            Self::Unconfirmed => "unconfirmed",
            Self::Refused => "refused",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match self {
            Self::Code(code) => return write!(f, "{} (code {code})", explain(*code)),
            Self::Dropped => "the connection ended without a word",
            Self::NotConnected => "no connection could be made",
            Self::ConnectTimeout => "the connection could not be made in time",
            Self::NotEstablished => "the server did not greet in time",
            Self::PongTimeout => "the server went silent and did not answer a ping",
            Self::Unconfirmed => "the server did not confirm a subscription",
            Self::Refused => "the server refused the channel",
            Self::Stopped => "the relay was told to stop",
        };
        f.write_str(sentence)
    }
}

/// What a code means. The server's own words are never repeated: they are not ours to vouch for.
fn explain(code: u16) -> &'static str {
    match code {
        4000 => "the app accepts only TLS connections",
        4001 => "the app key does not exist in this cluster",
        4003 => "the app is disabled",
        4004 => "the app is over its connection quota",
        4005 => "the server does not know the path",
        4006 => "the server could not read our version",
        4007 => "the server does not speak our protocol version",
        4008 => "the server missed a protocol version",
        4009 => "the connection is not authorized",
        4002 | 4010..=4099 => "the server does not want this connection",
        4100 => "the server is over capacity",
        4101..=4199 => "the server asked to reconnect later",
        4201 => "the server heard no answer to its ping",
        4202 => "the server closed the connection for inactivity",
        4200 | 4203..=4299 => "the server asked to reconnect",
        _ => "the server closed the connection",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_asks_for_what_its_range_says() {
        use Verdict::{AtOnce, BackOff, Fatal, UseTls};
        for code in 4000..=4099 {
            assert_eq!(Reason::Code(code).verdict(true), Fatal(code));
        }
        assert_eq!(Reason::Code(4000).verdict(false), UseTls);
        assert_eq!(Reason::Code(4001).verdict(false), Fatal(4001));
        assert!((4100..=4199).all(|code| Reason::Code(code).verdict(true) == BackOff));
        assert!((4200..=4299).all(|code| Reason::Code(code).verdict(true) == AtOnce));
        for code in [1000, 1001, 1005, 1006, 1011, 3999, 4300, 4301, 4302, 4399, 4400, 4999, 65535] {
            assert_eq!(Reason::Code(code).verdict(true), BackOff, "{code}");
        }
    }

    #[test]
    fn what_is_not_a_code_is_backed_off_from() {
        for reason in [Reason::Dropped, Reason::NotConnected, Reason::PongTimeout, Reason::Unconfirmed] {
            assert_eq!(reason.verdict(true), Verdict::BackOff);
        }
    }

    #[test]
    fn a_reason_reads_as_a_sentence_with_its_code() {
        let text = Reason::Code(4001).to_string();
        assert_eq!(text, "the app key does not exist in this cluster (code 4001)");
    }
}
