//! The signed text in a message, whichever way it was packed: bare, as a JSON string, or in a member of an object.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::json::{self, members};

/// So deep is it looked for.
const DEEPEST: usize = 4;

/// Finds the signed text: three parts in base64, joined by dots. Of several the one under `data` counts, which is where
/// Transak's webhook has it.
pub fn signed_text(message: &str) -> Option<Cow<'_, str>> {
    let bare = message.trim_start_matches('\u{feff}').trim();
    if is_signed(bare) {
        return Some(Cow::Borrowed(bare));
    }
    let value = json::read(message.as_bytes())?;
    find(&value, DEEPEST).map(Cow::Owned)
}

fn find(value: &RawValue, deepest: usize) -> Option<String> {
    let deeper = deepest.checked_sub(1)?;
    match value.get().as_bytes().first()? {
        b'"' => {
            let text: String = serde_json::from_str(value.get()).ok()?;
            let text = text.trim();
            if is_signed(text) {
                return Some(text.to_owned());
            }
            find(&json::read(text.as_bytes())?, deeper)
        }
        b'{' => {
            let mut members: Vec<_> = members(value)?.into_iter().collect();
            members.sort_by_key(|(name, _)| name != "data");
            members.into_iter().find_map(|(_, value)| find(value, deeper))
        }
        _ => None,
    }
}

fn is_signed(text: &str) -> bool {
    let is_base64 = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte))
    };
    text.split('.').count() == 3 && text.split('.').all(is_base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_text_is_found_in_every_packing() {
        for packed in [
            "a.b.c",
            " a.b.c\n",
            "\u{feff}a.b.c",
            r#""a.b.c""#,
            r#""\"a.b.c\"""#,
            r#"{"data":"a.b.c"}"#,
            "\u{feff}{\"data\":\"a.b.c\"}",
            r#"{"d\u0061ta":"a.b.c"}"#,
            r#"{"data":"old","data":"a.b.c"}"#,
            r#"{"data":{"data":"a.b.c"}}"#,
            r#"{"token":"a.b.c","version":1}"#,
            r#"{"a":"x.y.z","data":"a.b.c"}"#,
            r#"{"data":"{\"data\":\"a.b.c\"}"}"#,
        ] {
            assert_eq!(signed_text(packed).as_deref(), Some("a.b.c"), "{packed}");
        }
    }

    #[test]
    fn what_is_not_signed_is_not_taken_for_it() {
        for text in
            ["", "a.b", "a..c", "a.b.c.d", "{}", r#"{"data":{"id":"o"}}"#, r#"["a.b.c"]"#, "1.5", "\u{0}"]
        {
            assert_eq!(signed_text(text), None, "{text}");
        }
    }
}
