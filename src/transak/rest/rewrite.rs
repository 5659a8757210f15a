//! Setting two texts of a JSON object without touching any other byte of it.

use serde_json::value::RawValue;

use crate::model::members::Members;

/// The object with these members set to texts: replaced wherever they stand, twice included, or added at the end.
/// `None`: it is no JSON object.
pub(super) fn set(object: &RawValue, texts: &[(&str, &str)]) -> Option<String> {
    let whole = object.get();
    let Members(members): Members<&RawValue> = serde_json::from_str(whole).ok()?;
    let mut out = String::with_capacity(whole.len() + 64);
    let mut kept = 0;
    for (name, value) in &members {
        let Some((_, text)) = texts.iter().find(|(wanted, _)| wanted == name) else { continue };
        // Both borrow from the same text, so the distance between them is the place of the one within the other.
        let start = value.get().as_ptr().addr() - whole.as_ptr().addr();
        out.push_str(&whole[kept..start]);
        out.push_str(&json_text(text));
        kept = start + value.get().len();
    }
    let end = whole.rfind('}')?;
    out.push_str(&whole[kept..end]);
    let mut is_empty = members.is_empty();
    for (name, text) in texts.iter().filter(|(wanted, _)| members.iter().all(|(name, _)| name != wanted)) {
        if !std::mem::take(&mut is_empty) {
            out.push(',');
        }
        out.push_str(&json_text(name));
        out.push(':');
        out.push_str(&json_text(text));
    }
    out.push_str(&whole[end..]);
    Some(out)
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(object: &str) -> Option<String> {
        set(serde_json::from_str(object).unwrap(), &[("status", "NEW"), ("updatedAt", "then")])
    }

    #[test]
    fn only_the_named_values_change() {
        let order = r#"{ "a" : 1.10e2, "status":"OLD" ,"updatedAt" : null, "x":{"status":"OLD"}, "z":"}" }"#;
        let expected =
            r#"{ "a" : 1.10e2, "status":"NEW" ,"updatedAt" : "then", "x":{"status":"OLD"}, "z":"}" }"#;
        assert_eq!(rewritten(order).unwrap(), expected);
    }

    #[test]
    fn what_is_missing_is_added_and_what_stands_twice_is_set_twice() {
        let twice = r#"{"status":1,"st\u0061tus":[{}]}"#;
        assert_eq!(rewritten(twice).unwrap(), r#"{"status":"NEW","st\u0061tus":"NEW","updatedAt":"then"}"#);
        assert_eq!(rewritten("{}").unwrap(), r#"{"status":"NEW","updatedAt":"then"}"#);
        assert_eq!(rewritten(r#"{"a":1 }"#).unwrap(), r#"{"a":1 ,"status":"NEW","updatedAt":"then"}"#);
    }

    #[test]
    fn texts_are_escaped() {
        let object: &RawValue = serde_json::from_str(r#"{"a":1}"#).unwrap();
        assert_eq!(set(object, &[("a", "\"\\\n")]).unwrap(), r#"{"a":"\"\\\n"}"#);
    }

    #[test]
    fn another_value_than_an_object_is_none() {
        assert_eq!(rewritten("[1]"), None);
        assert_eq!(rewritten("\"}\""), None);
    }
}
