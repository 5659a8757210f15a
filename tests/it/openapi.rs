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
