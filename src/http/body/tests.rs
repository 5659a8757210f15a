//! Bodies that are wrong, and what is said of them.

use serde::Deserialize;

use super::*;
use crate::http::field::Text;
use crate::model::order::Product;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it can be read matters")]
struct Sample {
    #[schema(value_type = String, min_length = 1, max_length = 5)]
    name: Text<5>,
    /// Seconds to wait.
    #[schema(value_type = Option<Vec<i32>>)]
    seconds: Option<Vec<u32>>,
    #[schema(value_type = Option<Inner>)]
    inner: Option<Object<Inner>>,
    product: Option<Product>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it can be read matters")]
struct Inner {
    deep: u8,
}

fn wrong(body: &str) -> FieldError {
    all_wrong(body).remove(0)
}

fn read<T: serde::de::DeserializeOwned + ToSchema>(body: &[u8]) -> Result<T, Problem> {
    read::parse_judging(body, |_| Vec::new())
}

fn all_wrong(body: &str) -> Vec<FieldError> {
    match read::<Sample>(body.as_bytes()) {
        Err(Problem::Validation(errors)) => errors,
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn the_field_is_named_whatever_is_wrong_with_it() {
    for (body, field) in [
        ("{}", "name"),
        (r#"{"name":1}"#, "name"),
        (r#"{"name":null}"#, "name"),
        (r#"{"name":"a","name":"b"}"#, "name"),
        (r#"{"name":"a\u0000"}"#, "name"),
        (r#"{"name":" "}"#, "name"),
        (r#"{"name":"sixsix"}"#, "name"),
        (r#"{"name":"a","what":1}"#, "what"),
        (r#"{"name":"a","seconds":[1,"2"]}"#, "seconds[1]"),
        (r#"{"name":"a","seconds":[1,-2]}"#, "seconds[1]"),
        (r#"{"name":"a","inner":{"deep":1,"x":2}}"#, "inner.x"),
        (r#"{"name":"a","inner":{}}"#, "inner.deep"),
        (r#"{"name":"a","inner":[1]}"#, "inner"),
        ("[]", "body"),
        (r#"["a",null,null]"#, "body"),
        ("null", "body"),
    ] {
        assert_eq!(wrong(body).field, field, "{body}");
    }
}

#[test]
fn a_wrong_value_is_not_repeated() {
    let secret = wrong(r#"{"name":"a","seconds":"s3cret"}"#);
    assert!(!secret.detail.contains("s3cret"), "{secret:?}");
}

#[test]
fn what_is_not_json_is_malformed() {
    for body in ["", "{", "{'name':1}", r#"{"name":"a"} x"#, "\u{0}", r#"{"name":"\ud800"}"#] {
        assert!(matches!(read::<Sample>(body.as_bytes()), Err(Problem::MalformedBody(_))), "{body}");
    }
    assert!(matches!(read::<Sample>(b"{\"name\":\"\xff\"}"), Err(Problem::MalformedBody(_))));
}

#[test]
fn a_deep_body_is_refused_and_not_followed() {
    let deep = "[".repeat(100_000);
    assert!(read::<serde_json::Value>(deep.as_bytes()).is_err());
    assert!(read::<Sample>(format!(r#"{{"name":{deep}"#).as_bytes()).is_err());
}

#[test]
fn everything_that_is_wrong_is_said_at_once_in_the_words_of_json() {
    let body = r#"{"nmae":"a","seconds":["5s",1.5,2],"inner":{"deep":true,"deeep":1},"product":"sell"}"#;
    let said: Vec<_> = all_wrong(body).into_iter().map(|error| (error.field, error.detail)).collect();
    let said: Vec<_> = said.iter().map(|(field, detail)| (field.as_str(), detail.as_str())).collect();
    assert_eq!(
        said,
        [
            ("name", "is required"),
            ("inner.deeep", "is not known here; did you mean `deep`?"),
            ("inner.deep", "must be a whole number, not true or false"),
            ("nmae", "is not known here; did you mean `name`?"),
            ("product", "must be one of BUY, SELL, NFT; did you mean `SELL`?"),
            ("seconds[0]", "must be a whole number of seconds, not a string"),
            ("seconds[1]", "must be a whole number of seconds, not a number with a fraction or an exponent"),
        ]
    );
}

#[test]
fn what_serde_says_alone_is_in_the_words_of_json_too() {
    for (what, detail) in [
        ("invalid type: string \"x\", expected i32", "must be a whole number"),
        ("invalid type: integer `1`, expected a boolean", "must be true or false"),
        ("invalid type: integer `1`, expected a sequence", "must be a list"),
        ("invalid type: null, expected struct Inner", "must be an object"),
        (
            "unknown variant `sell`, expected one of `BUY`, `SELL`, `NFT`",
            "must be one of BUY, SELL, NFT; did you mean `SELL`?",
        ),
    ] {
        assert_eq!(field_error("field", what).detail, detail);
    }
}
