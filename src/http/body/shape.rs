//! What is wrong with the shape of a body, by its own schema in the OpenAPI document: every fault at once, in the words of
//! JSON.
//!
//! Guarantees: what is said here is never about a value, only about its kind, so nothing secret is repeated.
//! Does not guarantee to find everything: what a schema does not say is left to whoever reads the value. It is asked only
//! about bodies that could not be read.

use std::collections::HashMap;

use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::problem::FieldError;
use crate::http::suggest::did_you_mean;

/// The most faults that are told.
const TOLD: usize = 20;

/// The faults of a body that should be a `T`.
pub(super) fn faults<T: ToSchema>(body: &Map<String, Value>) -> Vec<FieldError> {
    let mut named = Vec::new();
    T::schemas(&mut named);
    let json = |schema| serde_json::to_value(schema).unwrap_or_default();
    let named = named.into_iter().map(|(name, schema)| (name, json(schema))).collect();
    let mut search = Search { named, faults: Vec::new() };
    let schema = json(T::schema());
    search.look_at_members(&search.follow(&schema).0.clone(), body, "");
    search.faults
}

struct Search {
    /// The schemas that others refer to.
    named: HashMap<String, Value>,
    faults: Vec<FieldError>,
}

/// A value, where it stands, and what the schema around it says of it.
struct Place<'a> {
    path: String,
    value: &'a Value,
    /// `milliseconds`, where a number counts something.
    unit: Option<&'static str>,
}

impl Search {
    fn say(&mut self, path: &str, detail: impl Into<String>) {
        if self.faults.len() < TOLD {
            self.faults.push(FieldError::new(path, detail));
        }
    }

    /// The schema that is meant, and whether null is as good.
    fn follow<'a>(&'a self, schema: &'a Value) -> (&'a Value, bool) {
        let (mut schema, mut nullable) = (schema, false);
        loop {
            nullable |= types(schema).any(|name| name == "null");
            let named = schema.get("$ref").and_then(Value::as_str).and_then(|to| to.rsplit('/').next());
            let choice = schema.get("oneOf").and_then(Value::as_array);
            if let Some(found) = named.and_then(|name| self.named.get(name)) {
                schema = found;
            } else if let Some(choice) = choice {
                let is_null = |one: &&Value| one.get("type").is_some_and(|name| name == "null");
                nullable |= choice.iter().any(|one| is_null(&one));
                match choice.iter().find(|one| !is_null(one)) {
                    Some(one) => schema = one,
                    None => return (schema, nullable),
                }
            } else {
                return (schema, nullable);
            }
        }
    }

    fn look_at(&mut self, schema: &Value, place: &Place<'_>) {
        let (schema, nullable) = self.follow(schema);
        let schema = schema.clone();
        if place.value.is_null() && nullable {
            return;
        }
        let unit = unit(&schema).or(place.unit);
        let wrong =
            misfit(&schema, place.value, (unit, nullable)).or_else(|| out_of_bounds(&schema, place.value));
        if let Some(detail) = wrong {
            self.say(&place.path, detail);
            return;
        }
        match (place.value, schema.get("items")) {
            (Value::Object(members), _) => self.look_at_members(&schema, members, &place.path),
            (Value::Array(values), Some(items)) => {
                for (at, value) in values.iter().enumerate() {
                    self.look_at(items, &Place { path: format!("{}[{at}]", place.path), value, unit });
                }
            }
            _ => {}
        }
    }

    fn look_at_members(&mut self, schema: &Value, members: &Map<String, Value>, path: &str) {
        let none = Map::new();
        let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str).filter(|name| !members.contains_key(*name)) {
            self.say(&inside(path, name), "is required");
        }
        for (name, value) in members {
            let place = Place { path: inside(path, name), value, unit: None };
            match (known.get(name), schema.get("additionalProperties")) {
                (Some(schema), _) | (None, Some(schema @ Value::Object(_))) => self.look_at(schema, &place),
                (None, Some(Value::Bool(false))) => {
                    let meant = did_you_mean(name, known.keys().map(String::as_str));
                    self.say(&place.path, format!("is not known here{meant}"));
                }
                _ => {}
            }
        }
    }
}

fn inside(path: &str, name: &str) -> String {
    let name: String = name.chars().take(100).collect();
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let given = schema.get("type");
    let several = given.and_then(Value::as_array).into_iter().flatten();
    given.filter(|one| one.is_string()).into_iter().chain(several).filter_map(Value::as_str)
}

/// What a number counts, where its description begins with that.
fn unit(schema: &Value) -> Option<&'static str> {
    let description = schema.get("description").and_then(Value::as_str)?;
    match description.split_whitespace().next()? {
        "Milliseconds" => Some("milliseconds"),
        "Seconds" => Some("seconds"),
        _ => None,
    }
}

/// A value of another kind than the schema asks for.
fn misfit(schema: &Value, value: &Value, (unit, nullable): (Option<&str>, bool)) -> Option<String> {
    let wanted = types(schema).find(|name| *name != "null")?;
    let fits = match value {
        Value::Null => false,
        Value::Bool(_) => wanted == "boolean",
        Value::String(_) => wanted == "string",
        Value::Array(_) => wanted == "array",
        Value::Object(_) => wanted == "object",
        Value::Number(number) => wanted == "number" || (wanted == "integer" && !number.is_f64()),
    };
    if fits {
        return None;
    }
    let of = unit.map(|unit| format!(" of {unit}")).unwrap_or_default();
    let or_null = if nullable && !value.is_null() { " or null" } else { "" };
    Some(format!("must be {}{of}{or_null}, not {}", in_words(wanted), kind(value)))
}

fn in_words(wanted: &str) -> &str {
    match wanted {
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "an object",
        _ => "a string",
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction or an exponent",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value of the right kind that is none of the known ones, too small, too large, too short or too long.
fn out_of_bounds(schema: &Value, value: &Value) -> Option<String> {
    let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
    match value {
        Value::String(text) => {
            let known = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
            let known: Vec<_> = known.filter_map(Value::as_str).collect();
            if known.is_empty() {
                let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
                return outside(length, (bound("minLength"), bound("maxLength")), " characters");
            }
            let meant = || did_you_mean(text, known.iter().copied());
            (!known.contains(&text.as_str()))
                .then(|| format!("must be one of {}{}", known.join(", "), meant()))
        }
        Value::Number(number) => outside(
            number.as_i64().unwrap_or(if number.is_u64() { i64::MAX } else { return None }),
            (bound("minimum"), bound("maximum")),
            "",
        ),
        Value::Array(values) => {
            let length = i64::try_from(values.len()).unwrap_or(i64::MAX);
            outside(length, (bound("minItems"), bound("maxItems")), " elements")
        }
        _ => None,
    }
}

fn outside(number: i64, (least, most): (Option<i64>, Option<i64>), of: &str) -> Option<String> {
    let fits = least.is_none_or(|least| least <= number) && most.is_none_or(|most| number <= most);
    match (least, most) {
        _ if fits => None,
        (Some(least), Some(most)) => Some(format!("must be from {least} to {most}{of}")),
        (Some(least), None) => Some(format!("must be {least} or more{of}")),
        (_, most) => Some(format!("must be at most {}{of}", most.unwrap_or_default())),
    }
}
