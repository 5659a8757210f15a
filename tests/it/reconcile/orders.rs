//! Orders whose time has come, and who reads for a partner.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use transak_relay::model::event::Source;

use super::{COMPLETED, CREATED, PENDING, PROCESSING, ago, house_with_gap, way};
use crate::fake_transak::order;
use crate::intake_house::House;

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_due_order_is_compared_and_looked_at_again_until_it_is_over(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    let (way, token) = (way(100), house.fake.world().token.clone());
    house.hear(Source::Stream, &order("o1", CREATED, way[0].1), &token).await;
    let (mut reconciler, now) = (house.reconciler(), Utc::now());
    house.fake.world().play("o1", &way[..1]);
    house.due("o1", now).await;
    let summary = reconciler.run_once(now).await.unwrap();
    assert_eq!((summary.orders, summary.found), (1, 0));
    let wait = (house.next_look("o1").await.unwrap() - now).num_seconds();
    assert!((60..65).contains(&wait), "{wait}");
    house.fake.world().orders.clear();
    house.fake.world().play("o1", &way);
    assert_eq!(reconciler.run_once(now + TimeDelta::seconds(30)).await.unwrap().orders, 0);
    assert_eq!(reconciler.run_once(now + TimeDelta::seconds(70)).await.unwrap().found, 3);
    assert_eq!(house.statuses("o1").await, [CREATED, PROCESSING, PENDING, COMPLETED]);
    assert_eq!(house.next_look("o1").await, None);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn what_happened_just_now_is_left_to_the_stream_and_looked_at_soon(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    let token = house.fake.world().token.clone();
    let way = [(CREATED, ago(60)), (PROCESSING, ago(1))];
    house.fake.world().play("o1", &way);
    house.hear(Source::Stream, &order("o1", CREATED, way[0].1), &token).await;
    let (mut reconciler, now) = (house.reconciler(), Utc::now());
    house.due("o1", now).await;
    assert_eq!(reconciler.run_once(now).await.unwrap().found, 0);
    let wait = (house.next_look("o1").await.unwrap() - now).num_seconds();
    assert!((7..10).contains(&wait), "as soon as it is ten seconds old, and not in {wait}");
    assert_eq!(reconciler.run_once(now + TimeDelta::seconds(15)).await.unwrap().found, 1);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn an_order_that_transak_says_once_not_to_know_is_asked_for_soon_again(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    let token = house.fake.world().token.clone();
    let begin = ago(3600);
    house.hear(Source::Stream, &order("o1", CREATED, begin), &token).await;
    // It was last heard of long ago.
    sqlx::query(
        r#"update "order" set status_at = now() - interval '20 days', snapshot_received_at = status_at"#,
    )
    .execute(&pool)
    .await
    .unwrap();
    let now = Utc::now();
    house.due("o1", now).await;
    let summary = house.reconciler().run_once(now).await.unwrap();
    assert_eq!((summary.errors, summary.given_up), (1, 0));
    let wait = (house.next_look("o1").await.unwrap() - now).num_seconds();
    assert!((60..65).contains(&wait), "{wait}");
    house.fake.world().play("o1", &[(CREATED, begin), (COMPLETED, ago(30))]);
    house.reconciler().run_once(now + TimeDelta::seconds(70)).await.unwrap();
    assert_eq!(house.statuses("o1").await, [CREATED, COMPLETED]);
    assert_eq!(house.not_found_since("o1").await, None, "it is known after all");
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn an_order_that_transak_goes_on_not_to_know_is_asked_for_more_and_more_rarely(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    let token = house.fake.world().token.clone();
    house.hear(Source::Stream, &order("o1", CREATED, ago(60)), &token).await;
    sqlx::query("update access_token set expires_at = null").execute(&pool).await.unwrap();
    let begin = Utc::now();
    let mut waits = Vec::new();
    for hours in [0, 4, 24 * 5, 24 * 15] {
        let now = begin + TimeDelta::hours(hours);
        house.due("o1", now).await;
        house.reconciler().run_once(now).await.unwrap();
        // The clock goes on during a turn, by another part of a second each time.
        let whole_minutes = |next: DateTime<Utc>| ((next - now).as_seconds_f64() / 60.0).round();
        waits.push(house.next_look("o1").await.map(whole_minutes));
    }
    assert_eq!(waits, [Some(1.0), Some(60.0), Some(24.0 * 60.0), None]);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn two_processes_read_a_gap_once(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    house.fake.world().play("o1", &way(100));
    let (mut one, mut other) = (house.reconciler(), house.reconciler());
    let now = Utc::now();
    let (a, b) = tokio::join!(one.run_once(now), other.run_once(now));
    assert_eq!(a.unwrap().gaps_repaired + b.unwrap().gaps_repaired, 1);
    assert_eq!(house.fake.calls("/webhooks"), 1);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn the_lease_of_a_process_that_died_ends_by_itself(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    let now = Utc::now();
    sqlx::query("update partner set reconcile_after = $1")
        .bind(now + TimeDelta::seconds(60))
        .execute(&pool)
        .await
        .unwrap();
    let mut reconciler = house.reconciler();
    assert_eq!(reconciler.run_once(now).await.unwrap().gaps_repaired, 0);
    assert_eq!(reconciler.run_once(now + TimeDelta::seconds(60)).await.unwrap().gaps_repaired, 1);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn an_open_gap_and_one_that_has_just_ended_wait(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    house.gap(ago(60), Utc::now()).await;
    let (mut reconciler, now) = (house.reconciler(), Utc::now());
    assert_eq!(reconciler.run_once(now).await.unwrap().gaps_repaired, 0);
    assert_eq!(reconciler.run_once(now + TimeDelta::seconds(3)).await.unwrap().gaps_repaired, 1);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_partner_without_a_token_waits_for_one(pool: PgPool) {
    let house = House::new(&pool, true, false).await;
    house.gap(ago(120), ago(60)).await;
    house.fake.world().play("o1", &way(100));
    let mut reconciler = house.reconciler();
    reconciler.run_once(Utc::now()).await.unwrap();
    assert!(house.fake.world().calls.is_empty());
    house.token_care().tick(Utc::now()).await.unwrap();
    assert_eq!(reconciler.run_once(Utc::now()).await.unwrap().found, 4);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_token_that_transak_does_not_accept_any_more_is_replaced_and_the_gap_repaired(pool: PgPool) {
    let house = House::new(&pool, true, true).await;
    house.gap(ago(120), ago(60)).await;
    house.fake.world().play("o1", &way(100));
    house.fake.world().new_token();
    let (mut reconciler, now) = (house.reconciler(), Utc::now());
    assert_eq!(reconciler.run_once(now).await.unwrap().given_up, 1);
    assert_eq!(house.token_care().tick(now).await.unwrap().refreshed, 1);
    let summary = reconciler.run_once(now + TimeDelta::seconds(40)).await.unwrap();
    assert_eq!((summary.gaps_repaired, summary.found), (1, 4));
}
