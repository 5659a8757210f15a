//! The values that bodies and parameters are made of: parsed and bounded when read, and described in OpenAPI.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, SecondsFormat, SubsecRound as _, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::model::amount::Amount;
use crate::model::credentials::CredentialsState;
use crate::model::delivery::DeliveryState;
use crate::model::endpoint::{EndpointState, PayloadFormat, SignatureVersion};
use crate::model::event::Source;
use crate::model::gap::GapState;
use crate::model::id::{
    AttemptId, DeliveryId, EndpointId, EventId, GapId, PartnerId, QuarantineId, RecoveryId, TokenId, WatchId,
};
use crate::model::order::Product;
use crate::model::partner::Environment;
use crate::model::quarantine::Reason;
use crate::model::recovery::{RecoveryScope, RecoveryState};
use crate::model::token::Scope;

/// A time as it is written: RFC 3339 with milliseconds, UTC. One that was read is whole microseconds, as the database
/// keeps it: what compares here in a way compares there in the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub DateTime<Utc>);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Time {
    /// This time, without what is below a microsecond.
    pub fn whole(time: DateTime<Utc>) -> Self {
        Self(time.trunc_subsecs(6))
    }
}

/// Any offset is read; the year has four digits.
impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let time = DateTime::parse_from_rfc3339(&text).ok().filter(|time| time.timestamp() >= FIRST_SECOND);
        time.map(|time| Self::whole(time.to_utc()))
            .ok_or_else(|| de::Error::custom("must be a time of RFC 3339, like 2026-04-04T13:11:47.260Z"))
    }
}

/// The year 1; what came before has another calendar in Postgres.
const FIRST_SECOND: i64 = -62_135_596_800;

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        string("RFC 3339, in UTC with milliseconds.")
            .format(Some(SchemaFormat::Custom("date-time".to_owned())))
            .examples(["2026-04-04T13:11:47.260Z"])
            .into()
    }
}

impl ToSchema for Time {}

/// A text of 1 to `MAX` characters that is not blank and holds no NUL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<const MAX: usize>(pub String);

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        check_text(&text, MAX).map_err(de::Error::custom)?;
        Ok(Self(text))
    }
}

fn check_text(text: &str, max: usize) -> Result<(), String> {
    if text.contains('\0') {
        return Err("must not hold NUL (\\u0000)".to_owned());
    }
    if text.trim().is_empty() || text.chars().count() > max {
        return Err(format!("must be 1 to {max} characters and not blank"));
    }
    Ok(())
}

/// A secret that goes in and never comes out: up to 8192 visible ASCII characters, as it must fit into a header.
#[derive(Debug, Clone)]
pub struct Secret(pub SecretString);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || text.len() > 8192 || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(de::Error::custom("must be 1 to 8192 visible ASCII characters without spaces"));
        }
        Ok(Self(SecretString::from(text)))
    }
}

/// JSON as it was kept, byte for byte.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Raw(Box<RawValue>);

impl Raw {
    /// `None` for what is not JSON.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        RawValue::from_string(String::from_utf8(bytes).ok()?).ok().map(Self)
    }

    /// `{}`.
    pub fn empty() -> Self {
        Self::from_bytes(b"{}".to_vec()).expect("an empty object is JSON")
    }

    /// `None` for what is not JSON.
    pub fn from_text(text: String) -> Option<Self> {
        Self::from_bytes(text.into_bytes())
    }
}

/// Names and values, in their order, a name that stands twice included.
#[derive(Clone, Default)]
pub struct Pairs(pub Vec<(String, String)>);

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pairs(..)")
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn string(description: &str) -> ObjectBuilder {
    Object::builder().schema_type(Type::String).description(Some(description))
}

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        let types = SchemaType::from_iter([Type::Number, Type::String]);
        let description =
            "An amount, digit for digit as it came: a number, or a string where Transak wrote one.";
        ObjectBuilder::new().schema_type(types).description(Some(description)).examples(["0.01759347"]).into()
    }
}

impl ToSchema for Amount {}

macro_rules! enum_schemas {
    ($($name:ident: $what:literal, $values:expr;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                string($what).enum_values(Some($values)).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

enum_schemas! {
    Product: "What is bought or sold.", ["BUY", "SELL", "NFT"];
    Source: "Where it was heard: Transak's stream, its webhook, or its REST API asked by the relay.",
        ["stream", "webhook", "reconcile"];
    Reason: "Why it is in quarantine. `no_token`: the partner has no access token to verify it with. `no_token_fits`: \
        none of its access tokens verifies the signature; both are tried again by themselves when a token is given. \
        `not_signed`: it is no signed message. `other_algorithm`: it is signed with another algorithm than Transak's. \
        `unreadable`: it is verified, or needs no signature, and cannot be read. `no_partner`: it belongs to no known \
        partner. `refused`: the database refuses the event that it makes.",
        ["no_token", "no_token_fits", "not_signed", "other_algorithm", "unreadable", "no_partner", "refused"];
    Environment: "Which of Transak's worlds the API key belongs to.", ["STAGING", "PRODUCTION"];
    CredentialsState: "What is known of a partner's credentials. `unchecked`: Transak has not answered yet. `valid`: it accepts \
        them. `mismatched`: it accepts the access token, which names another API key. `invalid`: it refuses them, or there are none.",
        ["unchecked", "valid", "mismatched", "invalid"];
    Scope: "What a token may do: everything, change one partner's things, or read them.", ["admin", "write", "read"];
    EndpointState: "Whether callbacks are sent. While it is `disabled`, deliveries are held.", ["enabled", "disabled"];
    PayloadFormat: "The body of callbacks: `standard` is `{type, timestamp, data}`, `transak` is `{data: <JWT>}` as \
        Transak's own webhooks.", ["standard", "transak"];
    SignatureVersion: "How callbacks are signed: `v1` is HMAC-SHA256 with the endpoint's secret, `v1a` is Ed25519, checked with \
        its public key.", ["v1", "v1a"];
    DeliveryState: "`pending`: being sent or waiting for its next try. `succeeded`: answered with 2xx. `exhausted`: \
        all tries failed. `held`: the endpoint is disabled. `cancelled`: the endpoint was deleted, or it was a test that failed.",
        ["pending", "succeeded", "exhausted", "held", "cancelled"];
    RecoveryScope: "`failed`: what was given up. `missing`: what the endpoint asks for and was never owed. `all`: \
        everything it asks for or was ever owed, delivered or not.", ["failed", "missing", "all"];
    RecoveryState: "`running`: deliveries are still being owed. `finished`: all are owed. `cancelled`: it was \
        cancelled, or its endpoint was deleted.", ["running", "finished", "cancelled"];
    GapState: "`open`: the stream is still not heard. `waiting`: it is over, and the next try to read what was missed has its \
        time. `repairing`: what was missed is being read from Transak. `repaired`: all that Transak tells of it was read.",
        ["open", "waiting", "repairing", "repaired"];
}

macro_rules! id_schemas {
    ($($id:ident: $what:literal;)*) => {$(
        impl PartialSchema for $id {
            fn schema() -> RefOr<Schema> {
                string(concat!("The id of ", $what, "."))
                    .pattern(Some(format!("^{}_[0-9a-f]{{32}}$", $id::PREFIX)))
                    .examples([format!("{}_019e5a3c7d1b7c42a1f00d5e6b7c8d9e", $id::PREFIX)])
                    .into()
            }
        }

        impl ToSchema for $id {}
    )*};
}

id_schemas! {
    PartnerId: "a partner";
    EndpointId: "an endpoint";
    EventId: "an event; the `webhook-id` of its callbacks";
    DeliveryId: "a delivery";
    AttemptId: "an attempt";
    TokenId: "a token";
    QuarantineId: "a quarantined message";
    WatchId: "a watch";
    GapId: "a gap";
    RecoveryId: "a recovery";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Time {
        serde_json::from_value(text.into()).unwrap()
    }

    #[test]
    fn times_that_are_one_microsecond_in_the_database_are_one_when_they_are_read() {
        assert_eq!(read("2026-04-04T13:11:47.2600001Z"), read("2026-04-04T13:11:47.2600009Z"));
        assert!(read("2026-04-04T13:11:47.260000Z") < read("2026-04-04T13:11:47.260001Z"));
        assert_eq!(read("1965-04-04T13:11:47.2600009Z"), read("1965-04-04T13:11:47.26Z"));
    }
}
