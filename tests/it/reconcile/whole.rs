//! A gap is repaired when everything was read. What could not be read keeps it open, and is tried again.

use chrono::{TimeDelta, Utc};
use serde_json::json;
use sqlx::PgPool;
use transak_relay::model::event::Source;

use super::{COMPLETED, CREATED, ago, house_with_gap, names, way};
use crate::fake_transak::{Fault, order};
use crate::intake_house::House;

const OTHER_SHAPE: &str = "Transak's answer cannot be used: it is JSON of another shape";

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn an_order_that_its_list_shows_in_another_shape_is_asked_for_by_its_id(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    house.fake.world().play("o1", &way(100));
    let listed = json!({"meta": {}, "data": [{"id": "o1", "status": {"is": "COMPLETED"}}]});
    house.fake.fault("skip=0", Fault::Body(listed.to_string()));
    house.fake.fault("skip=1", Fault::Body(json!({"data": []}).to_string()));
    let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!((summary.found, summary.gaps_repaired), (4, 1));
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn an_order_that_cannot_be_read_at_all_keeps_the_gap_open_until_it_can(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    house.fake.world().play("o1", &way(100));
    house.fake.world().orders[0]["status"] = json!(7);
    let (mut reconciler, now) = (house.reconciler(), Utc::now());
    let summary = reconciler.run_once(now).await.unwrap();
    assert_eq!((summary.found, summary.gaps_repaired, summary.gaps_failed), (0, 0, 1));
    assert_eq!(house.gaps().await, (0, names(&[OTHER_SHAPE])));
    house.fake.world().orders[0]["status"] = json!(COMPLETED);
    house.fake.world().calls.clear();
    let summary = reconciler.run_once(now + TimeDelta::seconds(40)).await.unwrap();
    assert_eq!((summary.found, summary.gaps_repaired), (4, 1));
    assert_eq!(house.fake.calls("/orders"), 0, "its lists were read; it alone was left");
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn an_order_without_an_id_keeps_the_gap_open_but_hides_no_other(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    house.fake.world().play("o1", &[(COMPLETED, ago(90))]);
    house.fake.world().play("o2", &[(COMPLETED, ago(90))]);
    house.fake.world().orders[0]["id"] = json!({"not": "an id"});
    let (mut reconciler, now) = (house.reconciler(), Utc::now());
    let summary = reconciler.run_once(now).await.unwrap();
    assert_eq!((summary.found, summary.gaps_failed), (1, 1));
    let reason = "Transak's answer cannot be used: an order in its list has no id that can be read";
    assert_eq!(house.gaps().await, (0, names(&[reason])));
    house.fake.world().orders[0]["id"] = json!("o1");
    let summary = reconciler.run_once(now + TimeDelta::seconds(40)).await.unwrap();
    assert_eq!((summary.found, summary.gaps_repaired), (1, 1));
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn an_order_under_way_that_no_list_shows_is_read_before_the_gap_is_repaired(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    let token = house.fake.world().token.clone();
    house.hear(Source::Stream, &order("o1", CREATED, ago(500_000)), &token).await;
    house.due("o1", Utc::now() + TimeDelta::hours(5)).await;
    {
        let mut world = house.fake.world();
        world.unlisted.push("o1");
        world.play("o1", &[(CREATED, ago(500_000)), (COMPLETED, ago(100))]);
        world.webhooks.clear();
    }
    house.fake.fault("order/o1", Fault::Body("<html>".to_owned()));
    let (mut reconciler, now) = (house.reconciler(), Utc::now());
    assert_eq!(reconciler.run_once(now).await.unwrap().gaps_failed, 1);
    assert_eq!(house.gaps().await, (0, names(&["Transak's answer cannot be used: it is not JSON"])));
    house.fake.world().faults.clear();
    let summary = reconciler.run_once(now + TimeDelta::seconds(40)).await.unwrap();
    assert_eq!(summary.gaps_repaired, 1);
    assert_eq!(house.statuses("o1").await, [CREATED, COMPLETED]);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn an_order_under_way_that_transak_does_not_know_keeps_the_gap_open_for_an_hour(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    let token = house.fake.world().token.clone();
    house.hear(Source::Stream, &order("o1", CREATED, ago(600)), &token).await;
    sqlx::query("update access_token set expires_at = null").execute(&pool).await.unwrap();
    let (mut reconciler, begin) = (house.reconciler(), Utc::now());
    let mut repaired = Vec::new();
    for minutes in [0, 30, 59, 62] {
        let summary = reconciler.run_once(begin + TimeDelta::minutes(minutes)).await.unwrap();
        repaired.push((summary.gaps_repaired, summary.gaps_failed));
    }
    assert_eq!(repaired, [(0, 1), (0, 1), (0, 1), (1, 0)]);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn what_transak_said_not_to_know_for_a_while_is_kept_before_its_gap_is_repaired(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    let token = house.fake.world().token.clone();
    house.hear(Source::Stream, &order("o1", CREATED, ago(600)), &token).await;
    let (mut reconciler, mut now) = (house.reconciler(), Utc::now());
    for _ in 0..4 {
        assert_eq!(reconciler.run_once(now).await.unwrap().gaps_repaired, 0);
        now = house.next_repair().await;
    }
    house.fake.world().play("o1", &[(CREATED, ago(600)), (COMPLETED, ago(90))]);
    assert_eq!(reconciler.run_once(now).await.unwrap().gaps_repaired, 1);
    assert_eq!(house.statuses("o1").await, [CREATED, COMPLETED]);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn what_failed_in_one_list_holds_up_no_other(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    house.fake.world().play("o1", &[(COMPLETED, ago(90))]);
    house.fake.world().play("old", &[("PROCESSING", ago(40 * 86_400)), (COMPLETED, ago(90))]);
    house.fake.fault("SELL", Fault::Body("<html>".to_owned()));
    let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!((summary.found, summary.gaps_failed), (3, 1));
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_try_that_brought_something_is_followed_by_the_next_one_soon(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    house.fake.fault("/orders", Fault::Body("<html>".to_owned()));
    let (mut reconciler, mut now) = (house.reconciler(), Utc::now());
    let mut waits = Vec::new();
    for brings_something in [false, false, false, true, false] {
        if brings_something {
            house.fake.world().faults = vec![("SELL", Fault::Body("<html>".to_owned()))];
        }
        reconciler.run_once(now).await.unwrap();
        let next = house.next_repair().await;
        waits.push((next - now).num_seconds());
        now = next;
    }
    assert_eq!(waits, [30, 60, 120, 30, 60]);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_place_that_an_earlier_version_wrote_down_leaves_nothing_out(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    house.fake.world().play("o1", &[(COMPLETED, ago(90))]);
    sqlx::query("update gap set repair_id = gap_id, repair_window = 3, repair_skip = 90, repairs = 1")
        .execute(&pool)
        .await
        .unwrap();
    let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!((summary.found, summary.gaps_repaired), (1, 1));
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_repair_leaves_nothing_behind(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    let token = house.fake.world().token.clone();
    house.hear(Source::Stream, &order("o1", CREATED, ago(600)), &token).await;
    house.fake.world().play("o1", &[(CREATED, ago(600))]);
    house.gap(ago(120), ago(60)).await;
    house.reconciler().run_once(Utc::now()).await.unwrap();
    let left: i64 = sqlx::query_scalar(
        "select (select count(*) from gap_repair) + (select count(*) from gap_repair_days)
              + (select count(*) from gap_repair_order)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!((house.gaps().await.0, left), (1, 0));
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn orders_that_are_never_answered_for_hold_up_no_other_of_a_repair(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    let token = house.fake.world().token.clone();
    for id in ["a0", "a1", "a2", "a3", "b0", "b1"] {
        house.hear(Source::Stream, &order(id, CREATED, ago(500_000)), &token).await;
        house.due(id, Utc::now() + TimeDelta::days(5)).await;
        house.fake.world().play(id, &[(CREATED, ago(500_000)), (COMPLETED, ago(100))]);
    }
    house.fake.world().unlisted = vec!["a0", "a1", "a2", "a3", "b0", "b1"];
    house.fake.fault("order/a", Fault::Status(500, None, "x"));
    let (mut reconciler, now) = (house.reconciler(), Utc::now());
    reconciler.run_once(now).await.unwrap();
    reconciler.run_once(now + TimeDelta::seconds(60)).await.unwrap();
    for id in ["b0", "b1"] {
        assert!(house.statuses(id).await.contains(&COMPLETED.to_owned()), "{id}");
    }
    assert_eq!(house.gaps().await, (0, names(&["Transak's REST API does not answer right now"])));
}
