//! The name of a channel.
//!
//! Guarantees: a [`Channel`] holds only what Pusher accepts as a name, so it can be put into a frame as it is.
//! Does not guarantee: that the server lets us in. `private-` and `presence-` names need a signature which this client
//! does not make; such a name is a valid [`Channel`] that is never confirmed.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A channel name: 1 to 164 of `A-Z a-z 0-9 _ - = @ , . ;` (Pusher's documentation, "Channel naming conventions").
///
/// Cloning it copies a pointer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel(Arc<str>);

/// A text that cannot be the name of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChannel {
    /// The name is empty or longer than [`Channel::MAX_LEN`].
    #[error("must have 1 to {max} characters", max = Channel::MAX_LEN)]
    Length,
    /// The name holds a character outside the allowed set.
    #[error("may only hold A-Z a-z 0-9 _ - = @ , . ;")]
    Character,
}

impl Channel {
    /// The longest name, in characters. Some servers accept 200, Pusher documents 164.
    pub const MAX_LEN: usize = 164;

    /// The name as it stands in a frame.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Channel {
    type Err = InvalidChannel;

    fn from_str(name: &str) -> Result<Self, InvalidChannel> {
        if name.is_empty() || name.len() > Self::MAX_LEN {
            return Err(InvalidChannel::Length);
        }
        if name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-=@,.;".contains(&b)) {
            Ok(Self(Arc::from(name)))
        } else {
            Err(InvalidChannel::Character)
        }
    }
}

/// The channels to be subscribed to, all of them, in two ranks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Channels {
    /// Subscribed first, whatever waits of the others.
    pub first: BTreeSet<Channel>,
    /// The others: however many of them are never confirmed, they neither hold up those that are first nor cost a
    /// connection.
    pub then: BTreeSet<Channel>,
}

impl Channels {
    /// Whether a channel is one of them.
    pub fn contains(&self, channel: &Channel) -> bool {
        self.first.contains(channel) || self.then.contains(channel)
    }

    /// All of them, those that are first first.
    pub fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.first.iter().chain(&self.then)
    }
}

impl FromIterator<Channel> for Channels {
    fn from_iter<I: IntoIterator<Item = Channel>>(channels: I) -> Self {
        Self { first: channels.into_iter().collect(), then: BTreeSet::new() }
    }
}

impl Borrow<str> for Channel {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_character_is_accepted_up_to_the_documented_length() {
        let all = "ABCXYZabcxyz0189_-=@,.;";
        assert_eq!(all.parse::<Channel>().unwrap().as_str(), all);
        assert!("a".repeat(164).parse::<Channel>().is_ok());
    }

    #[test]
    fn an_empty_a_long_and_a_strange_name_are_refused() {
        assert_eq!("".parse::<Channel>(), Err(InvalidChannel::Length));
        assert_eq!("a".repeat(165).parse::<Channel>(), Err(InvalidChannel::Length));
        for name in ["a b", "a/b", "a:b", "#a", "ä", "a\n", "a\"b"] {
            assert_eq!(name.parse::<Channel>(), Err(InvalidChannel::Character), "{name}");
        }
    }
}
