//! Names of Pusher channels.
//!
//! Source: Pusher's "Channels" documentation (`pusher.com/docs/channels/using_channels/channels`).

/// The longest name, prefix included.
pub const LONGEST: usize = 164;

/// The prefixes by which Pusher tells channels that need authorisation, or answer otherwise than plain ones.
const RESERVED: [&str; 4] = ["private-", "presence-", "cache-", "#"];

/// Whether a plain, public channel can have this name.
pub fn is_channel_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_-=@,.;".contains(&b);
    (1..=LONGEST).contains(&name.len())
        && name.bytes().all(fits)
        && !RESERVED.iter().any(|prefix| name.starts_with(prefix))
}

/// The API keys that a channel could be made with: a partner's own reference stands behind its key and a `_`, and both
/// may hold one.
pub fn key_parts(channel: &str) -> impl Iterator<Item = &str> {
    channel.match_indices('_').map(|(at, _)| &channel[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_a_channel_could_be_made_with_is_found() {
        assert_eq!(key_parts("a_b_c").collect::<Vec<_>>(), ["a", "a_b"]);
        assert_eq!(key_parts("order-1").count(), 0);
    }

    #[test]
    fn only_names_that_pusher_accepts_are_channel_names() {
        for name in ["a", "aa39d8e1-7a1b", "KEY_order@1,2.3;4=5", &"x".repeat(164)] {
            assert!(is_channel_name(name), "{name}");
        }
        for name in [
            "",
            "a b",
            "a/b",
            "a:b",
            "ü",
            "a\0",
            "private-x",
            "presence-x",
            "cache-x",
            "#x",
            &"x".repeat(165),
        ] {
            assert!(!is_channel_name(name), "{name}");
        }
    }
}
