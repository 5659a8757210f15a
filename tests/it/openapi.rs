//! The OpenAPI document in the repository is the one that the code describes.

use transak_relay::http;

#[test]
fn the_openapi_document_in_the_repository_is_current() {
    let described = http::openapi().to_yaml().unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.yaml");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(path, &described).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == described, "openapi.yaml is out of date: run `cargo run -- openapi > openapi.yaml`");
}

#[test]
fn whatever_may_be_sent_a_body_says_what_is_answered_to_one_that_is_too_large_or_no_json() {
    let described = serde_json::to_value(http::openapi()).unwrap();
    let paths = described["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/v1/"));
    let operations = paths.flat_map(|(path, item)| {
        ["post", "patch"].into_iter().filter_map(move |method| Some((path, item.get(method)?)))
    });
    let silent: Vec<_> = operations
        .filter(|(_, said)| ["413", "415"].iter().any(|status| said["responses"].get(*status).is_none()))
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
}
