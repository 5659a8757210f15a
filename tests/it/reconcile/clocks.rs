//! Transak's clock and the relay's may differ by minutes; nothing is lost between them.

use chrono::{TimeDelta, Utc};
use sqlx::PgPool;
use transak_relay::model::event::Source;

use super::{COMPLETED, CREATED, PROCESSING, ago, house_with_gap};
use crate::fake_transak::order;
use crate::intake_house::House;

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn an_order_of_a_gap_whose_times_are_minutes_ahead_is_kept_at_once(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    house.fake.world().play("ahead", &[(CREATED, ago(-361)), (PROCESSING, ago(-362))]);
    let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!((summary.found, summary.errors, summary.gaps_repaired), (2, 0, 1));
    assert_eq!(house.statuses("ahead").await, [CREATED, PROCESSING]);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn an_order_of_a_gap_that_changed_just_now_is_kept_at_once_if_nobody_knows_it(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    house.fake.world().play("new", &[(CREATED, ago(90)), (PROCESSING, ago(1))]);
    house.fake.world().webhooks.clear();
    let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!((summary.found, summary.gaps_repaired), (2, 1), "nobody would look at it again");
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn an_order_of_a_gap_is_found_though_the_relays_clock_is_ahead_of_transaks(pool: PgPool) {
    for minutes in [10, 45] {
        let house = house_with_gap(&pool).await;
        house.fake.world().behind = TimeDelta::minutes(minutes);
        house.fake.world().play("behind", &[(COMPLETED, ago(90 + 60 * minutes))]);
        let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
        assert_eq!((summary.found, summary.gaps_repaired), (1, 1), "{minutes}");
        sqlx::query("truncate event, sighting, payload, \"order\", gap, access_token, partner cascade")
            .execute(&pool)
            .await
            .unwrap();
    }
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn an_order_that_is_due_is_told_though_its_times_are_ahead(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    let token = house.fake.world().token.clone();
    let begin = ago(60);
    house.hear(Source::Stream, &order("o1", CREATED, begin), &token).await;
    house.fake.world().play("o1", &[(CREATED, begin), (COMPLETED, ago(-3600))]);
    let now = Utc::now();
    house.due("o1", now).await;
    assert_eq!(house.reconciler().run_once(now).await.unwrap().found, 1);
    assert_eq!(house.statuses("o1").await, [CREATED, COMPLETED]);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_gap_that_ended_by_a_clock_that_is_ahead_of_the_databases_is_repaired_now(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    house.gap(ago(60), ago(10)).await;
    sqlx::query("update gap set next_repair_at = now() - interval '1 hour'").execute(&pool).await.unwrap();
    // The reconciler goes by the database's clock, which is five minutes behind this machine's.
    let summary = house.reconciler().run_once(Utc::now() - TimeDelta::minutes(5)).await.unwrap();
    assert_eq!(summary.gaps_repaired, 1);
}
