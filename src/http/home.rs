//! `GET /`: for whoever comes by the bare address, a person or a program.

use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::problem::page::page;

/// Where to go from here: the name, the path, and what is there.
const LINKS: [(&str, &str, &str); 7] = [
    ("guide", "/docs", "How to receive callbacks, with examples that run."),
    ("reference", "/docs/reference/", "Every operation, to try out in the browser."),
    ("openapi", "/openapi.json", "The same for programs, as OpenAPI 3.1."),
    ("problems", "/docs/problems", "What the types of errors mean, and what to do."),
    ("security", "/docs/security.md", "What is protected from whom, and what is not."),
    ("readiness", "/readyz", "Whether everything that is needed is there."),
    ("metrics", "/metrics", "Figures for Prometheus."),
];

/// The links, as HTML for a browser and as JSON for everybody else.
pub(super) async fn get_home(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let vary = [(header::VARY, "accept")];
    if accept.contains("text/html") {
        return (vary, Html(html())).into_response();
    }
    let links: Map<String, Value> =
        LINKS.iter().map(|(name, path, _)| ((*name).to_owned(), json!(path))).collect();
    let version = env!("CARGO_PKG_VERSION");
    (vary, Json(json!({ "name": "transak-relay", "version": version, "links": links }))).into_response()
}

fn html() -> String {
    let links = LINKS.iter().fold(String::new(), |links, (name, path, what)| {
        links + &format!("<li><a href=\"{path}\">{name}</a>: {what}</li>\n")
    });
    let about = "It hears every Transak order event, keeps it, and tells every callback URL that registered.";
    page(
        "Welcome",
        &format!("<h1>transak-relay {}</h1>\n<p>{about}</p>\n<ul>\n{links}</ul>", env!("CARGO_PKG_VERSION")),
    )
}
