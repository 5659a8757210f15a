//! From bytes to a value, or to what is wrong with them. Nothing of what was sent is repeated but the names of fields: a
//! value may be a secret.

use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Input, Object, shape};
use crate::http::Api;
use crate::http::problem::{FieldError, Problem};
use crate::http::suggest::did_you_mean;

/// Reads one JSON object and nothing behind it.
pub fn parse<T: Input>(bytes: &[u8], api: &Api) -> Result<T, Problem> {
    parse_judging(bytes, |rest| T::judge(rest, api))
}

/// Reads one JSON object, or nothing, or null.
pub fn parse_optional<T: Input + Default>(bytes: &[u8], api: &Api) -> Result<T, Problem> {
    let is_null = bytes.trim_ascii() == b"null";
    if bytes.is_empty() || is_null { Ok(T::default()) } else { parse(bytes, api) }
}

pub(super) fn parse_judging<T: DeserializeOwned + ToSchema>(
    bytes: &[u8],
    judge: impl FnOnce(&[u8]) -> Vec<FieldError>,
) -> Result<T, Problem> {
    let read = parse_value::<Object<T>>(bytes).map(|Object(value)| value);
    read.map_err(|problem| and_all_others::<T>(problem, bytes, judge))
}

/// Adds to the first thing that is wrong everything else that is.
fn and_all_others<T: ToSchema>(
    problem: Problem,
    bytes: &[u8],
    judge: impl FnOnce(&[u8]) -> Vec<FieldError>,
) -> Problem {
    let Problem::Validation(first) = problem else { return problem };
    let Ok(Value::Object(mut body)) = serde_json::from_slice(bytes) else {
        return Problem::Validation(first);
    };
    let mut errors = shape::faults::<T>(&body);
    let is_said = |error: &FieldError| errors.iter().any(|one| top(&one.field) == top(&error.field));
    let unsaid: Vec<_> = first.into_iter().filter(|error| !is_said(error)).collect();
    errors.extend(unsaid);
    body.retain(|name, _| errors.iter().all(|error| top(&error.field) != name));
    let rest = Value::Object(body).to_string();
    let known: Vec<_> = errors.iter().map(|error| error.field.clone()).collect();
    errors.extend(judge(rest.as_bytes()).into_iter().filter(|error| !known.contains(&error.field)));
    Problem::Validation(errors)
}

/// The member of the body that a field is, or is in.
fn top(field: &str) -> &str {
    field.split(['.', '[']).next().unwrap_or(field)
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
        if let Some((name, rest)) = what.strip_prefix(prefix).and_then(|rest| rest.split_once('`')) {
            let meant = did_you_mean(name, quoted(rest));
            return FieldError::new(join(parent, name), format!("{detail}{meant}"));
        }
    }
    let field = if parent.is_empty() { "body" } else { parent };
    FieldError::new(field, expectation(what))
}

/// The names that stand between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn join(parent: &str, name: &str) -> String {
    let name: String = name.chars().take(100).collect();
    if parent.is_empty() || parent == name || parent.ends_with(&format!(".{name}")) {
        if parent.is_empty() { name } else { parent.to_owned() }
    } else {
        format!("{parent}.{name}")
    }
}

/// `invalid type: string "x", expected u32` says what was sent: only the end is repeated, in JSON's words.
fn expectation(what: &str) -> String {
    match what.split_once(", expected ") {
        Some((_, expected)) if what.starts_with("invalid ") => format!("must be {}", in_json(expected)),
        Some((given, expected)) if what.starts_with("unknown variant `") => {
            let given = given.trim_start_matches("unknown variant `").trim_end_matches('`');
            let known: Vec<_> = quoted(expected).collect();
            format!("must be one of {}{}", known.join(", "), did_you_mean(given, known.iter().copied()))
        }
        _ if what.starts_with("unknown variant") => "is not one of the known values".to_owned(),
        _ => what.to_owned(),
    }
}

/// What serde calls by the names of Rust.
fn in_json(expected: &str) -> &str {
    match expected {
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ if expected.starts_with("a string") || expected.starts_with("string") => "a string",
        _ => expected,
    }
}
