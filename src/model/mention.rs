//! Which orders a message speaks of, whatever it was packed into and however much of it can be read.
//!
//! A message that could not be read or believed is kept as it came. Whether it is about an order that is to be erased is
//! told by what it says: a member `id` or `orderId` whose whole value is the order's id. Bytes that merely look like the
//! id are not enough, for an id may be as short as one letter.
//!
//! Guarantees: JSON in a string in JSON is opened, the payload of a signed message is, and what was cut off is read as far
//! as it goes. Nothing is verified.
//! Does not find: an order that is named by another member, or behind more wrappings than [`DEPTH`].

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// How many wrappings are opened: a frame, its data, the signed message in it, and what that wraps.
const DEPTH: u32 = 8;

/// The last group of what was cut may have bits to spare.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Whether a message speaks of an order.
pub fn speaks_of(message: &[u8], order_id: &str) -> bool {
    speaks_of_any(message, &|id| id == order_id)
}

/// Whether a message speaks of one of some orders.
pub fn speaks_of_any(message: &[u8], is_one: &dyn Fn(&str) -> bool) -> bool {
    text_speaks_of(&String::from_utf8_lossy(message), is_one, DEPTH)
}

fn text_speaks_of(text: &str, is_one: &dyn Fn(&str) -> bool, depth: u32) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    if let Some(payload) = signed_payload(text.trim()) {
        return text_speaks_of(&String::from_utf8_lossy(&payload), is_one, depth);
    }
    let (mut rest, mut names_order) = (text, false);
    while let Some((token, behind)) = next_token(rest) {
        rest = behind;
        match token {
            Token::Text(name) if behind.trim_start().starts_with(':') => {
                names_order = matches!(&*name, "id" | "orderId");
                continue;
            }
            Token::Text(value) if names_order && is_one(&value) => return true,
            Token::Text(value) if text_speaks_of(&value, is_one, depth) => return true,
            Token::Number(digits) if names_order && is_one(digits) => return true,
            Token::Text(_) | Token::Number(_) => {}
        }
        names_order = false;
    }
    false
}

enum Token<'a> {
    /// What stands between two quotation marks, unescaped; between one and the end, if it was cut off.
    Text(Cow<'a, str>),
    Number(&'a str),
}

/// The next text or number, and what is behind it.
fn next_token(text: &str) -> Option<(Token<'_>, &str)> {
    let start = text.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit())?;
    let text = &text[start..];
    let Some(quoted) = text.strip_prefix('"') else {
        let end =
            text.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(text.len());
        return Some((Token::Number(&text[..end]), &text[end..]));
    };
    let mut escaped = false;
    let end = quoted.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let (inside, behind) = end.map_or((quoted, ""), |end| (&quoted[..end], &quoted[end + 1..]));
    Some((Token::Text(unescaped(inside)), behind))
}

/// What an escaped text says; what cannot be unescaped, because it was cut within an escape, without its end.
fn unescaped(inside: &str) -> Cow<'_, str> {
    if !inside.contains('\\') {
        return Cow::Borrowed(inside);
    }
    let read = |text: &str| serde_json::from_str::<String>(&format!("\"{text}\""));
    // The longest escape is a pair of six characters each.
    let whole = (0..=12).filter_map(|cut| inside.get(..inside.len().checked_sub(cut)?));
    whole.map(read).find_map(Result::ok).map_or(Cow::Borrowed(inside), Cow::Owned)
}

/// The payload of what looks like a signed message (three parts in base64, the last of them or its end perhaps missing).
fn signed_payload(text: &str) -> Option<Vec<u8>> {
    let rest = text.strip_prefix("ey")?;
    let payload = rest.split('.').nth(1)?;
    let plain: String = payload
        .chars()
        .filter(|&c| c != '=')
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            other => other,
        })
        .collect();
    // A single character of a group says nothing.
    let whole = plain.len() - usize::from(plain.len() % 4 == 1);
    LENIENT.decode(plain.get(..whole)?).ok()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn signed(claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", encode(r#"{"alg":"HS256"}"#), encode(claims), encode("signature"))
    }

    /// A message of these claims in a packing.
    fn packed(claims: &str, packing: usize) -> String {
        let frame = |data: &str| json!({"event": "x", "channel": "KEY", "data": data}).to_string();
        match packing {
            0 => claims.to_owned(),
            1 => signed(claims),
            2 => json!(signed(claims)).to_string(),
            3 => json!({ "data": signed(claims) }).to_string(),
            4 => frame(&signed(claims)),
            5 => frame(claims),
            6 => frame(&json!({ "data": signed(claims) }).to_string()),
            _ => signed(
                &json!({"webhookData": serde_json::from_str::<serde_json::Value>(claims).unwrap()})
                    .to_string(),
            ),
        }
    }

    #[test]
    fn an_id_of_one_letter_is_found_where_it_is_the_id_and_nowhere_else() {
        assert!(speaks_of(br#"{"id":"e","status":"PROCESSING"}"#, "e"));
        assert!(speaks_of(br#"{ "orderId" : "\u0065" }"#, "e"));
        assert!(speaks_of(br#"{"id":17}"#, "17"));
        for other in [
            r#"{"id":"one","status":"e"}"#,
            r#"{"id":"ee","userId":"e"}"#,
            r#"{"id":{"id2":"e"},"e":"id"}"#,
            r#"{"id":["x"],"y":"e"}"#,
            "garbage that is a frame of nobody e",
            "e",
            "",
        ] {
            assert!(!speaks_of(other.as_bytes(), "e"), "{other}");
        }
    }

    #[test]
    fn what_was_cut_off_behind_the_id_is_still_about_the_order() {
        let id = "aa39d8e1-0000-4000-8000-00000000ce7f";
        let claims = format!(r#"{{"id":"{id}","status":"X","fill":"{}"}}"#, "x".repeat(300));
        for packing in 0..7 {
            let message = packed(&claims, packing);
            let cut = &message[..message.len() - 100];
            assert!(speaks_of(cut.as_bytes(), id), "{packing}: {cut}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn an_order_is_found_in_every_packing_and_no_other_is(
            id in r#"[a-zA-Z0-9"\\é_-]{1,40}"#, other in "[a-z0-9-]{1,8}", fill in "[ -~]{0,60}", packing in 0_usize..8,
        ) {
            let claims = json!({"fill": fill, "id": id, "status": "PROCESSING", "note": other}).to_string();
            let message = packed(&claims, packing);
            prop_assert!(speaks_of(message.as_bytes(), &id), "{message}");
            let named_in_fill = speaks_of(fill.as_bytes(), &other);
            prop_assert!(other == id || named_in_fill || !speaks_of(message.as_bytes(), &other), "{message}");
        }

        #[test]
        fn whatever_comes_is_looked_through_to_its_end(message in proptest::collection::vec(any::<u8>(), 0..300)) {
            speaks_of(&message, "e");
        }
    }
}
