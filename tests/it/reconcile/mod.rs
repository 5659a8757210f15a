//! What the stream did not tell is read from Transak's REST API: gaps, and orders under way.

mod bad_input;
mod clocks;
mod lists;
mod orders;
mod partners;
mod resume;
mod whole;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::intake::Fate;
use transak_relay::model::event::Source;

use crate::fake_transak::order;
use crate::intake_house::House;

const CREATED: &str = "AWAITING_PAYMENT_FROM_USER";
const PROCESSING: &str = "PROCESSING";
const PENDING: &str = "PENDING_DELIVERY_FROM_TRANSAK";
const COMPLETED: &str = "COMPLETED";

/// This many seconds ago, in whole milliseconds as Transak writes times.
fn ago(seconds: i64) -> DateTime<Utc> {
    let at = Utc::now() - TimeDelta::seconds(seconds);
    DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap()
}

fn way(begin: i64) -> [(&'static str, DateTime<Utc>); 4] {
    let begin = ago(begin);
    let at = |step| begin + TimeDelta::seconds(step);
    [(CREATED, at(0)), (PROCESSING, at(1)), (PENDING, at(2)), (COMPLETED, at(3))]
}

/// A partner with a gap from two minutes to one minute ago.
async fn house_with_gap(pool: &PgPool) -> House {
    let house = House::new(pool, false, true).await;
    house.gap(ago(120), ago(60)).await;
    house
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn an_order_that_lived_in_a_gap_becomes_an_event_a_step_and_the_gap_is_repaired(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    house.fake.world().play("o1", &way(100));
    let mut reconciler = house.reconciler();
    let summary = reconciler.run_once(Utc::now()).await.unwrap();
    assert_eq!((summary.gaps_repaired, summary.found, summary.errors), (1, 4, 0));
    assert_eq!(house.statuses("o1").await, [CREATED, PROCESSING, PENDING, COMPLETED]);
    assert_eq!(house.gaps().await, (1, vec![]));
    let payloads: Vec<Vec<u8>> = sqlx::query_scalar(
        "select body from payload join event using (partner_id, event_id) order by occurred_at",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let first: Value = serde_json::from_slice(&payloads[0]).unwrap();
    assert_eq!(first.get("statusHistories"), None, "it is the message itself, not the order of today");
    let again = reconciler.run_once(Utc::now()).await.unwrap();
    assert_eq!((again.orders, again.found), (0, 0), "a repaired gap is not repaired again");
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn without_webhooks_the_history_stands_in_and_a_late_message_is_the_same_event(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    let way = way(100);
    house.fake.world().play("o1", &way);
    house.fake.world().webhooks.clear();
    house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!(house.statuses("o1").await, [CREATED, PROCESSING, PENDING, COMPLETED]);
    let late = order("o1", PENDING, way[2].1 - TimeDelta::milliseconds(300));
    let token = house.fake.world().token.clone();
    assert_eq!(house.hear(Source::Webhook, &late, &token).await, Fate::Sighted);
    let events = house.events("o1").await;
    assert_eq!(events[2].1, "ORDER_PROCESSING");
    assert_eq!(events[2].2, "webhook reconcile");
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_message_that_transak_lists_with_another_time_is_the_same_event(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    let way = way(100);
    house.fake.world().play("o1", &way);
    let token = house.fake.world().token.clone();
    let message = |step: usize, later| order("o1", way[step].0, way[step].1 + TimeDelta::milliseconds(later));
    house.hear(Source::Stream, &message(0, -400), &token).await;
    house.reconciler().run_once(Utc::now()).await.unwrap();
    for (step, later) in [(1, -400), (2, 400)] {
        assert_eq!(house.hear(Source::Webhook, &message(step, later), &token).await, Fate::Sighted, "{step}");
    }
    assert_eq!(house.statuses("o1").await, [CREATED, PROCESSING, PENDING, COMPLETED]);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_status_that_an_order_came_back_to_is_told_each_time(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    let at = |step| ago(100) + TimeDelta::seconds(step);
    house
        .fake
        .world()
        .play("o1", &[(CREATED, at(0)), (PROCESSING, at(1)), (CREATED, at(2)), (PROCESSING, at(3))]);
    house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!(house.statuses("o1").await, [CREATED, PROCESSING, CREATED, PROCESSING]);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn three_sources_of_one_order_are_one_event_a_step_with_three_sightings(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    let way = way(100);
    house.fake.world().play("o1", &way);
    let token = house.fake.world().token.clone();
    for (status, at) in way {
        house.hear(Source::Stream, &order("o1", status, at), &token).await;
        house.hear(Source::Webhook, &order("o1", status, at), &token).await;
    }
    let mut reconciler = house.reconciler();
    reconciler.run_once(Utc::now()).await.unwrap();
    house.gap(ago(120), ago(60)).await;
    reconciler.run_once(Utc::now()).await.unwrap();
    let events = house.events("o1").await;
    assert_eq!(events.len(), 4);
    assert!(events.iter().all(|(_, _, sources)| sources == "stream webhook reconcile"), "{events:?}");
    assert_eq!(house.fake.calls("/webhooks"), 1, "the second gap had nothing to ask for");
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_later_updated_at_of_rest_makes_no_second_event(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    let way = way(100);
    let token = house.fake.world().token.clone();
    for (status, at) in way {
        house.hear(Source::Stream, &order("o1", status, at), &token).await;
    }
    {
        let mut world = house.fake.world();
        world.play("o1", &way);
        world.orders[0]["updatedAt"] = json!(ago(20));
    }
    house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!(house.statuses("o1").await.len(), 4);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn orders_that_were_not_touched_since_the_gap_cost_no_call(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    house.fake.world().play("old", &way(3600));
    house.fake.world().play("new", &way(30));
    house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!((house.fake.calls("orderID=old"), house.fake.calls("orderID=new")), (0, 1));
}
