//! What is taken out, what stays to the byte, and what is no pointer.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn redact(pointers: &[&str], order: &str) -> String {
    let redaction = Redaction::parse(pointers).unwrap();
    String::from_utf8(redaction.apply(order.as_bytes()).unwrap().into_owned()).unwrap()
}

#[test]
fn named_values_become_null_and_every_other_byte_stays() {
    let order = r#" { "id":"a", "ipAddress" : "1.2.3.4" ,"n":1.10, "big":1234567890123456789012345678901234567890,
        "e":1E-7,"cardPaymentData":{"pgData":{"x":[1,{"y":2}]}},"u":"\u00e9\/" } "#;
    let expected = r#" { "id":"a", "ipAddress" : null ,"n":1.10, "big":1234567890123456789012345678901234567890,
        "e":1E-7,"cardPaymentData":{"pgData":null},"u":"\u00e9\/" } "#;
    assert_eq!(redact(&["/ipAddress", "/cardPaymentData/pgData", "/none", "/id/x"], order), expected);
}

#[test]
fn pointers_reach_as_rfc_6901_has_it() {
    for (pointer, order, expected) in [
        ("/a", r#"{"a":{"b":1}}"#, r#"{"a":null}"#),
        ("/a/b", r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"b":null,"c":2}}"#),
        ("/a/1", r#"{"a":[1,2,3]}"#, r#"{"a":[1,null,3]}"#),
        ("/a/1", r#"{"a":{"1":2}}"#, r#"{"a":{"1":null}}"#),
        ("/a/01", r#"{"a":[1,2,3]}"#, r#"{"a":[1,2,3]}"#),
        ("/a/9", r#"{"a":[1,2,3]}"#, r#"{"a":[1,2,3]}"#),
        ("/", r#"{"":1,"a":2}"#, r#"{"":null,"a":2}"#),
        ("/a~1b", r#"{"a/b":1,"a":{"b":2}}"#, r#"{"a/b":null,"a":{"b":2}}"#),
        ("/m~0n", r#"{"m~n":1}"#, r#"{"m~n":null}"#),
        ("/~01", r#"{"~1":1,"/":2}"#, r#"{"~1":null,"/":2}"#),
        ("/k\"l", r#"{"k\"l":1}"#, r#"{"k\"l":null}"#),
        ("/\u{e9}", r#"{"\u00e9":1,"é":2}"#, r#"{"\u00e9":null,"é":null}"#),
        ("/a", "[1]", "[1]"),
        ("/0", "[1]", "[null]"),
        ("/a", "1", "1"),
    ] {
        assert_eq!(redact(&[pointer], order), expected, "{pointer}");
    }
}

#[test]
fn a_star_stands_for_every_element_and_member() {
    let order =
        r#"{"statusHistories":[{"message":"name, wallet","status":"X"},{"status":"Y"},{"message":7}],"s":1}"#;
    let expected =
        r#"{"statusHistories":[{"message":null,"status":"X"},{"status":"Y"},{"message":null}],"s":1}"#;
    assert_eq!(redact(&["/statusHistories/*/message"], order), expected);
    assert_eq!(redact(&["/a/*"], r#"{"a":{"x":1,"*":[2]},"b":3}"#), r#"{"a":{"x":null,"*":null},"b":3}"#);
    assert_eq!(
        redact(&["/*/x", "/a/y"], r#"{"a":{"x":1,"y":2,"z":3},"b":{"x":4,"y":5}}"#),
        r#"{"a":{"x":null,"y":null,"z":3},"b":{"x":null,"y":5}}"#
    );
}

#[test]
fn a_key_that_stands_twice_is_redacted_twice() {
    assert_eq!(redact(&["/a"], r#"{"a":1,"b":2,"a":{"c":3}}"#), r#"{"a":null,"b":2,"a":null}"#);
    assert_eq!(redact(&["/a"], r#"{"\u0061":1,"a":2}"#), r#"{"\u0061":null,"a":null}"#);
}

#[test]
fn overlapping_pointers_redact_the_wider_place_once() {
    assert_eq!(redact(&["/a/b", "/a", "/a/*", "/a"], r#"{"a":{"b":1},"c":2}"#), r#"{"a":null,"c":2}"#);
}

#[test]
fn without_a_hit_the_very_same_bytes_come_back() {
    let order = br#"{"a":1}"#;
    for redaction in [Redaction::default(), Redaction::parse(&["/b"]).unwrap()] {
        assert!(matches!(redaction.apply(order), Ok(Cow::Borrowed(same)) if same.as_ptr() == order.as_ptr()));
    }
}

#[test]
fn what_is_not_json_never_passes() {
    let redaction = Redaction::parse(&["/a"]).unwrap();
    for order in ["", "{", r#"{"a":1"#, r#"{"a":1}}"#, "{'a':1}", "{\"a\":01}", "\u{feff}{}", "nul"] {
        assert_eq!(redaction.apply(order.as_bytes()), Err(NotJson), "{order}");
    }
    assert_eq!(redaction.apply(b"{\"a\":\"\xff\"}"), Err(NotJson));
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let _ = redaction.apply(deep.as_bytes());
}

#[test]
fn what_is_no_pointer_is_refused() {
    use InvalidRedaction::{Everything, NotAPointer, Nul, PastTheEnd, TooLong, TooMany};
    for (pointer, why) in [
        ("", Everything),
        ("/*", Everything),
        ("a", NotAPointer),
        ("#/a", NotAPointer),
        ("$.a", NotAPointer),
        ("/a~", NotAPointer),
        ("/a~2b", NotAPointer),
        ("/~/a", NotAPointer),
        ("/statusHistories/-/message", PastTheEnd),
        ("/-", PastTheEnd),
        ("/a\0b", Nul),
        (&"/a".repeat(MAX_DEPTH + 1), TooLong),
        (&format!("/{}", "a".repeat(MAX_LENGTH)), TooLong),
    ] {
        assert_eq!(Redaction::parse(&[pointer]), Err(why), "{pointer}");
    }
    assert_eq!(Redaction::parse(&vec!["/a"; MAX_POINTERS + 1]), Err(TooMany));
    assert!(Redaction::parse(&vec!["/a"; MAX_POINTERS]).is_ok());
    assert!(Redaction::parse(&["/a".repeat(MAX_DEPTH)]).is_ok());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        "[a-c~/*é\"]{0,3}".prop_map(Value::from),
        Just(Value::Null),
        any::<bool>().prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-c~/0-2]{0,2}", inner, 0..5).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    /// Compared with serde_json's own reading of pointers, written by others.
    #[test]
    fn it_agrees_with_serde_json_on_every_pointer(mut order in any_json(), pointer in "(/[a-c0-2]{0,2}|/~0|/~1|/0){1,3}") {
        let redacted = redact(&[&pointer], &order.to_string());
        if let Some(place) = order.pointer_mut(&pointer) {
            *place = Value::Null;
        }
        prop_assert_eq!(serde_json::from_str::<Value>(&redacted).unwrap(), order);
    }

    #[test]
    fn any_text_is_a_pointer_or_refused_without_a_panic(pointer in "\\PC*") {
        if let Ok(redaction) = Redaction::parse(&[pointer]) {
            let applied = redaction.apply(br#"{"a":[{"b":1}]}"#);
            prop_assert!(applied.is_ok());
        }
    }
}
