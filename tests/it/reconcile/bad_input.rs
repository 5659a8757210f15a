//! What Transak's REST API should not answer: counted, and no neighbour is lost.

use chrono::{TimeDelta, Utc};
use serde_json::json;
use sqlx::PgPool;
use transak_relay::intake::reconcile::Summary;
use transak_relay::model::event::Source;

use super::{COMPLETED, CREATED, PENDING, PROCESSING, ago, house_with_gap, names, way};
use crate::fake_transak::{Fault, order};
use crate::intake_house::House;

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn pages_that_go_round_in_circles_end_and_the_gap_stays_open(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    let one = json!({"id": "o1", "status": COMPLETED, "updatedAt": ago(90)});
    let page = json!({"meta": {"totalCount": 1_000_000}, "data": [one]});
    house.fake.fault("/orders", Fault::Body(page.to_string()));
    let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!((summary.gaps_failed, summary.found), (1, 1));
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn an_answer_that_cannot_be_used_costs_its_order_a_look_and_no_other_anything(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    let token = house.fake.world().token.clone();
    let answers = [
        "<!doctype html><title>502 Bad Gateway</title>".to_owned(),
        r#"{"meta":{},"data":{"id":"bad0","sta"#.to_owned(),
        "x".repeat(10 << 20),
        r#"{"data":["another shape"]}"#.to_owned(),
        json!({"data": order("another", COMPLETED, ago(60))}).to_string(),
        format!(r#"{{"data":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000)),
    ];
    let bad = ["bad0", "bad1", "bad2", "bad3", "bad4", "bad5"];
    let way = way(100);
    house.fake.world().play("good", &way);
    for id in bad.iter().copied().chain(["good"]) {
        house.hear(Source::Stream, &order(id, CREATED, way[0].1), &token).await;
        house.due(id, ago(1)).await;
    }
    let faults = bad.into_iter().zip(answers).map(|(id, answer)| (id, Fault::Body(answer)));
    house.fake.world().faults = faults.collect();
    let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!((summary.orders, summary.errors, summary.given_up), (7, 6, 0));
    assert_eq!(house.statuses("good").await, [CREATED, PROCESSING, PENDING, COMPLETED]);
    assert!(house.statuses("another").await.is_empty(), "nobody asked for that one");
    assert!(house.next_look("bad0").await.unwrap() > Utc::now());
    assert!(house.quarantined().await.is_empty());
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn webhooks_that_cannot_be_read_leave_the_gap_open_but_lose_no_event(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    house.fake.world().play("o1", &way(100));
    house.fake.world().play("o2", &way(100));
    house.fake.fault("orderID=o1", Fault::Body("<html>".to_owned()));
    let (mut reconciler, now) = (house.reconciler(), Utc::now());
    let summary = reconciler.run_once(now).await.unwrap();
    assert_eq!((summary.gaps_failed, summary.found), (1, 8));
    assert_eq!(house.gaps().await, (0, names(&["Transak's answer cannot be used: it is not JSON"])));
    house.fake.world().faults.clear();
    assert_eq!(reconciler.run_once(now + TimeDelta::seconds(29)).await.unwrap().gaps_repaired, 0);
    let summary = reconciler.run_once(now + TimeDelta::seconds(40)).await.unwrap();
    assert_eq!((summary.gaps_repaired, summary.found), (1, 0));
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn rows_of_other_orders_are_left_out(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    {
        let mut world = house.fake.world();
        world.play("o1", &way(100));
        let rows = world.webhooks.get_mut("o1").unwrap();
        rows.clear();
        rows.push(json!({"webhookData": order("o2", COMPLETED, ago(90)), "eventID": "ORDER_COMPLETED"}));
        rows.push(json!({"partnerApiKey": "other", "webhookData": order("o1", "FAILED", ago(90))}));
        rows.push(json!("a row of another shape"));
        let mut history = world.orders[0]["statusHistories"].clone();
        history.as_array_mut().unwrap().push(json!({"status": 7}));
        world.orders[0]["statusHistories"] = history;
    }
    let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!((summary.found, summary.errors, summary.gaps_repaired), (4, 4, 1));
    assert_eq!(house.statuses("o1").await, [CREATED, PROCESSING, PENDING, COMPLETED]);
    assert!(house.statuses("o2").await.is_empty());
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn an_order_of_another_partner_is_not_taken(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    house.fake.world().play("o1", &way(100));
    house.fake.world().orders[0]["partnerApiKey"] = json!("other");
    let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!((summary.found, summary.errors), (0, 1));
    assert_eq!(house.fake.calls("webhooks"), 0);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn transak_is_left_alone_as_long_as_it_asks(pool: PgPool) {
    for status in [429, 503] {
        let house = house_with_gap(&pool).await;
        house.fake.world().play("o1", &way(100));
        house.fake.fault("/orders", Fault::Status(status, Some(600), "x"));
        let (mut reconciler, now) = (house.reconciler(), Utc::now());
        for _ in 0..3 {
            reconciler.run_once(now).await.unwrap();
        }
        assert_eq!(house.fake.calls("/"), 1);
        reconciler.run_once(now + TimeDelta::seconds(590)).await.unwrap();
        assert_eq!(house.fake.calls("/"), 1);
        house.fake.world().faults.clear();
        let summary = reconciler.run_once(now + TimeDelta::seconds(620)).await.unwrap();
        assert_eq!((summary.gaps_repaired, summary.found), (1, 4), "{status}");
        sqlx::query("truncate event, sighting, payload, \"order\", gap, access_token, partner cascade")
            .execute(&pool)
            .await
            .unwrap();
    }
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn one_order_that_is_never_answered_for_holds_up_no_other(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    let token = house.fake.world().token.clone();
    let way = way(100);
    for id in ["bad", "o1", "o2"] {
        house.hear(Source::Stream, &order(id, CREATED, way[0].1), &token).await;
        house.due(id, ago(1)).await;
        house.fake.world().play(id, &way);
    }
    house.fake.fault("order/bad", Fault::Status(500, None, "x"));
    let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!((summary.found, summary.errors, summary.given_up), (6, 1, 0));
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_server_that_is_down_is_asked_three_times_and_then_left_alone(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    let token = house.fake.world().token.clone();
    for n in 0..20 {
        let id = format!("o{n}");
        house.hear(Source::Stream, &order(&id, CREATED, ago(100)), &token).await;
        house.due(&id, ago(1)).await;
    }
    house.fake.fault("/", Fault::Status(500, None, "x"));
    let (mut reconciler, now) = (house.reconciler(), Utc::now());
    assert_eq!(reconciler.run_once(now).await.unwrap().given_up, 1);
    let calls = house.fake.calls("/");
    assert!((3..=6).contains(&calls), "{calls}: three, and what was under way at once");
    let again = reconciler.run_once(now + TimeDelta::seconds(4)).await.unwrap();
    assert_eq!(again, Summary::default(), "left alone");
}
