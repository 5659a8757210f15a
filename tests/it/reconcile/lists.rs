//! Transak's lists of orders are read to their ends, whatever it calls a page and however it counts; or the gap stays open
//! and says why.

use chrono::{TimeDelta, Utc};
use serde_json::json;
use sqlx::PgPool;

use super::{COMPLETED, ago, house_with_gap, names};
use crate::intake_house::House;

async fn house_with(pool: &PgPool, orders: usize) -> House {
    let house = house_with_gap(pool).await;
    for n in 0..orders {
        house.fake.world().play(&format!("o{n}"), &[(COMPLETED, ago(90))]);
    }
    house
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn fewer_orders_a_page_than_asked_for_and_no_total_are_read_to_the_end(pool: PgPool) {
    let house = house_with(&pool, 120).await;
    house.fake.world().largest_page = 50;
    house.fake.world().total_off_by = None;
    let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!((summary.found, summary.gaps_repaired, summary.gaps_failed), (120, 1, 0));
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn both_products_are_read_with_small_pages(pool: PgPool) {
    let house = house_with(&pool, 60).await;
    {
        let mut world = house.fake.world();
        world.largest_page = 7;
        world.orders.iter_mut().step_by(3).for_each(|order| order["isBuyOrSell"] = json!("SELL"));
    }
    let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!((summary.found, summary.gaps_repaired), (60, 1));
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_total_that_is_too_small_ends_nothing(pool: PgPool) {
    let house = house_with(&pool, 120).await;
    house.fake.world().largest_page = 50;
    house.fake.world().total_off_by = Some(-90);
    let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!((summary.found, summary.gaps_repaired), (120, 1));
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_list_that_ends_before_its_total_keeps_the_gap_open_and_is_read_again(pool: PgPool) {
    let house = house_with(&pool, 120).await;
    house.fake.world().total_off_by = Some(10);
    let (mut reconciler, now) = (house.reconciler(), Utc::now());
    let summary = reconciler.run_once(now).await.unwrap();
    assert_eq!((summary.found, summary.gaps_repaired, summary.gaps_failed), (120, 0, 1));
    let reason =
        "Transak's answer cannot be used: its list of orders ends before the number of orders that it tells";
    assert_eq!(house.gaps().await, (0, names(&[reason])));
    house.fake.world().total_off_by = Some(0);
    house.fake.world().play("o120", &[(COMPLETED, ago(90))]);
    let summary = reconciler.run_once(now + TimeDelta::seconds(40)).await.unwrap();
    assert_eq!((summary.found, summary.gaps_repaired), (1, 1));
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_list_that_is_the_same_for_all_days_is_no_circle(pool: PgPool) {
    let house = house_with(&pool, 120).await;
    house.fake.world().ignores_days = true;
    let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!((summary.found, summary.errors, summary.gaps_repaired), (120, 0, 1));
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn an_order_made_days_before_the_gap_and_never_heard_is_found(pool: PgPool) {
    for days in [5, 89] {
        let house = house_with_gap(&pool).await;
        house.fake.world().play("old", &[("PROCESSING", ago(days * 86_400)), (COMPLETED, ago(90))]);
        let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
        assert_eq!((summary.found, summary.gaps_repaired), (2, 1), "{days}");
        sqlx::query("truncate event, sighting, payload, \"order\", gap, access_token, partner cascade")
            .execute(&pool)
            .await
            .unwrap();
    }
}
