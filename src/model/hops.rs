//! How many relays a message has come through.
//!
//! A callback of one relay may end at the ingest of another, or of the same one under another partner. Each adds one to
//! the header [`HEADER`], and none takes what has come through more than [`MOST`]: relays that were set up in a circle
//! stop by themselves.
//! Does not guarantee: anything where somebody between two relays takes the header away.

use http::{HeaderMap, HeaderName, HeaderValue};

/// What callbacks say it in.
pub const HEADER: HeaderName = HeaderName::from_static("transak-relay-hops");

/// The most relays: a chain on purpose has two or three.
pub const MOST: u8 = 5;

/// A count of relays; 0: straight from Transak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hops(u8);

/// More than [`MOST`], or no count at all. Nobody but a relay sends the header, so what cannot be read is a loop too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has come through too many relays")]
pub struct TooManyHops;

impl Hops {
    /// Reads the count from the headers of a request; without the header it is 0.
    pub fn of(headers: &HeaderMap) -> Result<Self, TooManyHops> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(Self(0)) };
        let text = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let count = text.and_then(|text| text.parse().ok()).filter(|count| *count <= MOST);
        count.filter(|_| values.next().is_none()).map(Self).ok_or(TooManyHops)
    }

    /// What a callback about the message says.
    pub fn next(self) -> HeaderValue {
        u16::from(self.0.saturating_add(1)).into()
    }

    /// As it is stored.
    pub fn count(self) -> i16 {
        self.0.into()
    }

    /// What was stored. A count that is none is one that lets nothing further through.
    pub fn from_stored(count: i16) -> Self {
        Self(u8::try_from(count).unwrap_or(u8::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Hops, TooManyHops> {
        let pairs = values.iter().map(|value| (HEADER, HeaderValue::from_str(value).unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        Hops::of(&headers)
    }

    #[test]
    fn each_relay_adds_one_until_the_next_would_be_one_too_many() {
        let mut hops = read(&[]).unwrap();
        for relays in 1..=MOST {
            let said = hops.next();
            assert_eq!(said, relays.to_string().as_str());
            hops = read(&[said.to_str().unwrap()]).unwrap();
            assert_eq!(Hops::from_stored(hops.count()), hops);
        }
        assert_eq!(read(&[hops.next().to_str().unwrap()]), Err(TooManyHops));
    }

    #[test]
    fn what_is_no_count_is_refused() {
        for values in [
            &["6"][..],
            &[""],
            &["-1"],
            &["+1"],
            &["1.0"],
            &["0x1"],
            &[" 1"],
            &["1, 1"],
            &["1", "1"],
            &["99999999999"],
        ] {
            assert_eq!(read(values), Err(TooManyHops), "{values:?}");
        }
        assert_eq!(read(&["0"]), Ok(Hops::default()));
    }
}
