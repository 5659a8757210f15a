//! Get Webhooks against Transak's own description of it, `get_webhooks_schema.yaml`.

use jsonschema::Validator;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::api::{Answer, Relay, keep_delivery, keep_order};
use crate::api_webhooks::get;

/// An order with every field of Transak's page.
const ORDER: &str = include_str!("get_webhooks_order.json");

fn document() -> Value {
    yaml_serde::from_str(include_str!("get_webhooks_schema.yaml")).unwrap()
}

/// What Transak's page says of the answers with this status, and nothing beyond: an unknown field is a failure.
fn described(status: &str) -> Validator {
    let mut schema = document();
    let name = match status {
        "200" => "get-webhooks_Response_200",
        _ => "Get-webhooksRequestUnauthorizedError",
    };
    let responses = &schema["paths"]["/webhooks"]["get"]["responses"][status];
    let said = &responses["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(said, &json!(format!("#/components/schemas/{name}")));
    for known in schema["components"]["schemas"].as_object_mut().unwrap().values_mut() {
        known["additionalProperties"] = json!(false);
    }
    schema["$ref"] = json!(format!("#/components/schemas/{name}"));
    jsonschema::validator_for(&schema).unwrap()
}

#[track_caller]
fn assert_fits(answer: &Answer, status: &str) {
    assert_eq!(answer.status.as_str(), status, "{answer:?}");
    let answer = answer.json();
    let wrong: Vec<_> = described(status)
        .iter_errors(&answer)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[sqlx::test]
async fn answers_fit_transaks_own_description(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let events = keep_order(&relay, &tenant, "order-1", &["PROCESSING", "COMPLETED"]).await;
    sqlx::query("update payload set body = $1").bind(ORDER.as_bytes()).execute(&relay.pool).await.unwrap();
    sqlx::query("update event set event = 'ORDER_COMPLETED' where status = 'COMPLETED'")
        .execute(&relay.pool)
        .await
        .unwrap();
    let endpoint = relay.endpoint(&tenant).await;
    keep_delivery(&relay, &tenant, (events[1], endpoint), "exhausted").await;
    for query in
        ["", "?eventID=ORDER_COMPLETED", "?orderID=order-1", "?eventID=ORDER_COMPLETED&orderID=order-1"]
    {
        let answer = get(&relay, &tenant.token, query).await;
        assert!(!answer.rows().is_empty(), "{query}");
        assert_fits(&answer, "200");
    }
    assert_fits(&get(&relay, &tenant.token, "?orderID=unknown").await, "200");
    for token in ["", "eyJhbGciOiJIUzI1NiJ9.e30.eA", "rly_unknown"] {
        assert_fits(&get(&relay, token, "").await, "401");
    }
}

#[test]
fn the_sample_order_has_every_field_that_transak_describes() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let order: Value = serde_json::from_str(ORDER).unwrap();
    let mut missing = Vec::new();
    let mut open = vec![(order, "DataItemsWebhookData".to_owned(), String::new())];
    while let Some((value, schema, place)) = open.pop() {
        for (name, described) in schemas[&schema]["properties"].as_object().unwrap() {
            let place = format!("{place}/{name}");
            let found = &value[name];
            if found.is_null() {
                missing.push(place);
                continue;
            }
            let of = |described: &Value| {
                described["$ref"].as_str().and_then(|path| path.rsplit('/').next()).map(str::to_owned)
            };
            if let Some(inner) = of(described) {
                open.push((found.clone(), inner, place));
            } else if let Some(inner) = of(&described["items"]) {
                open.extend(
                    found.as_array().unwrap().iter().map(|one| (one.clone(), inner.clone(), place.clone())),
                );
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn a_field_of_another_type_or_name_does_not_fit() {
    let row = json!({"id": "a", "partnerApiKey": "k", "createdAt": "t", "eventID": "e", "webhookData": {}, "webhookResponse": {}});
    let fits = |row: Value| described("200").is_valid(&json!({"meta": {}, "data": [row]}));
    assert!(fits(row.clone()));
    for (name, value) in [("id", json!(1)), ("webhookData", json!("text")), ("invented", json!(true))] {
        let mut row = row.clone();
        row[name] = value;
        assert!(!fits(row), "{name}");
    }
}
