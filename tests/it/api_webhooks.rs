//! Transak's Get Webhooks, served by the relay.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::model::seal::MasterKey;
use transak_relay::store::access_token;
use transak_relay::store::event::webhooks::{WebhookFilter, list};
use transak_relay::store::list::snapshot;

use crate::api::{ADMIN, Answer, Relay, keep_delivery, keep_order};
use crate::hot_path::entries_read;

const PATH: &str = "/partners/api/v2/webhooks";
/// Of the form of Transak's access tokens; expires in 2030.
const TRANSAKS: &str = "eyJhbGciOiJIUzI1NiJ9.eyJBUElfS0VZIjoia2V5LWEiLCJleHAiOjE5MDAwMDAwMDB9.c2ln";

/// As every example of Transak's page does it: a plain GET with one header.
pub(crate) async fn get(relay: &Relay, token: &str, query: &str) -> Answer {
    let request = Request::get(format!("{PATH}{query}")).header("access-token", token);
    relay.send(request.body(Body::empty()).unwrap()).await
}

#[sqlx::test]
async fn events_are_listed_as_transak_lists_them(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let events = keep_order(&relay, &tenant, "order-1", &["PROCESSING", "COMPLETED"]).await;
    sqlx::query("update event set event = 'ORDER_COMPLETED' where status = 'COMPLETED'")
        .execute(&relay.pool)
        .await
        .unwrap();
    let endpoint = relay.endpoint(&tenant).await;
    keep_delivery(&relay, &tenant, (events[1], endpoint), "exhausted").await;
    let answer = get(&relay, &tenant.token, "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["meta"]), (200, &json!({})), "{answer:?}");
    assert!(answer.text.contains(
        r#""webhookData":{"id":"order-1","status":"COMPLETED","cryptoAmount":0.0006130127560164107,"#
    ));
    let rows = answer.rows();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["eventID"], "ORDER_COMPLETED", "newest first");
    assert_eq!(rows[0]["partnerApiKey"], "key-a");
    assert_eq!(rows[0]["createdAt"], "2026-04-04T13:01:00.000Z");
    let response = json!({"body": {"success": false}, "statusCode": 500, "statusMessage": "Internal Server Error",
                          "url": "https://example.com/hook"});
    assert_eq!((&rows[0]["webhookResponse"], &rows[1]["webhookResponse"]), (&response, &json!({})));
    assert_eq!(get(&relay, &tenant.token, "").await.text, answer.text, "ids are stable");
}

#[sqlx::test]
async fn events_are_found_by_name_and_order_and_cut_off(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    keep_order(&relay, &tenant, "order-1", &["PROCESSING", "COMPLETED"]).await;
    keep_order(&relay, &tenant, "order-2", &["PROCESSING"]).await;
    sqlx::query("update event set event = 'relay.test' where order_id = 'order-2'")
        .execute(&relay.pool)
        .await
        .unwrap();
    for (query, found) in [
        ("?eventID=ORDER_PROCESSING", 2),
        ("?eventID=ORDER_COMPLETED", 0),
        ("?orderID=order-1", 2),
        ("?orderID=order-2", 0),
        ("?eventID=ORDER_PROCESSING&orderID=order-1", 2),
        ("?limit=1", 1),
        ("?skip=1", 1),
        ("?limit=1&skip=2", 0),
        ("?somethingElse=1", 2),
    ] {
        assert_eq!(get(&relay, &tenant.token, query).await.rows().len(), found, "{query}");
    }
    let meta = get(&relay, &tenant.token, "?eventID=ORDER_FAILED&orderID=x").await.json()["meta"].clone();
    assert_eq!(meta, json!({"orderID": "x", "eventID": "ORDER_FAILED"}));
}

#[sqlx::test]
async fn an_event_that_is_rare_or_never_came_is_looked_for_along_an_index(pool: PgPool) {
    let relay = Relay::new(pool);
    let (ours, theirs) = (relay.tenant("a").await, relay.tenant("b").await);
    for (tenant, common) in [(&ours, "ORDER_PROCESSING"), (&theirs, "ORDER_FAILED")] {
        sqlx::query(
            "insert into event (partner_id, event_id, order_id, event, status, identity, occurred_at, received_at)
             select $1, gen_random_uuid(), 'o' || n, case when n = 10000 then 'ORDER_COMPLETED' else $2 end, 'S',
                    uuid_send(gen_random_uuid()), now() - n * interval '1 min', now() - n * interval '1 min'
             from generate_series(1, 10000) as n",
        )
        .bind(tenant.partner_id)
        .bind(common)
        .execute(&relay.pool)
        .await
        .unwrap();
    }
    sqlx::raw_sql("analyze").execute(&relay.pool).await.unwrap();
    for (name, found) in
        [("ORDER_COMPLETED", 1), ("ORDER_FAILED", 0), ("ORDER_REFUNDED", 0), ("ORDER_PROCESSING", 500)]
    {
        let filter = WebhookFilter { event: Some(name.to_owned()), order_id: None, limit: 500, skip: 0 };
        let mut conn = snapshot(&relay.pool).await.unwrap();
        let before = entries_read(&mut conn).await;
        assert_eq!(list(&mut conn, &[ours.partner_id], &filter).await.unwrap().len(), found, "{name}");
        let read = entries_read(&mut conn).await - before;
        assert!(read < 600, "{name}: {read} index entries were read");
    }
    let rows = relay.get(&ours.token, "/v1/events?event=ORDER_COMPLETED").await;
    assert_eq!((rows.rows().len(), &rows.json()["nextCursor"]), (1, &Value::Null), "on the first page");
}

#[sqlx::test]
async fn the_partners_current_transak_token_opens_it(pool: PgPool) {
    let relay = Relay::new(pool);
    let (ours, theirs) = (relay.tenant("a").await, relay.tenant("b").await);
    keep_order(&relay, &ours, "order-1", &["COMPLETED"]).await;
    keep_order(&relay, &theirs, "order-2", &["COMPLETED"]).await;
    let path = format!("/v1/partners/{}", ours.id);
    relay.patch(ADMIN, &path, json!({"accessToken": TRANSAKS})).await;
    let rows = get(&relay, TRANSAKS, "").await.rows();
    assert_eq!((rows.len(), &rows[0]["webhookData"]["id"]), (1, &json!("order-1")));
    assert_eq!(
        get(&relay, TRANSAKS, &format!("?partnerId={}", theirs.id)).await.rows(),
        rows,
        "no way around it"
    );

    let newer = TRANSAKS.replace("c2ln", "bmV3");
    relay.patch(ADMIN, &path, json!({"accessToken": newer})).await;
    assert_eq!(get(&relay, TRANSAKS, "").await.status, 401, "only the current one");
    assert_eq!(get(&relay, &newer, "").await.status, 200);
    sqlx::query("update access_token set expires_at = now()").execute(&relay.pool).await.unwrap();
    assert_eq!(get(&relay, &newer, "").await.status, 401, "and not once it has expired");
    relay.get(&newer, "/v1/orders").await.is_problem(401, "unauthorized");
}

#[sqlx::test]
async fn a_transak_token_that_was_kept_in_any_form_opens_it(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    keep_order(&relay, &tenant, "order-1", &["COMPLETED"]).await;
    let key = MasterKey::parse("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=").unwrap();
    let mut conn = relay.pool.acquire().await.unwrap();
    for token in ["an-opaque-token", "rl_y", "e30.e30.e30"] {
        let id = tenant.id.parse().unwrap();
        access_token::add(&mut conn, &key, id, &token.to_owned().into()).await.unwrap();
        assert_eq!(get(&relay, token, "").await.rows().len(), 1, "{token}");
    }
}

#[sqlx::test]
async fn errors_have_transaks_shape(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let unauthorized =
        json!({"error": {"statusCode": 401, "name": "Unauthorized", "message": "Authorization Required"}});
    for token in ["", "YOUR_ACCESS_TOKEN", "rly_wrong", "eyJ.eyJ.x"] {
        let answer = get(&relay, token, "").await;
        assert_eq!((answer.status.as_u16(), answer.json()), (401, unauthorized.clone()));
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    }
    for query in [
        "?eventID=ORDER_EATEN",
        "?eventID=",
        "?eventID=relay.test",
        "?orderID=",
        "?orderID=%00",
        "?limit=501",
        "?skip=-1",
    ] {
        let answer = get(&relay, &tenant.token, query).await;
        let error: &Value = &answer.json()["error"];
        assert_eq!((&error["statusCode"], &error["name"]), (&json!(400), &json!("Bad Request")), "{query}");
        assert_eq!(answer.status, 400);
    }
    relay.pool.close().await;
    let answer = get(&relay, &tenant.token, "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["statusCode"]), (503, &json!(503)));
}

#[sqlx::test]
async fn of_more_events_than_an_answer_holds_the_newest_are_shown(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    keep_order(&relay, &tenant, "order-1", &["PROCESSING"]).await;
    sqlx::query(
        "insert into event (partner_id, event_id, order_id, event, status, identity, occurred_at, received_at)
         select partner_id, gen_random_uuid(), order_id, event, status, decode(md5(n::text), 'hex'),
                occurred_at + n * interval '1 second', received_at from event, generate_series(1, 510) n",
    )
    .execute(&relay.pool)
    .await
    .unwrap();
    let all = get(&relay, &tenant.token, "").await.rows();
    assert_eq!((all.len(), &all[0]["createdAt"]), (500, &json!("2026-04-04T13:08:30.000Z")));
    let rest = get(&relay, &tenant.token, "?skip=500").await.rows();
    assert_eq!((rest.len(), &rest[10]["createdAt"]), (11, &json!("2026-04-04T13:00:00.000Z")));
}
