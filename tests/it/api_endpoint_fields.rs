//! Every field of an endpoint, said wrong: each is named, alone or with others, and nothing changes.

use serde_json::{Value, json};
use sqlx::PgPool;

use transak_relay::http::endpoint::settings::NewEndpoint;

use crate::api::Relay;

/// Values that break a rule, and the field that is named. The first are those that come up in practice.
fn broken() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"retrySchedule": vec![1; 10_000]}), "retrySchedule"),
        (json!({"rateLimit": {"perSecond": 0}}), "rateLimit.perSecond"),
        (json!({"events": ["ORDER_EATEN"]}), "events[0]"),
        (json!({"redact": ["ipAddress"]}), "redact"),
        (json!({"redact": ["/a~2b"]}), "redact"),
        (json!({"redact": [""]}), "redact"),
        (json!({"redact": vec!["/a"; 51]}), "redact"),
        (json!({"redact": [7]}), "redact[0]"),
        (json!({"redact": ["/a\u{0}b"]}), "redact"),
        (json!({"events": []}), "events"),
        (json!({"events": ["ORDER_COMPLETED", "order_completed"]}), "events[1]"),
        (json!({"statuses": ["DONE"]}), "statuses[0]"),
        (json!({"statuses": []}), "statuses"),
        (json!({"retrySchedule": [0]}), "retrySchedule"),
        (json!({"retrySchedule": [604_801]}), "retrySchedule"),
        (json!({"retrySchedule": [-1]}), "retrySchedule[0]"),
        (json!({"retrySchedule": [1.5]}), "retrySchedule[0]"),
        (json!({"rateLimit": {"perSecond": -1}}), "rateLimit.perSecond"),
        (json!({"rateLimit": {"perSecond": 1e300}}), "rateLimit.perSecond"),
        (json!({"rateLimit": {"perSecond": 1, "burst": 0}}), "rateLimit.burst"),
        (json!({"rateLimit": {"perSecond": 1, "burst": 10_001}}), "rateLimit.burst"),
        (json!({"maxInFlight": 0}), "maxInFlight"),
        (json!({"maxInFlight": 1001}), "maxInFlight"),
        (json!({"timeoutMs": 99}), "timeoutMs"),
        (json!({"timeoutMs": 30_001}), "timeoutMs"),
        (json!({"ordered": 1}), "ordered"),
        (json!({"format": "xml"}), "format"),
        (json!({"description": " "}), "description"),
        (json!({"headers": {"host": "x"}}), "headers"),
        (json!({"headers": {"transak-relay-hops": "0"}}), "headers"),
        (json!({"headers": {"webhook-signature": "v1,x"}}), "headers"),
        (json!({"headers": {"x-a": "a\r\nhost: b"}}), "headers"),
        (json!({"headers": {"x-a": "\u{0}"}}), "headers"),
        (json!({"headers": too_many_headers()}), "headers"),
        (json!({"url": null}), "url"),
        (json!({"url": "https://10.0.0.1/"}), "url"),
        (json!({"url": "http://example.com/"}), "url"),
        (json!({"url": format!("https://example.com/{}", "x".repeat(2048))}), "url"),
        (json!({"signatures": []}), "signatures"),
        (json!({"signatures": ["v2"]}), "signatures[0]"),
        (json!({"signatures": ["v1", "v1a", "v1"]}), "signatures"),
        (json!({"signatures": "v1a"}), "signatures"),
        (json!({"tls": {}}), "tls"),
        (json!({"tls": ["certificate", "key", "authority"]}), "tls"),
        (json!({"tls": {"ca": "no certificate"}}), "tls.ca"),
        (json!({"publicKey": "whpk_x"}), "publicKey"),
        (json!({"state": "disabled"}), "state"),
        (json!({"partnerId": "ptr_019e5a3c7d1b7c42a1f00d5e6b7c8d9e"}), "partnerId"),
    ]
}

fn too_many_headers() -> Value {
    (0..21).map(|n| (format!("x-{n}"), json!("1"))).collect::<serde_json::Map<_, _>>().into()
}

#[sqlx::test]
async fn a_patch_that_would_break_a_rule_names_the_field_and_changes_nothing(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let said = json!({
        "url": "https://example.com/hook", "events": ["ORDER_FAILED"], "retrySchedule": [7], "redact": ["/a"],
        "rateLimit": {"perSecond": 2, "burst": 3}, "headers": {"x-a": "1"}, "signatures": ["v1", "v1a"],
    });
    let made = relay.post(&tenant.token, "/v1/endpoints", said).await;
    assert_eq!(made.status, 201, "{made:?}");
    let path = format!("/v1/endpoints/{}", made.text_at("/id"));
    let before = relay.get(&tenant.token, &path).await;
    for (change, field) in broken() {
        // A good change beside it must not be made either.
        let mut body = json!({"description": "changed", "timeoutMs": 7000});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = relay.patch(&tenant.token, &path, body).await;
        answer.is_problem(422, "validation-failed").names(&[field]);
    }
    let after = relay.get(&tenant.token, &path).await;
    assert_eq!((&after.text, after.headers.get("etag")), (&before.text, before.headers.get("etag")));
    let keys: i64 =
        sqlx::query_scalar("select count(*) from endpoint_secret").fetch_one(&relay.pool).await.unwrap();
    assert_eq!(keys, 2);
}

#[sqlx::test]
async fn an_endpoint_that_would_break_a_rule_is_not_made(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    for (said, field) in broken().into_iter().filter(|(_, field)| *field != "partnerId") {
        let mut body = json!({"url": "https://example.com/hook"});
        body.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        let answer = relay.post(&tenant.token, "/v1/endpoints", body).await;
        answer.is_problem(422, "validation-failed").names(&[field]);
    }
    assert_eq!(relay.get(&tenant.token, "/v1/endpoints").await.rows(), Vec::<Value>::new());
}

#[test]
fn a_secret_that_is_brought_along_is_not_shown_when_what_was_said_is_logged() {
    let said = json!({"url": "https://example.com/", "secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"});
    let said: NewEndpoint = serde_json::from_value(said).unwrap();
    assert!(!format!("{said:?}").contains("MDEyMzQ1"), "{said:?}");
}
