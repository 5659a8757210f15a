//! What an operation that was asked for says to the relay.

use std::io::Read as _;

use anyhow::{Context as _, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use crate::config::Asked;
use crate::config::operation::{Input, Kind, Operation, Place};
use crate::model::moment::Moment;

/// A request: its path with its ids, its query, and its body if the operation takes one.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
}

impl Request {
    /// What `asked` means at the moment `now`. Reads the files that are named, and the standard input for `-`.
    pub(super) fn of(asked: &Asked, now: DateTime<Utc>) -> anyhow::Result<Self> {
        let Operation { method, path, .. } = *asked.operation;
        let mut request = Self { method, path: path.to_owned(), query: Vec::new(), body: None };
        let mut body = Map::new();
        for (input, texts) in &asked.given {
            let value = value(input, texts, now).with_context(|| format!("--{}", input.flag()))?;
            match input.place {
                Place::Path => {
                    request.path =
                        request.path.replace(&format!("{{{}}}", input.name), &segment(&said(&value)));
                }
                Place::Query => request.query.push((input.name, said(&value))),
                Place::Body => put(&mut body, input.name, value),
            }
        }
        for input in &asked.cleared {
            // Of what lies in an object, the object is cleared: half of it has no meaning.
            put(&mut body, input.name.split('.').next().unwrap_or(input.name), Value::Null);
        }
        if asked.operation.is_edit() && body.is_empty() {
            bail!("say what to change: see `transak-relay {} --help`", asked.operation.command);
        }
        request.body = asked.operation.has_body().then_some(Value::Object(body));
        Ok(request)
    }
}

/// A text as one segment of a path.
fn segment(text: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    encoded.replace('+', "%20")
}

fn said(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Puts a value where its dotted name says.
fn put(object: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            object.insert(name.to_owned(), value);
        }
        Some((outer, inner)) => {
            let within = object.entry(outer).or_insert_with(|| json!({}));
            if let Value::Object(within) = within {
                put(within, inner, value);
            }
        }
    }
}

fn value(input: &Input, texts: &[SecretString], now: DateTime<Utc>) -> anyhow::Result<Value> {
    let mut texts = texts.iter().map(SecretString::expose_secret);
    let first = texts.next().unwrap_or_default();
    let all = std::iter::once(first).chain(texts).map(str::trim);
    Ok(match input.kind {
        Kind::Text | Kind::Id(_) => json!(first),
        Kind::OneOf(known) => {
            json!(known.iter().find(|known| known.eq_ignore_ascii_case(first)).copied().unwrap_or(first))
        }
        Kind::Number => number(first)?,
        Kind::Switch => json!(first == "true"),
        Kind::Words => json!(all.filter(|word| !word.is_empty()).collect::<Vec<_>>()),
        Kind::Numbers => {
            all.filter(|word| !word.is_empty()).map(number).collect::<anyhow::Result<Vec<_>>>()?.into()
        }
        Kind::Time => json!(first.parse::<Moment>()?.at(now).to_rfc3339_opts(SecondsFormat::Millis, true)),
        Kind::Secret => json!(secret(first)?),
        Kind::File => json!(file(first)?),
        Kind::Headers => {
            let pairs = all.map(|line| {
                let (name, value) = line.split_once(':').context("must be written `Name: value`")?;
                Ok((name.trim().to_owned(), json!(value.trim())))
            });
            Value::Object(pairs.collect::<anyhow::Result<_>>()?)
        }
    })
}

/// As it was written: what it must be is the relay's to say.
fn number(text: &str) -> anyhow::Result<Value> {
    let number: serde_json::Number = serde_json::from_str(text).ok().context("must be a number")?;
    Ok(Value::Number(number))
}

/// A secret that was given as `@file`, as `-`, or as it is.
pub(super) fn secret(text: &str) -> anyhow::Result<String> {
    let text = match text.strip_prefix('@') {
        Some(name) => file(name)?,
        None if text == "-" => {
            let mut read = String::new();
            std::io::stdin().read_to_string(&mut read).context("the standard input cannot be read")?;
            read
        }
        None => text.to_owned(),
    };
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn file(name: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(name).with_context(|| format!("cannot read {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Call, Cli, Command};

    fn request(words: &[&str]) -> anyhow::Result<Request> {
        let cli = Cli::of_words(["transak-relay"].iter().chain(words).copied()).unwrap();
        let Command::Call(Call::Operation(asked)) = cli.command else { panic!("{words:?}") };
        Request::of(&asked, "2026-11-28T13:14:15.678Z".parse().unwrap())
    }

    #[test]
    fn what_is_given_goes_where_the_interface_takes_it() {
        let asked = request(&[
            "endpoints",
            "create",
            "--url",
            "https://a.example/x",
            "--partner",
            "ptr_1",
            "--events",
            "A,B",
            "--events",
            "C",
            "--retry-schedule",
            "5,300",
            "--rate-limit-per-second",
            "0.5",
            "--header",
            "x-one: 1",
            "--header",
            "x-two: a:b",
            "--ordered",
        ]);
        let asked = asked.unwrap();
        assert_eq!((asked.method, asked.path.as_str(), asked.query.len()), ("POST", "/v1/endpoints", 0));
        let expected = json!({
            "url": "https://a.example/x", "partnerId": "ptr_1", "events": ["A", "B", "C"], "retrySchedule": [5, 300],
            "rateLimit": {"perSecond": 0.5}, "headers": {"x-one": "1", "x-two": "a:b"}, "ordered": true,
        });
        assert_eq!(asked.body, Some(expected));
    }

    #[test]
    fn an_id_cannot_leave_its_place_in_the_path() {
        let asked = request(&["orders", "timeline", "o 2/?#", "--partner", "ptr_1"]).unwrap();
        assert_eq!(asked.path, "/v1/orders/o%202%2F%3F%23/timeline");
        assert_eq!((asked.query, asked.body), (vec![("partnerId", "ptr_1".to_owned())], None));
    }

    #[test]
    fn times_are_those_of_the_clock_at_the_call() {
        let asked = request(&["recover", "ep_1", "--since", "2h", "--until", "today", "--dry-run"]).unwrap();
        let expected = json!({
            "since": "2026-11-28T11:14:15.678Z", "until": "2026-11-28T00:00:00.000Z", "only": "failed", "dryRun": true,
        });
        assert_eq!(asked.body, Some(expected));
        let asked = request(&["orders", "list", "--from", "yesterday"]).unwrap();
        assert_eq!(asked.query, [("from", "2026-11-27T00:00:00.000Z".to_owned())]);
    }

    #[test]
    fn what_is_cleared_is_null_and_an_edit_of_nothing_says_what_to_do() {
        let asked =
            request(&["endpoints", "edit", "ep_1", "--clear", "events,rate-limit-burst", "--ordered=false"]);
        assert_eq!(asked.unwrap().body, Some(json!({"events": null, "rateLimit": null, "ordered": false})));
        let nothing = request(&["endpoints", "edit", "ep_1"]).unwrap_err().to_string();
        assert_eq!(nothing, "say what to change: see `transak-relay endpoints edit --help`");
    }

    #[test]
    fn a_secret_is_read_from_the_file_that_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "hidden\n").unwrap();
        let named = format!("@{}", path.display());
        let asked = request(&["partners", "edit", "ptr_1", "--access-token", &named]).unwrap();
        assert_eq!(asked.body, Some(json!({"accessToken": "hidden"})));
    }
}
