//! The examples of the OpenAPI document work when they are executed.

use axum::http::Method;
use serde_json::Value;
use sqlx::PgPool;
use transak_relay::http;

use crate::api::{ADMIN, Relay, keep_delivery, keep_order};

/// A body out of the examples of a schema: its own, or those of its members that are required or have one.
fn body(schema: &Value, components: &Value) -> Option<Value> {
    if let Some(name) = schema["$ref"].as_str().and_then(|to| to.rsplit('/').next()) {
        return body(&components["schemas"][name], components);
    }
    if let Some(example) = schema.get("example").or_else(|| schema["examples"].get(0)) {
        return Some(example.clone());
    }
    if let Some(choice) = schema["oneOf"].as_array() {
        return choice.iter().find_map(|one| body(one, components));
    }
    if let Some(first) = schema["enum"].get(0) {
        return Some(first.clone());
    }
    let members = schema["properties"].as_object()?;
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let mut made = serde_json::Map::new();
    for (name, member) in members {
        match body(member, components) {
            Some(value) if required(name) || member.get("example").is_some() => {
                drop(made.insert(name.clone(), value));
            }
            None => assert!(!required(name), "`{name}` is required and has no example"),
            _ => {}
        }
    }
    Some(Value::Object(made))
}

#[sqlx::test]
async fn the_example_of_every_body_is_accepted_as_it_stands(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let event = keep_order(&relay, &tenant, "order-1", &["COMPLETED"]).await[0];
    let endpoint = relay.endpoint(&tenant).await;
    keep_delivery(&relay, &tenant, (event, endpoint), "exhausted").await;
    let document = serde_json::to_value(http::openapi()).unwrap();
    let mut tried = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in ["post", "patch"] {
            let Some(schema) = operations[method]["requestBody"]["content"]["application/json"].get("schema")
            else {
                continue;
            };
            // Only Transak can write these.
            if path.starts_with("/ingest/") {
                continue;
            }
            // Nobody sends here, so no test is answered; tests/it/trials.rs sends this one.
            if path.ends_with("/test") {
                continue;
            }
            let mut example =
                body(schema, &document["components"]).unwrap_or_else(|| panic!("{method} {path}"));
            // Ids are those of things that are there.
            for (name, id) in [("partnerId", tenant.id.clone()), ("endpointId", endpoint.to_string())] {
                if let Some(place) = example.get_mut(name) {
                    *place = id.into();
                }
            }
            let id = if path.contains("/events/") { event.to_string() } else { endpoint.to_string() };
            let id = if path.contains("/partners/") { tenant.id.clone() } else { id };
            let token =
                if path.contains("/partners") || path.contains("/tokens") { ADMIN } else { &tenant.token };
            let target = path.replace("{id}", &id);
            let verb: Method = method.to_uppercase().parse().unwrap();
            let answer = relay.call(token, (verb, &target), Some(example.to_string())).await;
            assert!(answer.status.is_success(), "{method} {path} {example}: {answer:?}");
            tried += 1;
        }
    }
    assert!(tried >= 9, "{tried} bodies were tried");
}
