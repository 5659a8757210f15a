//! Identifiers. Each kind is its own type, so that a delivery id cannot be passed where an endpoint id is meant.
//!
//! Outside they are opaque: a prefix, `_`, and 32 lower-case hexadecimal digits. Inside they are version 7 UUIDs, so
//! they sort by the time they were made.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidId {
    prefix: &'static str,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be an id of the form {}_ and 32 hexadecimal digits", self.prefix)
    }
}

impl std::error::Error for InvalidId {}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// What every id of this kind begins with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id that sorts after those made before it.
            #[expect(clippy::new_without_default, reason = "every call answers another id")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// Sorts after every id made before this moment and before every one made later.
            pub fn boundary(at: chrono::DateTime<chrono::Utc>) -> Self {
                let ms = u128::try_from(at.timestamp_millis()).unwrap_or(0);
                Self(Uuid::from_u128(ms << 80))
            }

            /// The id as Postgres stores it.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.as_simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse($prefix, text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A partner: the holder of a Transak API key, a tenant.
    PartnerId = "ptr";
    /// A callback URL a partner registered.
    EndpointId = "ep";
    /// One observed change of an order.
    EventId = "evt";
    /// One event owed to one endpoint.
    DeliveryId = "dlv";
    /// One HTTP request of a delivery.
    AttemptId = "att";
    /// An API token.
    TokenId = "tok";
    /// A message that could not be verified or read.
    QuarantineId = "qrn";
    /// A public channel a partner asked to be subscribed to.
    WatchId = "wch";
    /// A span in which the stream was not heard.
    GapId = "gap";
    /// A durable re-delivery job.
    RecoveryId = "rec";
    /// An order that was erased on request.
    ErasureId = "ers";
}

fn parse(prefix: &'static str, text: &str) -> Result<Uuid, InvalidId> {
    let digits = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
    digits
        .filter(|digits| {
            digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        })
        .and_then(|digits| Uuid::try_parse(digits).ok())
        .ok_or(InvalidId { prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let id = EventId::new();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().starts_with("evt_"));
    }

    #[test]
    fn another_kind_or_form_is_refused() {
        let id = EventId::new();
        for text in
            ["", "evt_", "evt_x", &id.to_string().to_uppercase(), &id.uuid().to_string(), &format!("{id}0")]
        {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
        assert!(id.to_string().parse::<DeliveryId>().is_err());
    }

    #[test]
    fn a_boundary_lies_between_the_ids_before_and_after() {
        let now = chrono::Utc::now();
        let id = EventId::new();
        assert!(EventId::boundary(now) <= id);
        assert!(EventId::boundary(now + chrono::TimeDelta::seconds(10)) > id);
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let ids: Vec<_> = (0..1000).map(|_| EventId::new().to_string()).collect();
        assert!(ids.is_sorted());
    }
}
