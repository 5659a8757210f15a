//! Members of a JSON object, as tolerant as any reader of JSON: of a key that comes twice the last one counts, escapes in
//! keys are read, and `null` is as good as absent.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What the text says, without the byte order mark that some writers begin with. `None`: it is no JSON.
pub fn read(text: &[u8]) -> Option<Box<RawValue>> {
    serde_json::from_slice(text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)).ok()
}

/// The members of these names; `None`: it is no object.
pub(super) fn pick<'a, const N: usize>(
    object: &'a RawValue,
    names: &[&str; N],
) -> Option<[Option<&'a RawValue>; N]> {
    serde_json::Deserializer::from_str(object.get()).deserialize_map(Picked(names)).ok()
}

/// All members by name; `None`: it is no object.
pub(super) fn members(object: &RawValue) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(object.get()).ok()
}

/// The text of a JSON string; `None` for any other value, and for text a table cannot hold.
pub(super) fn text(value: Option<&RawValue>) -> Option<String> {
    let text: String = serde_json::from_str(value?.get()).ok()?;
    (!text.contains('\0')).then_some(text)
}

/// A text, or a whole number as it is written: some writers do not quote ids.
pub(super) fn id(value: Option<&RawValue>) -> Option<String> {
    let number = value.map(RawValue::get).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    number.map(str::to_owned).or_else(|| text(value))
}

struct Picked<'n, const N: usize>(&'n [&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Picked<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut picked = [None; N];
        while let Some(place) = map.next_key_seed(Place(self.0))? {
            match place.and_then(|at| picked.get_mut(at)) {
                Some(member) => {
                    let value: &RawValue = map.next_value()?;
                    *member = (value.get() != "null").then_some(value);
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(picked)
    }
}

/// Which of the names a key is.
struct Place<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| *name == key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(text: &str) -> Option<[Option<String>; 2]> {
        let value: Box<RawValue> = read(text.as_bytes())?;
        pick(&value, &["id", "status"])
            .map(|members| members.map(|member| member.map(|raw| raw.get().to_owned())))
    }

    #[test]
    fn of_a_key_that_comes_twice_the_last_one_counts() {
        assert_eq!(picked(r#"{"id":1,"x":[{"id":2}],"id":3}"#), Some([Some("3".to_owned()), None]));
        assert_eq!(picked(r#"{"id":1,"id":null}"#), Some([None, None]));
    }

    #[test]
    fn escapes_white_space_and_a_byte_order_mark_do_not_matter() {
        let text = "\u{feff} { \"\\u0069d\" : 1 ,\n\"status\":\"a\" } ";
        assert_eq!(picked(text), Some([Some("1".to_owned()), Some("\"a\"".to_owned())]));
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in ["[]", "1", "\"{}\"", "null"] {
            assert_eq!(picked(text), None, "{text}");
        }
    }

    #[test]
    fn an_id_may_be_a_whole_number() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        assert_eq!(id(Some(&raw("12345678901234567890123"))).as_deref(), Some("12345678901234567890123"));
        for other in ["1.0", "-1", "1e3", "true", "[1]"] {
            assert_eq!(id(Some(&raw(other))), None, "{other}");
        }
    }
}
