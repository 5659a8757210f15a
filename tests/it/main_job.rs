//! The main job: what is heard is kept, what is kept is told, what is told is shown.

use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::intake::Form;
use transak_relay::model::event::Source;
use transak_relay::store::pool::MIGRATOR;

use crate::world::{World, order, pluck};

/// The sample of docs.transak.com/features/websockets, with numbers that a binary float would bend and a field that
/// nobody knows yet.
const SAMPLE: &str = r#"{"id":"aa39d8e1-0000-4000-8000-00000000ce7f","walletAddress":"0xD902BEFeE","createdAt":"2025-04-04T13:11:47.260Z","status":"AWAITING_PAYMENT_FROM_USER","fiatCurrency":"EUR","userId":"243a8ce2-b19a3","cryptoCurrency":"ETH","isBuyOrSell":"BUY","fiatAmount":30,"ipAddress":"14.142.0.1","amountPaid":0,"paymentOptionId":"sepa_bank_transfer","walletLink":"https://sepolia.etherscan.io/address/0xD902BEFeE","quoteId":"9291a8bc-04e85","orderProcessingType":"NORMAL","addressAdditionalData":false,"network":"ethereum","conversionPrice":0.0006130127560164107,"cryptoAmount":0.01759347,"totalFeeInFiat":1.3,"fiatAmountInUsd":33.05,"countryCode":"IN","partnerOrderId":"partner-order-id","stateCode":"Karnataka","orderChannelType":"WIDGET","tokenContractAddress":"0x0000","userKycType":"STANDARD","updatedAt":"2025-04-04T13:11:48.374Z","cardPaymentData":{},"conversionPriceData":{},"partnerFeeInLocalCurrency":0.30,"statusHistories":[],"notInventedYet":{"kept":[1.10,"2",null]}}"#;

#[sqlx::test(migrator = "MIGRATOR")]
async fn transaks_sample_comes_out_of_the_event_and_of_the_callback_byte_for_byte(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (receiver, _) = world.endpoint(json!({})).await;
    let message = world.signed(SAMPLE);
    world.hear(&message).await;
    assert_eq!(world.dispatcher.drain().await.unwrap(), 1);

    let arrival = receiver.arrivals().remove(0);
    assert!(arrival.verified);
    let body = String::from_utf8(arrival.body.to_vec()).unwrap();
    assert!(body.ends_with(&format!(r#","data":{SAMPLE}}}"#)), "{body}");
    assert!(body.starts_with(r#"{"type":"ORDER_CREATED","timestamp":"2025-04-04T13:11:48.374Z""#), "{body}");

    let (_, events) = world.call("GET", "/v1/events", None).await;
    let id = pluck(&events["data"], "id")[0];
    let (status, event) = world.call_raw("GET", &format!("/v1/events/{id}"), None).await;
    assert!(status.is_success());
    let event = String::from_utf8(event.to_vec()).unwrap();
    assert!(event.contains(&format!(r#""payload":{SAMPLE}"#)), "{event}");
    assert_eq!(arrival.message_id, id);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_whole_life_is_told_once_and_shown_in_order_whatever_order_it_came_in(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (receiver, endpoint) = world.endpoint(json!({})).await;
    let life = ["AWAITING_PAYMENT_FROM_USER", "PROCESSING", "PENDING_DELIVERY_FROM_TRANSAK", "COMPLETED"];
    for minute in [3, 0, 2, 1] {
        let message = world.signed(&order("o1", life[minute], u32::try_from(minute).unwrap()));
        // Heard again is not a second event.
        world.hear(&message).await;
        world.hear(&format!("\"{message}\"")).await;
    }
    world.dispatcher.drain().await.unwrap();
    assert_eq!(receiver.arrivals().len(), 4);

    let (_, timeline) = world.call("GET", "/v1/orders/o1/timeline", None).await;
    assert_eq!(pluck(&timeline["entries"], "status"), life);
    assert_eq!((&timeline["status"], &timeline["terminal"]), (&json!("COMPLETED"), &json!(true)));
    assert_eq!(timeline["entries"][0]["durationMs"], json!(60_000));
    for entry in timeline["entries"].as_array().unwrap() {
        assert_eq!(entry["anomaly"], Value::Null);
        assert_eq!(entry["sightings"].as_array().unwrap().len(), 2);
        assert_eq!(entry["deliveries"][0]["state"], json!("succeeded"));
        assert_eq!(entry["deliveries"][0]["endpointId"], endpoint["id"]);
    }
    let (_, history) = world.call("GET", "/v1/orders/o1/status-history", None).await;
    assert_eq!(pluck(&history["data"], "status"), life);
    assert_eq!(history["currentStatus"], json!("COMPLETED"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_same_transition_from_two_sources_is_one_event_with_two_sightings(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (receiver, _) = world.endpoint(json!({})).await;
    let snapshot = order("o1", "COMPLETED", 5);
    let stream = world.signed(&snapshot);
    let webhook = world.signed(&format!(
        r#"{{"webhookData":{snapshot},"eventID":"ORDER_COMPLETED","createdAt":"2025-04-04T13:06:00.000Z"}}"#
    ));
    world.hear(&stream).await;
    world.hear_from(Source::Webhook, Form::Signed, &webhook).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(receiver.arrivals().len(), 1);
    let (_, timeline) = world.call("GET", "/v1/orders/o1/timeline", None).await;
    assert_eq!(timeline["entries"].as_array().unwrap().len(), 1);
    assert_eq!(pluck(&timeline["entries"][0]["sightings"], "source"), ["stream", "webhook"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_history_row_is_an_event_only_until_the_message_itself_is_heard(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (receiver, _) = world.endpoint(json!({})).await;
    world.hear_from(Source::Reconcile, Form::History, &order("o1", "PROCESSING", 1)).await;
    let message = world.signed(&order("o1", "PROCESSING", 2));
    world.hear(&message).await;
    world.hear(&message).await;
    world.hear_from(Source::Reconcile, Form::History, &order("o1", "PROCESSING", 1)).await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(world.count("event").await, 1);
    assert_eq!(receiver.arrivals().len(), 1);
    let (_, timeline) = world.call("GET", "/v1/orders/o1/timeline", None).await;
    assert_eq!(pluck(&timeline["entries"][0]["sightings"], "source"), ["reconcile", "stream", "stream"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_cannot_be_believed_is_put_aside_and_its_neighbours_are_kept(pool: PgPool) {
    let mut world = World::new(pool).await;
    let good = world.signed(&order("o1", "PROCESSING", 1));
    let long = world.signed(&order(&"x".repeat(10_000), "PROCESSING", 1));
    for data in
        ["not json", "", "\0", "eyJhbGciOiJub25lIn0.e30.", r#"{"id":1}"#, &"x".repeat(200_000), &long, &good]
    {
        world.hear(data).await;
    }
    assert_eq!(world.count("event").await, 1);
    let (_, aside) = world.call("GET", "/v1/quarantine", None).await;
    assert_eq!(aside["data"].as_array().unwrap().len(), 7);
    for reason in pluck(&aside["data"], "reason") {
        assert!(!reason.is_empty());
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_failing_receiver_is_tried_again_on_the_schedule_and_then_given_up_in_plain_sight(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (receiver, _) = world.endpoint(json!({ "retrySchedule": [5, 300] })).await;
    receiver.answer(transak_relay::sandbox::receiver::Answer {
        status: axum::http::StatusCode::INTERNAL_SERVER_ERROR,
        ..Default::default()
    });
    let message = world.signed(&order("o1", "PROCESSING", 1));
    world.hear(&message).await;
    for attempt in 1..=3 {
        assert_eq!(world.dispatcher.drain().await.unwrap(), 1, "attempt {attempt}");
        // Time passes.
        sqlx::query("update delivery set next_attempt_at = now() where next_attempt_at is not null")
            .execute(&world.pool)
            .await
            .unwrap();
    }
    assert_eq!(world.dispatcher.drain().await.unwrap(), 0);
    let (_, list) = world.call("GET", "/v1/deliveries", None).await;
    let id = pluck(&list["data"], "id")[0];
    let (_, delivery) = world.call("GET", &format!("/v1/deliveries/{id}"), None).await;
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("exhausted"), &json!(3)));
    let log = delivery["attemptLog"].as_array().unwrap();
    assert_eq!(log.len(), 3);
    for attempt in log {
        assert_eq!(attempt["statusCode"], json!(500));
        assert!(attempt["request"]["headers"]["webhook-signature"].as_str().unwrap().starts_with("v1,"));
    }
    let ids: Vec<_> = receiver.arrivals().into_iter().map(|arrival| arrival.message_id).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]), "the id is the same at every attempt");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_endpoint_hears_only_what_it_asked_for(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (receiver, _) = world.endpoint(json!({ "events": ["ORDER_COMPLETED"] })).await;
    let (other, _) = world.endpoint(json!({ "statuses": ["PROCESSING"] })).await;
    for (status, minute) in [("AWAITING_PAYMENT_FROM_USER", 1), ("PROCESSING", 2), ("COMPLETED", 3)] {
        let message = world.signed(&order("o1", status, minute));
        world.hear(&message).await;
    }
    world.dispatcher.drain().await.unwrap();
    let statuses = |receiver: &transak_relay::sandbox::receiver::Receiver| {
        receiver.arrivals().into_iter().map(|arrival| arrival.status).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&receiver), ["COMPLETED"]);
    assert_eq!(statuses(&other), ["PROCESSING"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_handler_written_for_transaks_webhooks_runs_unchanged(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (receiver, _) = world.endpoint(json!({ "format": "transak" })).await;
    let message = world.signed(&order("o1", "COMPLETED", 1));
    world.hear(&message).await;
    world.dispatcher.drain().await.unwrap();
    let arrival = receiver.arrivals().remove(0);
    assert!(arrival.verified);
    let body: Value = serde_json::from_slice(&arrival.body).unwrap();
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["data"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_message_put_aside_is_kept_once_the_partners_token_is_known(pool: PgPool) {
    let mut world = World::new(pool).await;
    let newer =
        transak_relay::sandbox::signing::access_token(crate::world::API_KEY, 1_900_000_000, 604_800).unwrap();
    let message = transak_relay::sandbox::signing::sign(&newer, &order("o1", "COMPLETED", 1)).unwrap();
    world.hear(&message).await;
    let (_, aside) = world.call("GET", "/v1/quarantine", None).await;
    let path = format!("/v1/quarantine/{}/retry", pluck(&aside["data"], "id")[0]);
    let (status, answer) = world.call("POST", &path, None).await;
    assert_eq!((status.as_u16(), &answer["result"]), (200, &json!("stays")), "{answer}");
    let token = secrecy::ExposeSecret::expose_secret(&newer).to_owned();
    let partner = format!("/v1/partners/{}", world.partner);
    let (status, answer) = world.call("PATCH", &partner, Some(json!({ "accessToken": token }))).await;
    assert_eq!(status.as_u16(), 200, "{answer}");
    world.look_again().await;
    let (status, answer) = world.post_while_writing(&path, json!({})).await;
    assert_eq!((status.as_u16(), answer), (200, json!({ "result": "kept", "reason": null, "detail": null })));
    let (_, aside) = world.call("GET", "/v1/quarantine", None).await;
    assert_eq!(aside["data"], json!([]));
    assert_eq!(world.count("event").await, 1);
    let (status, _) = world.call("POST", &path, None).await;
    assert_eq!(status.as_u16(), 404);
}
