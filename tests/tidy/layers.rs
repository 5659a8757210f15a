//! Which module may know which: the table of ARCHITECTURE.md, and the check of it.
//!
//! Tests inside `src/` may use any crate to judge the code, and write SQL; they may not reach into another layer.

use super::source::{Source, Token};

/// One row: a top-level module, which of ours it may name, and which crates.
struct Layer {
    name: &'static str,
    ours: &'static [&'static str],
    crates: Crates,
}

enum Crates {
    /// Nothing else.
    Only(&'static [&'static str]),
    /// Everything that has no home elsewhere (see [`HOMES`]), and these.
    And(&'static [&'static str]),
    Any,
}

/// Crates that belong to one place. Whoever may use one has it in its row.
const HOMES: &[&str] = &[
    "axum",
    "clap",
    "hickory_resolver",
    "hyper",
    "hyper_util",
    "metrics_exporter_prometheus",
    "metrics_process",
    "opentelemetry",
    "opentelemetry_http",
    "opentelemetry_otlp",
    "opentelemetry_sdk",
    "problem_details",
    "reqwest",
    "sqlx",
    "tokio_tungstenite",
    "tower",
    "tower_http",
    "tracing_subscriber",
    "utoipa",
    "utoipa_axum",
    "utoipa_swagger_ui",
];

const MODEL: &[&str] = &[
    "aws_lc_rs",
    "base64",
    "bytes",
    "chrono",
    "http",
    "httpdate",
    "ipnet",
    "proptest",
    "rustls",
    "secrecy",
    "serde",
    "serde_json",
    "sqlx",
    "subtle",
    "thiserror",
    "url",
    "utoipa",
    "uuid",
    "x509_parser",
];

/// The table, from the inside out.
#[rustfmt::skip]
const LAYERS: &[Layer] = &[
    // Pure: what we talk about, and every decision. Of sqlx only the derive `sqlx::Type`.
    Layer { name: "model", ours: &[], crates: Crates::Only(MODEL) },
    // What the outside speaks.
    Layer { name: "transak", ours: &["model"], crates: Crates::And(&["reqwest"]) },
    Layer { name: "pusher", ours: &["model"], crates: Crates::And(&["tokio_tungstenite"]) },
    // Spans, for whoever has something to say of the way of an event.
    Layer { name: "trace", ours: &["model"], crates: Crates::And(&["opentelemetry"]) },
    // All SQL.
    Layer { name: "store", ours: &["model"], crates: Crates::And(&["sqlx"]) },
    // In, out, and to look at: they meet only through Postgres. Of sqlx only pools, connections, transactions, errors.
    Layer { name: "intake", ours: &["store", "transak", "pusher", "model", "trace"], crates: Crates::And(&["sqlx"]) },
    Layer { name: "delivery", ours: &["store", "model", "trace"], crates: Crates::And(&["hickory_resolver", "hyper", "hyper_util", "sqlx"]) },
    Layer { name: "http", ours: &["store", "model", "intake"], crates: Crates::And(&[
        "axum", "hyper", "hyper_util", "metrics_exporter_prometheus", "problem_details", "sqlx", "tower", "tower_http",
        "utoipa", "utoipa_axum", "utoipa_swagger_ui",
    ]) },
    Layer { name: "maintenance", ours: &["store", "model"], crates: Crates::And(&["sqlx"]) },
    // The world around it, which knows the relay only from outside.
    Layer { name: "sandbox", ours: &[], crates: Crates::And(&["axum", "reqwest", "tokio_tungstenite", "tower"]) },
    // The process.
    Layer { name: "config", ours: &["model"], crates: Crates::And(&["clap"]) },
    Layer { name: "telemetry", ours: &["config", "trace"], crates: Crates::And(&[
        "metrics_exporter_prometheus", "metrics_process", "opentelemetry", "opentelemetry_http", "opentelemetry_otlp", "opentelemetry_sdk", "reqwest",
        "tracing_subscriber",
    ]) },
    // The operator's commands: they know the relay only from outside.
    Layer { name: "cli", ours: &["config", "model"], crates: Crates::And(&["reqwest"]) },
    Layer { name: "shutdown", ours: &[], crates: Crates::And(&[]) },
    // The one place that knows them all; known by `main` alone.
    Layer { name: "app", ours: &[
        "cli", "config", "delivery", "http", "intake", "maintenance", "model", "pusher", "sandbox", "shutdown", "store", "telemetry", "trace",
        "transak",
    ], crates: Crates::Any },
    Layer { name: "main", ours: &["app", "config", "telemetry"], crates: Crates::Any },
];

/// SQL by any of the ways sqlx offers to write it.
const SQL: &[&str] =
    &["QueryBuilder", "query", "query_as", "query_file", "query_file_as", "query_scalar", "raw_sql"];

/// The modules that have a row.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    LAYERS.iter().map(|layer| layer.name)
}

/// What the table says against a file of `src/`. `crates`: the names of all dependencies, as code writes them.
pub(crate) fn complaints(source: &Source, crates: &[String]) -> Vec<String> {
    let layer_name = match source.path.as_str() {
        "src/lib.rs" => return Vec::new(),
        "src/main.rs" => "main",
        _ => source.module()[0],
    };
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == layer_name) else {
        return vec![format!(
            "{}: `{layer_name}` has no row in tests/tidy/layers.rs: add one, and say in ARCHITECTURE.md what it is",
            source.path
        )];
    };
    let tokens = source.tokens();
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let complaint = our_modules(layer, source, &tokens[at..])
            .or_else(|| foreign_crate(layer, crates, &tokens, at))
            .or_else(|| sql(layer, &tokens[at..]))
            .or_else(|| impure(layer, &tokens[at..]));
        found.extend(complaint.map(|text| format!("{}:{}: {text}", source.path, tokens[at].line)));
    }
    found
}

fn our_modules(layer: &Layer, source: &Source, rest: &[Token<'_>]) -> Option<String> {
    if rest[0].text == "super" {
        let steps = rest.iter().step_by(2).take_while(|token| token.text == "super").count();
        let root = source.module().len() + rest[0].modules;
        return (steps >= root && rest[2 * steps - 1].text == "::").then(|| {
            "`super` reaches the root of the crate: write `crate::…`, so that the layer shows".to_owned()
        });
    }
    if !["crate", "transak_relay"].contains(&rest[0].text) || rest.get(1)?.text != "::" {
        return None;
    }
    let name =
        named(&rest[2..]).into_iter().find(|name| *name != layer.name && !layer.ours.contains(name))?;
    Some(format!(
        "`{}` may use {:?}, not `{name}`: move the code to the layer that may, or pass the value in",
        layer.name, layer.ours
    ))
}

/// The first names of a path or of a group of paths.
fn named<'a>(rest: &[Token<'a>]) -> Vec<&'a str> {
    let Some(first) = rest.first().filter(|token| token.text == "{") else {
        return rest.first().map(|token| token.text).into_iter().collect();
    };
    let (mut depth, mut names, mut expected) = (0, Vec::new(), first.text == "{");
    for token in rest {
        match token.text {
            "{" => depth += 1,
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "," => expected = depth == 1,
            word if expected => {
                names.push(word);
                expected = false;
            }
            _ => {}
        }
    }
    names
}

fn foreign_crate(layer: &Layer, crates: &[String], tokens: &[Token<'_>], at: usize) -> Option<String> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let name = text(at);
    let before = if at == 0 { "" } else { text(at - 1) };
    let names_crate = before == "use" || (text(at + 1) == "::" && before != "::");
    if !names_crate || tokens[at].test || !crates.iter().any(|known| known == name) {
        return None;
    }
    let (allowed, all) = match layer.crates {
        Crates::Only(only) => (only.contains(&name), only),
        Crates::And(also) => (also.contains(&name) || !HOMES.contains(&name), also),
        Crates::Any => (true, &[][..]),
    };
    let complaint = format!(
        "`{}` does not use the crate `{name}` (its row in tests/tidy/layers.rs has {all:?}): do it where {name} is at home",
        layer.name
    );
    (!allowed).then_some(complaint)
}

fn sql(layer: &Layer, rest: &[Token<'_>]) -> Option<String> {
    let path = rest[0].text == "sqlx" && rest.get(1)?.text == "::";
    let macro_call = rest.get(1).is_some_and(|token| token.text == "!") && SQL.contains(&rest[0].text);
    let named = path && named(&rest[2..]).iter().any(|name| SQL.contains(name));
    (layer.name != "store" && !rest[0].test && (macro_call || named))
        .then(|| "SQL is written in src/store only: make a function there, named for what it does".to_owned())
}

fn impure(layer: &Layer, rest: &[Token<'_>]) -> Option<String> {
    let sqlx = rest[0].text == "sqlx" && rest.get(1)?.text == "::" && rest.get(2)?.text != "Type";
    let waits = ["async", "await"].contains(&rest[0].text);
    (layer.name == "model" && (sqlx || waits)).then(|| {
        "`model` is pure: no async, and of sqlx only the derive `sqlx::Type`: do I/O in the caller".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(path: &str, text: &str) -> usize {
        let crates = ["axum", "sqlx", "tokio", "reqwest", "bytes", "hyper"].map(str::to_owned);
        complaints(&Source::new(path, text), &crates).len()
    }

    #[test]
    fn a_layer_that_names_another_is_told() {
        for (path, text) in [
            ("src/http/order.rs", "use crate::delivery::sender::Sender;"),
            ("src/http/order.rs", "use crate::{model::id, delivery};"),
            ("src/delivery/mod.rs", "fn f() { crate::intake::f() }"),
            ("src/sandbox/run.rs", "use transak_relay::store;"),
            ("src/store/order.rs", "use crate::app::App;"),
            ("src/store/order.rs", "use super::super::delivery;"),
            ("src/store/mod.rs", "use super::delivery;"),
            ("src/store/mod.rs", "mod tests { use super::super::delivery; }"),
            ("src/elsewhere.rs", ""),
        ] {
            assert_eq!(said(path, text), 1, "{path}: {text}");
        }
    }

    #[test]
    fn a_layer_that_uses_a_crate_of_another_is_told() {
        for (path, text) in [
            ("src/model/id.rs", "use tokio::sync::Notify;"),
            ("src/model/id.rs", "use sqlx::PgPool;"),
            ("src/model/id.rs", "async fn f() {}"),
            ("src/http/order.rs", "fn f() -> reqwest::Result<()> {}"),
            ("src/intake/mod.rs", "use axum::Json;"),
            ("src/delivery/mod.rs", "use reqwest;"),
            ("src/intake/commit.rs", "sqlx::query(\"\")"),
            ("src/intake/commit.rs", "use sqlx::{PgPool, query_as};"),
            ("src/http/order.rs", "query_scalar!(\"\")"),
        ] {
            assert_eq!(said(path, text), 1, "{path}: {text}");
        }
    }

    #[test]
    fn what_the_table_allows_is_not_told() {
        for (path, text) in [
            ("src/model/id.rs", "#[derive(sqlx::Type)] struct A; use bytes::Bytes;"),
            ("src/http/mod.rs", "use axum::Json; use crate::{intake::Intake, store};"),
            ("src/store/order/read.rs", "use super::super::Result; sqlx::query!(\"\")"),
            ("src/delivery/mod.rs", "mod tests { use super::*; use reqwest::Client; sqlx::query(\"\") }"),
            ("src/intake/mod.rs", "//! axum::Json\nlet text = \"crate::http::x\"; use sqlx::PgPool;"),
            ("src/main.rs", "use transak_relay::app;"),
            ("src/lib.rs", "pub mod app;"),
        ] {
            assert_eq!(said(path, text), 0, "{path}: {text}");
        }
    }
}
