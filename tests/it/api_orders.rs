//! What is shown of orders, events and deliveries.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::api::{Relay, at, keep_delivery, keep_order};

const LIFE: [&str; 3] = ["AWAITING_PAYMENT_FROM_USER", "PROCESSING", "COMPLETED"];

#[sqlx::test]
async fn an_order_is_shown_with_exact_amounts_and_its_newest_snapshot(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    keep_order(&relay, &tenant, "order-1", &LIFE).await;
    let answer = relay.get(&tenant.token, "/v1/orders/order-1").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text.contains(r#""cryptoAmount":0.0006130127560164107,"#), "{answer:?}");
    let order = answer.json();
    assert_eq!(order["terminal"], true);
    assert_eq!(order["product"], "BUY");
    assert_eq!(order["createdAt"], "2026-04-04T13:00:00.000Z");
    assert_eq!(order["updatedAt"], "2026-04-04T13:02:00.000Z");
    assert_eq!(order["order"]["status"], "COMPLETED");
    assert!(answer.text.contains(r#""order":{"id":"order-1","status":"COMPLETED","cryptoAmount":0.00061"#));
}

#[sqlx::test]
async fn orders_are_found_by_every_filter(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    keep_order(&relay, &tenant, "order-1", &LIFE).await;
    for (filter, found) in [
        ("status=COMPLETED", 1),
        ("status=PROCESSING", 0),
        ("partnerOrderId=po-order-1", 1),
        ("partnerOrderId=order-1", 0),
        ("walletAddress=0xD902", 1),
        ("product=BUY", 1),
        ("product=SELL", 0),
        ("from=2026-04-04T13:00:00Z", 1),
        ("from=2026-04-04T15:00:00%2B02:00", 1),
        ("from=2026-04-04T13:00:00.001Z", 0),
        ("to=2026-04-04T13:00:00.001Z", 1),
        ("to=2026-04-04T13:00:00Z", 0),
        ("status=COMPLETED&product=BUY&walletAddress=0xD902&limit=1", 1),
    ] {
        let answer = relay.get(&tenant.token, &format!("/v1/orders?{filter}")).await;
        assert_eq!(answer.rows().len(), found, "{filter}: {answer:?}");
    }
}

#[sqlx::test]
async fn events_are_found_by_every_filter(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    keep_order(&relay, &tenant, "order-1", &LIFE).await;
    keep_order(&relay, &tenant, "order-2", &LIFE[..1]).await;
    for (filter, found) in [
        ("orderId=order-1", 3),
        ("event=ORDER_PROCESSING", 4),
        ("event=ORDER_CREATED", 0),
        ("status=AWAITING_PAYMENT_FROM_USER", 2),
        ("source=stream", 4),
        ("source=webhook", 0),
        ("from=2026-04-04T13:01:00Z", 2),
        ("to=2026-04-04T13:01:00Z", 2),
        ("orderId=order-1&status=PROCESSING&source=stream", 1),
    ] {
        let answer = relay.get(&tenant.token, &format!("/v1/events?{filter}")).await;
        assert_eq!(answer.rows().len(), found, "{filter}: {answer:?}");
    }
}

#[sqlx::test]
async fn an_event_is_shown_with_its_sightings_and_its_payload_as_it_came(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let id = keep_order(&relay, &tenant, "order-1", &LIFE).await[2];
    let answer = relay.get(&tenant.token, &format!("/v1/events/{id}")).await;
    let event = answer.json();
    assert_eq!(event["id"], id.to_string());
    assert_eq!(event["partnerOrderId"], "po-order-1");
    assert_eq!(event["occurredAt"], "2026-04-04T13:02:00.000Z");
    assert_eq!(
        event["sightings"],
        json!([{"source": "stream", "at": "2026-04-04T13:02:00.000Z", "verified": true}])
    );
    assert!(
        answer.text.contains(
            r#""payload":{"id":"order-1","status":"COMPLETED","cryptoAmount":0.0006130127560164107,"#
        )
    );
}

#[sqlx::test]
async fn a_payload_that_retention_dropped_is_null(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let id = keep_order(&relay, &tenant, "order-1", &LIFE).await[2];
    sqlx::query("delete from payload").execute(&relay.pool).await.unwrap();
    assert_eq!(relay.get(&tenant.token, &format!("/v1/events/{id}")).await.json()["payload"], Value::Null);
    assert_eq!(relay.get(&tenant.token, "/v1/orders/order-1").await.json()["order"], Value::Null);
}

#[sqlx::test]
async fn a_timeline_tells_what_happened_when_and_who_was_told(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let events = keep_order(&relay, &tenant, "order-1", &LIFE).await;
    let endpoint = relay.endpoint(&tenant).await;
    keep_delivery(&relay, &tenant, (events[0], endpoint), "succeeded").await;
    keep_delivery(&relay, &tenant, (events[2], endpoint), "exhausted").await;
    let timeline = relay.get(&tenant.token, "/v1/orders/order-1/timeline").await.json();
    assert_eq!((&timeline["status"], &timeline["terminal"]), (&json!("COMPLETED"), &json!(true)));
    assert_eq!(timeline["gaps"], json!([]));
    let entries = timeline["entries"].as_array().unwrap();
    let statuses: Vec<_> = entries.iter().map(|entry| &entry["status"]).collect();
    assert_eq!(statuses, LIFE);
    let durations: Vec<_> = entries.iter().map(|entry| entry["durationMs"].as_i64()).collect();
    assert_eq!(durations, [Some(60_000), Some(60_000), None]);
    let told = &entries[0]["deliveries"][0];
    assert_eq!((&told["state"], &told["lastStatusCode"]), (&json!("succeeded"), &json!(500)));
    assert!(told["deliveredAt"].is_string());
    assert_eq!(entries[1]["deliveries"], json!([]));
    assert_eq!(entries[2]["deliveries"][0]["deliveredAt"], Value::Null, "exhausted is not delivered");
    assert_eq!(entries[0]["sightings"][0]["source"], "stream");
}

#[sqlx::test]
async fn a_timeline_shows_the_gaps_that_touch_its_order_and_what_is_unusual(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    keep_order(&relay, &tenant, "order-1", &["COMPLETED", "PROCESSING"]).await;
    sqlx::query("update event set anomaly = 'COMPLETED before PROCESSING' where status = 'PROCESSING'")
        .execute(&relay.pool)
        .await
        .unwrap();
    // The order lived from minute 0 to minute 1 and is not over.
    for (from, to) in [("12:00", Some("12:30")), ("12:59", Some("13:00")), ("13:00:30", None)] {
        let span = |time: &str| time_of_that_day(time);
        sqlx::query(
            "insert into gap (partner_id, gap_id, started_at, ended_at, reason)
             values ($1, gen_random_uuid(), $2, $3, 'test')",
        )
        .bind(tenant.partner_id)
        .bind(span(from))
        .bind(to.map(span))
        .execute(&relay.pool)
        .await
        .unwrap();
    }
    let timeline = relay.get(&tenant.token, "/v1/orders/order-1/timeline").await.json();
    assert_eq!(timeline["entries"][1]["anomaly"], "COMPLETED before PROCESSING");
    assert_eq!(timeline["entries"][0]["anomaly"], Value::Null);
    let gaps = json!([
        {"from": "2026-04-04T12:59:00.000Z", "to": "2026-04-04T13:00:00.000Z", "repairedAt": null},
        {"from": "2026-04-04T13:00:30.000Z", "to": null, "repairedAt": null},
    ]);
    assert_eq!(timeline["gaps"], gaps);
}

fn time_of_that_day(time: &str) -> chrono::DateTime<chrono::Utc> {
    let seconds = if time.len() == 5 { ":00" } else { "" };
    format!("2026-04-04T{time}{seconds}Z").parse().unwrap()
}

#[sqlx::test]
async fn an_event_leads_to_its_deliveries_and_a_delivery_to_its_attempts(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let events = keep_order(&relay, &tenant, "order-1", &LIFE).await;
    let endpoint = relay.endpoint(&tenant).await;
    let id = keep_delivery(&relay, &tenant, (events[0], endpoint), "exhausted").await;
    let event = relay.get(&tenant.token, &format!("/v1/events/{}", events[0])).await.json();
    let told = json!([{"deliveryId": id, "endpointId": endpoint, "state": "exhausted", "attempts": 1,
                       "lastStatusCode": 500, "deliveredAt": null}]);
    assert_eq!(event["deliveries"], told);
    let path = format!("/v1/deliveries/{}", event["deliveries"][0]["deliveryId"].as_str().unwrap());
    assert_eq!(relay.get(&tenant.token, &path).await.json()["attemptLog"].as_array().unwrap().len(), 1);
    let untold = relay.get(&tenant.token, &format!("/v1/events/{}", events[1])).await.json();
    assert_eq!(untold["deliveries"], json!([]));
}

#[sqlx::test]
async fn at_the_same_instant_the_further_status_comes_later(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    keep_order(&relay, &tenant, "order-1", &["COMPLETED", "PROCESSING", "AWAITING_PAYMENT_FROM_USER"]).await;
    sqlx::query("update event set occurred_at = $1").bind(at(0)).execute(&relay.pool).await.unwrap();
    let timeline = relay.get(&tenant.token, "/v1/orders/order-1/timeline").await.json();
    let statuses: Vec<_> =
        timeline["entries"].as_array().unwrap().iter().map(|entry| &entry["status"]).collect();
    assert_eq!(statuses, LIFE);
}

#[sqlx::test]
async fn a_status_history_says_how_long_each_status_lasted(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    keep_order(&relay, &tenant, "order-1", &["PROCESSING", "PROCESSING", "COMPLETED"]).await;
    let history = relay.get(&tenant.token, "/v1/orders/order-1/status-history").await.json();
    let row = |status: &str, at: &str, duration: Value| {
        json!({"status": status, "event": "ORDER_PROCESSING", "createdAt": at, "message": format!("now {status}"),
               "source": "stream", "durationMs": duration})
    };
    let rows = [
        row("PROCESSING", "2026-04-04T13:00:00.000Z", json!(120_000)),
        row("COMPLETED", "2026-04-04T13:02:00.000Z", Value::Null),
    ];
    let whole = json!({"orderId": "order-1", "currentStatus": "COMPLETED", "terminal": true, "data": rows});
    assert_eq!(history, whole);
}

#[sqlx::test]
async fn a_delivery_is_shown_with_the_evidence_of_its_attempts(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let event = keep_order(&relay, &tenant, "order-1", &LIFE).await[0];
    let endpoint = relay.endpoint(&tenant).await;
    let id = keep_delivery(&relay, &tenant, (event, endpoint), "exhausted").await;
    let delivery = relay.get(&tenant.token, &format!("/v1/deliveries/{id}")).await.json();
    let log = &delivery["attemptLog"][0];
    assert_eq!(log["statusCode"], 500);
    assert_eq!(
        log["durationsMs"],
        json!({"dns": 1, "connect": null, "tls": null, "firstByte": null, "total": 7})
    );
    assert_eq!(log["request"], json!({"headers": {"webhook-id": "evt"}}));
    assert_eq!(
        log["response"],
        json!({"headers": {"server": "x"}, "body": "/25v", "bodyBase64": true, "bodyTruncated": null})
    );
    for (filter, found) in [
        (format!("endpointId={endpoint}"), 1),
        (format!("eventId={event}"), 1),
        ("orderId=order-1".to_owned(), 1),
        ("orderId=order-2".to_owned(), 0),
        ("state=exhausted".to_owned(), 1),
        ("state=pending".to_owned(), 0),
        (format!("orderId=order-1&eventId={event}&state=exhausted"), 1),
    ] {
        let answer = relay.get(&tenant.token, &format!("/v1/deliveries?{filter}")).await;
        assert_eq!(answer.rows().len(), found, "{filter}: {answer:?}");
    }
}
