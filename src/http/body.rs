//! Reading JSON bodies, so that what is wrong is said of the field it is wrong in.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use super::object::Object;
use super::problem::{FieldError, Problem};

/// A JSON body.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

/// A JSON body that may be left out, or null.
#[derive(Debug, Clone, Copy)]
pub struct OptionalJson<T>(pub T);

/// The body of an operation that takes none: nothing, or an object without members.
#[derive(Debug, Clone, Copy)]
pub struct NoBody;

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        parse(&read(request, state).await?).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = read_optional(request, state).await?;
        parse_optional(&bytes).map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}

        let bytes = read_optional(request, state).await?;
        parse_optional::<Nothing>(&bytes).map(|_| Self)
    }
}

/// Reads a body that is empty or says it is JSON to its end.
pub async fn read_optional<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let is_json = is_json(request.headers());
    let bytes = Bytes::from_request(request, state).await.map_err(|error| unread(&error))?;
    if is_json || bytes.is_empty() { Ok(bytes) } else { Err(Problem::UnsupportedMediaType) }
}

/// Reads one JSON object, or nothing, or null.
pub fn parse_optional<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.is_empty() {
        return Ok(T::default());
    }
    Ok(parse_value::<Option<Object<T>>>(bytes)?.map_or_else(T::default, |Object(value)| value))
}

/// The largest body, in bytes.
pub const MAX_BODY: usize = 1 << 20;

/// How much of a body that is too large is read and thrown away: most clients send everything before they listen, and
/// one whose connection is closed meanwhile never hears why.
const HEARD_OUT: u64 = 32 << 20;

/// The middleware that refuses a body which says that it is too large.
pub async fn refuse_too_large(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length: u64 = length.and_then(|length| length.parse().ok()).unwrap_or_default();
    if length <= MAX_BODY as u64 {
        return next.run(request).await;
    }
    // Who waits for a 100 (Continue) listens already.
    if length <= HEARD_OUT && !request.headers().contains_key(header::EXPECT) {
        let mut rest = request.into_body().into_data_stream();
        while let Some(Ok(_)) = rest.next().await {}
    }
    Problem::BodyTooLarge.into_response()
}

/// Reads a body that says it is JSON to its end.
pub async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let is_json = is_json(request.headers());
    let bytes = Bytes::from_request(request, state).await.map_err(|error| unread(&error))?;
    if is_json { Ok(bytes) } else { Err(Problem::UnsupportedMediaType) }
}

/// `application/json` and what is built on it, with or without parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn unread(error: &BytesRejection) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::BodyTooLarge
    } else {
        Problem::MalformedBody("it could not be read to its end".to_owned())
    }
}

/// Reads one JSON object and nothing behind it.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    parse_value::<Object<T>>(bytes).map(|Object(value)| value)
}

fn parse_value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        refused(&path, &error.into_inner())
    })?;
    json.end().map_err(|error| refused("", &error))?;
    Ok(value)
}

fn refused(path: &str, error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    // The place is of use for syntax; a field has a name instead.
    let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
    if what.starts_with("recursion limit") {
        return Problem::field("body", "must not be nested so deep");
    }
    if !error.is_data() {
        return Problem::MalformedBody(format!(
            "{} (line {}, column {})",
            syntax(what),
            error.line(),
            error.column()
        ));
    }
    Problem::Validation(vec![field_error(path, what)])
}

/// The parser's words for syntax errors, without what was sent.
fn syntax(what: &str) -> &str {
    if what.starts_with("invalid unicode") || what.contains("surrogate") {
        "it is not valid Unicode"
    } else {
        what
    }
}

/// Finds the field that serde's words are about.
pub fn field_error(path: &str, what: &str) -> FieldError {
    let parent = if path == "." { "" } else { path };
    for (prefix, detail) in [
        ("unknown field `", "is not known here"),
        ("duplicate field `", "must be given once"),
        ("missing field `", "is required"),
    ] {
        if let Some((name, _)) = what.strip_prefix(prefix).and_then(|rest| rest.split_once('`')) {
            return FieldError::new(join(parent, name), detail);
        }
    }
    let field = if parent.is_empty() { "body" } else { parent };
    FieldError::new(field, expectation(what))
}

fn join(parent: &str, name: &str) -> String {
    let name: String = name.chars().take(100).collect();
    if parent.is_empty() || parent == name || parent.ends_with(&format!(".{name}")) {
        if parent.is_empty() { name } else { parent.to_owned() }
    } else {
        format!("{parent}.{name}")
    }
}

/// `invalid type: string "x", expected u32` says what was sent, which may be a secret: only the end is repeated.
fn expectation(what: &str) -> String {
    match what.split_once(", expected ") {
        Some((_, expected)) if what.starts_with("invalid ") => format!("must be {expected}"),
        _ if what.starts_with("unknown variant") => match what.split_once("`, expected ") {
            Some((_, expected)) => format!("must be {expected}"),
            None => "is not one of the known values".to_owned(),
        },
        _ => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::http::field::Text;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read matters")]
    struct Sample {
        name: Text<5>,
        seconds: Option<Vec<u32>>,
        inner: Option<Object<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read matters")]
    struct Inner {
        deep: u8,
    }

    fn wrong(body: &str) -> FieldError {
        match parse::<Sample>(body.as_bytes()) {
            Err(Problem::Validation(mut errors)) => errors.remove(0),
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
    fn what_takes_no_body_takes_an_empty_object_too() {
        #[derive(Debug, Default, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}

        for body in ["", "null", "{}", " {} "] {
            assert_eq!(parse_optional::<Nothing>(body.as_bytes()).unwrap(), Nothing {}, "{body}");
        }
        for body in ["[]", "1", r#"{"a":1}"#] {
            let refused = parse_optional::<Nothing>(body.as_bytes());
            assert!(matches!(refused, Err(Problem::Validation(_))), "{body}");
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
            assert!(matches!(parse::<Sample>(body.as_bytes()), Err(Problem::MalformedBody(_))), "{body}");
        }
        assert!(matches!(parse::<Sample>(b"{\"name\":\"\xff\"}"), Err(Problem::MalformedBody(_))));
    }

    #[test]
    fn a_deep_body_is_refused_and_not_followed() {
        let deep = "[".repeat(100_000);
        assert!(parse::<serde_json::Value>(deep.as_bytes()).is_err());
        assert!(parse::<Sample>(format!(r#"{{"name":{deep}"#).as_bytes()).is_err());
    }
}
