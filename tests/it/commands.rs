//! The table of commands against the interface: no operation is forgotten, and no row says what is not so.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use transak_relay::config::operation::{Kind, Operation, Place, Show, operations};
use transak_relay::http;

/// Operations that no row is, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("stream_events", "`events tail` and `listen` follow it: it has no end"),
    ("receive_webhook", "Transak calls it, with what it signed"),
    ("get_webhooks", "Transak's own interface, for clients that are written for it"),
    ("get_health", "`healthcheck` asks it"),
    ("get_readiness", "`healthcheck --ready` asks it"),
    ("get_metrics", "Prometheus reads it"),
];

/// Parameters that no input is, and why.
const NOT_GIVEN: &[(&str, &str)] = &[
    ("limit", "lists: --limit and --all"),
    ("cursor", "lists: --limit and --all"),
    ("idempotency-key", "a command asks once"),
    ("if-match", "a command names what it changes"),
];

/// The document, and one operation in it.
struct Document(Value);

impl Document {
    fn new() -> Self {
        Self(serde_json::to_value(http::openapi()).unwrap())
    }

    fn operations(&self) -> BTreeMap<&str, (&str, &str, &Value)> {
        let paths = self.0["paths"].as_object().unwrap().iter();
        let all = paths.flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.filter(|(_, said)| said.is_object()).map(move |(method, said)| {
                (said["operationId"].as_str().unwrap(), (method.as_str(), path.as_str(), said))
            })
        });
        all.collect()
    }

    fn of(&self, row: &Operation) -> &Value {
        self.operations()[row.id].2
    }

    /// What a schema leads to: through references, and past `null`.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        if let Some(name) = schema["$ref"].as_str() {
            return self.resolved(self.0.pointer(name.trim_start_matches('#')).unwrap());
        }
        let choices = schema["oneOf"].as_array().into_iter().flatten();
        let choice = choices.into_iter().find(|choice| choice["type"] != "null");
        choice.map_or(schema, |choice| self.resolved(choice))
    }

    /// The members of an object, with those of all it consists of.
    fn members(&self, schema: &Value) -> BTreeMap<String, Value> {
        let schema = self.resolved(schema);
        let parts = schema["allOf"].as_array().into_iter().flatten();
        let mut members: BTreeMap<_, _> = parts.flat_map(|part| self.members(part)).collect();
        let own = schema["properties"].as_object().into_iter().flatten();
        members.extend(own.map(|(name, schema)| (name.clone(), self.resolved(schema).clone())));
        members
    }

    fn body(&self, said: &Value) -> Value {
        let schema = &said["requestBody"]["content"]["application/json"]["schema"];
        self.resolved(schema).clone()
    }

    fn answer(&self, said: &Value) -> Value {
        let answers = said["responses"].as_object().unwrap().iter();
        let mut good = answers.filter(|(status, _)| ["201", "202", "200"].contains(&status.as_str()));
        let schema =
            good.next_back().map(|(_, answer)| answer["content"]["application/json"]["schema"].clone());
        self.resolved(&schema.unwrap_or_default()).clone()
    }

    /// The inputs that the interface has: name, whether it is needed, schema.
    fn inputs(&self, row: &Operation) -> BTreeMap<(String, &'static str), (bool, Value)> {
        let said = self.of(row);
        let mut inputs = BTreeMap::new();
        for parameter in said["parameters"].as_array().into_iter().flatten() {
            let (name, place) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
            let place = if place == "path" { "Path" } else { "Query" };
            if NOT_GIVEN.iter().all(|(known, _)| *known != name) {
                let schema = self.resolved(&parameter["schema"]).clone();
                inputs.insert((name.to_owned(), place), (parameter["required"] == true, schema));
            }
        }
        let body = self.body(said);
        let needed: Vec<_> = body["required"].as_array().into_iter().flatten().collect();
        for (name, schema) in self.members(&body) {
            let is_needed = needed.iter().any(|known| **known == name);
            inputs.remove(&(name.clone(), "Query"));
            let inner = self.members(&schema);
            if inner.is_empty() {
                inputs.insert((name, "Body"), (is_needed, schema));
            } else {
                // What is needed within what may be left out may be left out.
                let inner = inner.into_iter().map(|(inner, schema)| (format!("{name}.{inner}"), schema));
                inputs.extend(inner.map(|(name, schema)| ((name, "Body"), (false, schema))));
            }
        }
        inputs
    }
}

#[test]
fn every_operation_of_the_interface_is_a_command_or_an_exception_with_a_reason() {
    let document = Document::new();
    let known: BTreeSet<_> = document.operations().into_keys().filter(|id| *id != "receiveEvent").collect();
    let commands = operations().map(|row| row.id).chain(EXCEPTIONS.iter().map(|(id, _)| *id));
    assert_eq!(known, commands.clone().collect());
    assert_eq!(commands.count(), known.len(), "an exception that is a command");
}

#[test]
fn a_row_asks_what_its_operation_is_and_takes_what_it_takes() {
    let document = Document::new();
    let known = document.operations();
    for row in operations() {
        let (method, path, _) = known[row.id];
        assert_eq!((row.method.to_lowercase().as_str(), row.path), (method, path), "{}", row.command);
        let inputs = document.inputs(row).into_iter().map(|(name, (needed, _))| (name, needed));
        let place = |place| match place {
            Place::Path => "Path",
            Place::Query => "Query",
            Place::Body => "Body",
        };
        let taken =
            row.inputs.iter().map(|input| ((input.name.to_owned(), place(input.place)), input.needed));
        let (inputs, taken): (BTreeMap<_, _>, BTreeMap<_, _>) = (inputs.collect(), taken.collect());
        assert_eq!(taken, inputs, "{}", row.command);
    }
}

#[test]
fn what_an_input_may_be_is_what_the_interface_takes() {
    let document = Document::new();
    for row in operations() {
        for ((name, _), (_, schema)) in document.inputs(row) {
            let input = row.inputs.iter().find(|input| input.name == name).unwrap();
            let types = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
            let is = |kind: &str| types.iter().any(|known| known == kind);
            let items = &document.resolved(&schema["items"])["type"];
            let known = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let known: BTreeSet<_> = known.collect();
            let fits = match input.kind {
                Kind::OneOf(given) => given.iter().copied().collect::<BTreeSet<_>>() == known,
                Kind::Number => is("integer") || is("number"),
                Kind::Switch => is("boolean"),
                Kind::Words => is("array") && items == "string",
                Kind::Numbers => is("array") && items == "integer",
                Kind::Headers => is("object"),
                Kind::Id(prefix) => schema["pattern"]
                    .as_str()
                    .is_some_and(|pattern| pattern.starts_with(&format!("^{prefix}"))),
                Kind::Time => schema["format"] == "date-time",
                Kind::Text | Kind::Secret | Kind::File => {
                    is("string") && known.is_empty() && schema["format"] != "date-time"
                }
            };
            assert!(fits, "{} --{}: {:?} for {schema}", row.command, input.flag(), input.kind);
        }
    }
}

#[test]
fn the_columns_and_members_that_are_shown_exist_in_the_answer() {
    let document = Document::new();
    for row in operations() {
        let answer = document.answer(document.of(row));
        let (rows, names) = match row.show {
            Show::Rows(names) => (document.members(&answer)["data"]["items"].clone(), names.to_vec()),
            Show::Only(name) => (answer, vec![name]),
            Show::Done(_) => {
                assert!(document.of(row)["responses"].get("204").is_some(), "{}", row.command);
                continue;
            }
            _ => {
                assert!(!document.members(&answer).is_empty(), "{}: {answer}", row.command);
                continue;
            }
        };
        for name in names {
            let path = name.split_once('|').map_or(name, |(path, _)| path);
            let exists =
                path.split('.').try_fold(rows.clone(), |schema, name| document.members(&schema).remove(name));
            assert!(exists.is_some(), "{}: {path}", row.command);
        }
    }
}
