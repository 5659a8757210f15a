//! Registering, changing and switching endpoints, and sending again by hand.

use axum::body::Body;
use axum::http::{Request, header};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::api::{Relay, keep_delivery, keep_order};

async fn states(relay: &Relay) -> Vec<String> {
    sqlx::query_scalar("select state::text from delivery order by delivery_id")
        .fetch_all(&relay.pool)
        .await
        .unwrap()
}

#[sqlx::test]
async fn an_endpoint_is_registered_with_its_defaults_and_a_secret_shown_once(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let made = relay.post(&tenant.token, "/v1/endpoints", json!({"url": "https://example.com/hook"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(made.text_at("/secret").starts_with("whsec_"));
    let shown = relay.get(&tenant.token, &format!("/v1/endpoints/{}", made.text_at("/id"))).await.json();
    assert_eq!(shown["secret"], Value::Null);
    let mut expected = made.json();
    expected.as_object_mut().unwrap().remove("secret");
    assert_eq!(shown, expected);
    assert_eq!(shown["timeoutMs"], 15_000);
    assert_eq!(shown["retrySchedule"], json!([5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]));
    assert_eq!(
        (&shown["state"], &shown["format"], &shown["events"]),
        (&json!("enabled"), &json!("standard"), &json!(null))
    );
}

#[sqlx::test]
async fn everything_said_of_an_endpoint_is_kept_and_null_is_the_default_again(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let said = json!({
        "description": "orders", "events": ["ORDER_COMPLETED"], "statuses": ["COMPLETED"], "format": "transak",
        "timeoutMs": 100, "retrySchedule": [], "redact": ["/ipAddress"],
    });
    let mut body = said.clone();
    body["url"] = json!("https://example.com/hook");
    body["headers"] = json!({"Authorization": "Bearer s3cret"});
    body["secret"] = json!("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz");
    let made = relay.post(&tenant.token, "/v1/endpoints", body).await;
    assert_eq!(made.text_at("/secret"), "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz");
    assert!(!made.text.contains("s3cret"), "{made:?}");
    assert_eq!(made.json()["headerNames"], json!(["authorization"]));
    for (field, value) in said.as_object().unwrap() {
        assert_eq!(&made.json()[field], value, "{field}");
    }
    let path = format!("/v1/endpoints/{}", made.text_at("/id"));
    let unchanged = relay.patch(&tenant.token, &path, json!({})).await.json();
    assert_eq!(unchanged["redact"], json!(["/ipAddress"]));
    let all: serde_json::Map<_, _> =
        said.as_object().unwrap().keys().map(|field| (field.clone(), Value::Null)).collect();
    let cleared = relay.patch(&tenant.token, &path, Value::from(all)).await.json();
    assert_eq!(
        (&cleared["timeoutMs"], &cleared["events"], &cleared["redact"]),
        (&json!(15_000), &json!(null), &json!([]))
    );
    assert_eq!(cleared["headerNames"], json!(["authorization"]), "what is left out stays");
    relay
        .patch(&tenant.token, &path, json!({"url": null}))
        .await
        .is_problem(422, "validation-failed")
        .names(&["url"]);
    relay.patch(&tenant.token, &path, json!({"secret": "x"})).await.is_problem(422, "validation-failed");
}

#[sqlx::test]
async fn a_change_is_refused_if_the_endpoint_is_not_what_was_read(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let endpoint = relay.endpoint(&tenant).await;
    let path = format!("/v1/endpoints/{endpoint}");
    let tag = relay.get(&tenant.token, &path).await.headers[header::ETAG].clone();
    let change = |description: &str| {
        let request =
            Request::patch(&path).header("access-token", &tenant.token).header(header::IF_MATCH, &tag);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        request.body(Body::from(json!({"description": description}).to_string())).unwrap()
    };
    let first = relay.send(change("first")).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_ne!(first.headers[header::ETAG], tag);
    relay.send(change("second")).await.is_problem(412, "precondition-failed");
    assert_eq!(relay.get(&tenant.token, &path).await.text_at("/description"), "first");
}

#[sqlx::test]
async fn changes_at_the_same_time_take_turns_and_none_is_lost(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let path = format!("/v1/endpoints/{}", relay.endpoint(&tenant).await);
    let changes = [
        json!({"description": "changed"}),
        json!({"timeoutMs": 100}),
        json!({"maxInFlight": 7}),
        json!({"ordered": true}),
        json!({"redact": ["/a"]}),
        json!({"retrySchedule": [7]}),
        json!({"format": "transak"}),
        json!({"events": ["ORDER_FAILED"]}),
    ];
    let made = changes.iter().map(|change| relay.patch(&tenant.token, &path, change.clone()));
    for answer in join_all(made).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let after = relay.get(&tenant.token, &path).await.json();
    for (field, value) in changes.iter().flat_map(|change| change.as_object().unwrap()) {
        assert_eq!(&after[field], value, "{field}");
    }
}

#[sqlx::test]
async fn disabling_holds_what_is_owed_and_enabling_owes_it_again(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let events = keep_order(&relay, &tenant, "order-1", &["PROCESSING", "COMPLETED", "REFUNDED"]).await;
    let endpoint = relay.endpoint(&tenant).await;
    for (event, state) in events.iter().zip(["pending", "succeeded", "exhausted"]) {
        keep_delivery(&relay, &tenant, (*event, endpoint), state).await;
    }
    let path = format!("/v1/endpoints/{endpoint}");
    for _ in 0..2 {
        let disabled = relay.post(&tenant.token, &format!("{path}/disable"), json!({})).await;
        assert_eq!(disabled.text_at("/disabledReason"), "disabled by hand", "{disabled:?}");
        assert_eq!(states(&relay).await, ["held", "succeeded", "exhausted"]);
    }
    for _ in 0..2 {
        let enabled = relay.post(&tenant.token, &format!("{path}/enable"), json!({})).await;
        assert_eq!(
            (enabled.text_at("/state"), &enabled.json()["disabledReason"]),
            ("enabled".to_owned(), &json!(null))
        );
        assert_eq!(states(&relay).await, ["pending", "succeeded", "exhausted"]);
    }
    let due: bool =
        sqlx::query_scalar("select next_attempt_at <= now() from delivery where state = 'pending'")
            .fetch_one(&relay.pool)
            .await
            .unwrap();
    assert!(due);
}

#[sqlx::test]
async fn a_request_under_way_keeps_its_delivery_when_the_endpoint_is_disabled(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let event = keep_order(&relay, &tenant, "order-1", &["COMPLETED"]).await[0];
    let endpoint = relay.endpoint(&tenant).await;
    let delivery = keep_delivery(&relay, &tenant, (event, endpoint), "pending").await;
    sqlx::query("update delivery set leased_at = now()").execute(&relay.pool).await.unwrap();
    relay.post(&tenant.token, &format!("/v1/endpoints/{endpoint}/disable"), json!({})).await;
    assert_eq!(states(&relay).await, ["pending"]);
    relay.post(&tenant.token, &format!("/v1/deliveries/{delivery}/retry"), json!({})).await;
    let leased: bool = sqlx::query_scalar("select leased_at is not null from delivery")
        .fetch_one(&relay.pool)
        .await
        .unwrap();
    assert!(leased);
}

#[sqlx::test]
async fn a_deleted_endpoint_is_gone_and_owed_nothing(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let events = keep_order(&relay, &tenant, "order-1", &["PROCESSING", "COMPLETED"]).await;
    let endpoint = relay.endpoint(&tenant).await;
    let pending = keep_delivery(&relay, &tenant, (events[0], endpoint), "pending").await;
    keep_delivery(&relay, &tenant, (events[1], endpoint), "succeeded").await;
    let path = format!("/v1/endpoints/{endpoint}");
    assert_eq!(relay.delete(&tenant.token, &path).await.status, 204);
    relay.get(&tenant.token, &path).await.is_problem(404, "not-found");
    relay.delete(&tenant.token, &path).await.is_problem(404, "not-found");
    assert_eq!(states(&relay).await, ["cancelled", "succeeded"]);
    let again = relay.post(&tenant.token, &format!("/v1/deliveries/{pending}/retry"), json!({})).await;
    again.is_problem(409, "conflict");
    let secrets: i64 =
        sqlx::query_scalar("select count(*) from endpoint_secret").fetch_one(&relay.pool).await.unwrap();
    assert_eq!(secrets, 0);
}

#[sqlx::test]
async fn a_new_secret_signs_beside_the_old_one_for_the_overlap(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let endpoint = relay.endpoint(&tenant).await;
    let path = format!("/v1/endpoints/{endpoint}/rotate-secret");
    let secrets = || async {
        sqlx::query_scalar::<_, bool>(
            "select expires_at is null from endpoint_secret order by endpoint_secret_id",
        )
        .fetch_all(&relay.pool)
        .await
        .unwrap()
    };
    let rotated = relay.post(&tenant.token, &path, json!({"overlapSeconds": 60})).await;
    assert!(rotated.text_at("/secret").starts_with("whsec_"), "{rotated:?}");
    assert_eq!(secrets().await, [false, true]);
    for _ in 0..9 {
        relay.call(&tenant.token, (axum::http::Method::POST, &path), None).await;
    }
    assert_eq!(secrets().await, [false, false, false, false, true], "five at a time");
    relay.post(&tenant.token, &path, json!({"overlapSeconds": 0})).await;
    assert_eq!(secrets().await.iter().filter(|current| **current).count(), 1);
    let answer = relay.post(&tenant.token, &path, json!({"overlapSeconds": 604_801})).await;
    answer.is_problem(422, "validation-failed").names(&["overlapSeconds"]);
}

#[sqlx::test]
async fn an_event_is_sent_again_whatever_happened_before(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let event = keep_order(&relay, &tenant, "order-1", &["COMPLETED"]).await[0];
    let path = format!("/v1/events/{event}/redeliver");
    let told = relay.endpoint(&tenant).await;
    keep_delivery(&relay, &tenant, (event, told), "succeeded").await;
    let body = json!({"url": "https://example.com/", "events": ["ORDER_FAILED"]});
    let deaf = relay.post(&tenant.token, "/v1/endpoints", body).await.text_at("/id");

    let to_all = relay.post(&tenant.token, &path, json!({})).await;
    assert_eq!(to_all.status, 202, "{to_all:?}");
    assert_eq!(to_all.rows().len(), 1, "who did not ask for it is not told");
    assert_eq!((&to_all.rows()[0]["state"], &to_all.rows()[0]["attempts"]), (&json!("pending"), &json!(1)));

    let to_one = relay.post(&tenant.token, &path, json!({"endpointId": deaf})).await;
    assert_eq!(to_one.rows()[0]["endpointId"], deaf, "unless it is named");
    let stranger = json!({"endpointId": transak_relay::model::id::EndpointId::new()});
    relay.post(&tenant.token, &path, stranger).await.is_problem(404, "not-found");
}

#[sqlx::test]
async fn a_delivery_is_retried_on_a_schedule_that_starts_anew(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let event = keep_order(&relay, &tenant, "order-1", &["COMPLETED"]).await[0];
    let endpoint = relay.endpoint(&tenant).await;
    let delivery = keep_delivery(&relay, &tenant, (event, endpoint), "exhausted").await;
    let path = format!("/v1/deliveries/{delivery}/retry");
    let mut listener = sqlx::postgres::PgListener::connect_with(&relay.pool).await.unwrap();
    listener.listen("relay_delivery").await.unwrap();
    let retried = relay.post(&tenant.token, &path, json!({})).await;
    assert_eq!(
        (retried.status.as_u16(), retried.text_at("/state")),
        (202, "pending".to_owned()),
        "{retried:?}"
    );
    assert_eq!(retried.json()["finishedAt"], Value::Null);
    let start: i32 =
        sqlx::query_scalar("select schedule_start from delivery").fetch_one(&relay.pool).await.unwrap();
    assert_eq!(start, 1);
    assert_eq!(listener.recv().await.unwrap().channel(), "relay_delivery");

    relay.post(&tenant.token, &format!("/v1/endpoints/{endpoint}/disable"), json!({})).await;
    assert_eq!(relay.post(&tenant.token, &path, json!({})).await.text_at("/state"), "held");
}
