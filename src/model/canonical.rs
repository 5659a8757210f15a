//! One text for all spellings of a JSON value: keys sorted, white space gone, literals as they came.
//!
//! Used to hash payloads that carry no `updatedAt`. Numbers are not normalised: `1.0` and `1` differ, because a binary
//! float on the way could make different amounts equal.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Deeper values are taken as they are: each level costs stack, and a stranger chooses how many there are.
const DEEPEST: usize = 64;

/// Appends the canonical text of `value`. Of a key that comes twice the last one counts, as for most readers. What cannot
/// be taken apart (half a surrogate pair, too deep a nesting) is taken as it is.
pub fn write(value: &RawValue, out: &mut Vec<u8>) {
    write_at(value, out, 0);
}

fn write_at(value: &RawValue, out: &mut Vec<u8>, depth: usize) {
    let text = value.get();
    match text.as_bytes().first().filter(|_| depth < DEEPEST) {
        Some(b'{') => match serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
            Ok(members) => write_object(&members, out, depth),
            Err(_) => out.extend_from_slice(text.as_bytes()),
        },
        Some(b'[') => match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(items) => write_array(&items, out, depth),
            Err(_) => out.extend_from_slice(text.as_bytes()),
        },
        Some(b'"') => match serde_json::from_str::<String>(text) {
            Ok(string) => write_string(&string, out),
            Err(_) => out.extend_from_slice(text.as_bytes()),
        },
        _ => out.extend_from_slice(text.as_bytes()),
    }
}

fn write_object(members: &BTreeMap<String, &RawValue>, out: &mut Vec<u8>, depth: usize) {
    out.push(b'{');
    for (at, (name, member)) in members.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        write_at(member, out, depth + 1);
    }
    out.push(b'}');
}

fn write_array(items: &[&RawValue], out: &mut Vec<u8>, depth: usize) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_at(item, out, depth + 1);
    }
    out.push(b']');
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, text).expect("a string always serialises into memory");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        let mut out = Vec::new();
        write(serde_json::from_str(text).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn order_and_spacing_do_not_matter() {
        assert_eq!(
            canonical(r#"{ "b": [1, {"z":1,"y":"\u0061"}], "a": null }"#),
            r#"{"a":null,"b":[1,{"y":"a","z":1}]}"#
        );
        assert_eq!(
            canonical(r#"{"a":null,"b":[1,{"y":"a","z":1}]}"#),
            r#"{"a":null,"b":[1,{"y":"a","z":1}]}"#
        );
    }

    #[test]
    fn numbers_stay_as_they_came() {
        assert_eq!(canonical(r#"{"n": 1.10e2}"#), r#"{"n":1.10e2}"#);
    }
}
