//! Against a server that answers as the relay's API documents.

use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, State};
use axum::routing::{delete, get};
use axum::{Json, Router};
use http::HeaderMap;
use tokio::task::JoinSet;

use super::*;

type Urls = Arc<Mutex<Vec<(usize, String)>>>;

/// Lists one endpoint a page, so that paging is needed.
async fn list(
    State(urls): State<Urls>,
    Query(query): Query<std::collections::HashMap<String, String>>,
) -> Json<Value> {
    let at: usize = query.get("cursor").map_or(0, |cursor| cursor.trim_start_matches("& ").parse().unwrap());
    let urls = urls.lock().unwrap();
    let data: Vec<_> = urls
        .iter()
        .skip(at)
        .take(1)
        .map(|(id, url)| json!({ "id": format!("ep_{id}"), "url": url }))
        .collect();
    let next = (at + 1 < urls.len()).then(|| format!("& {}", at + 1));
    Json(json!({ "data": data, "nextCursor": next }))
}

async fn create(
    State(urls): State<Urls>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    if headers["authorization"] != "Bearer rly_admin" {
        return (
            StatusCode::UNAUTHORIZED,
            Json(json!({ "title": "Unauthorized", "detail": "no such token" })),
        );
    }
    assert_eq!(body["partnerId"], "ptr_1");
    let mut urls = urls.lock().unwrap();
    let id = urls.iter().map(|(id, _)| id + 1).max().unwrap_or(1);
    urls.push((id, body["url"].as_str().unwrap().to_owned()));
    assert!(body["secret"].as_str().unwrap().starts_with("whsec_"));
    (
        StatusCode::CREATED,
        Json(json!({ "id": format!("ep_{id}"), "secret": "whsec_AAAA", "state": "enabled" })),
    )
}

async fn relay() -> (Url, Urls, JoinSet<()>) {
    let urls = Urls::default();
    let remove = async |State(urls): State<Urls>, Path(id): Path<String>| {
        urls.lock().unwrap().retain(|(one, _)| format!("ep_{one}") != id);
        StatusCode::NO_CONTENT
    };
    let router = Router::new()
        .route("/readyz", get(async || "ready"))
        .route("/v1/partners", get(async || Json(json!({ "data": [{ "id": "ptr_1" }], "nextCursor": null }))))
        .route("/v1/endpoints", get(list).post(create))
        .route("/v1/endpoints/{id}", delete(remove))
        .with_state(Arc::clone(&urls));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (base, urls, tasks)
}

#[tokio::test]
async fn registering_again_replaces_the_endpoints_with_the_same_url_only() {
    let (base, urls, _tasks) = relay().await;
    let api = RelayApi::new(base, "rly_admin".into()).unwrap();
    assert!(api.ready(&CancellationToken::new()).await);
    let first = api.register(None, "http://receiver/a").await.unwrap();
    api.register(Some("ptr_1"), "http://receiver/b").await.unwrap();
    let again = api.register(None, "http://receiver/a").await.unwrap();
    assert_ne!(first.endpoint_id, again.endpoint_id);
    assert_eq!(again.partner_id, "ptr_1");
    assert_eq!(again.secret.expose_secret(), first.secret.expose_secret(), "both runs sign alike");
    assert_ne!(api.secret_for("http://receiver/b").expose_secret(), first.secret.expose_secret());
    let kept: Vec<_> = urls.lock().unwrap().iter().map(|(_, url)| url.clone()).collect();
    assert_eq!(kept, ["http://receiver/b", "http://receiver/a"]);
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason() {
    let (base, _, _tasks) = relay().await;
    let api = RelayApi::new(base, "rly_wrong".into()).unwrap();
    let error = api.register(None, "http://receiver/a").await.unwrap_err().to_string();
    assert!(error.contains("401") && error.contains("no such token"), "{error}");
}

#[tokio::test]
async fn waiting_for_a_relay_that_never_comes_ends_when_told() {
    let stop = CancellationToken::new();
    stop.cancel();
    let api = RelayApi::new("http://127.0.0.1:1".parse().unwrap(), "rly_admin".into()).unwrap();
    assert!(!api.ready(&stop).await);
}
