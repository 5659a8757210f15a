//! A repair goes on where it was, and costs no more calls than there is to learn.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use sqlx::PgPool;
use transak_relay::model::event::Source;

use super::{COMPLETED, CREATED, ago, house_with_gap, way};
use crate::fake_transak::{Fault, order};

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_repair_goes_on_at_the_page_it_had_come_to(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    for n in 0..250 {
        house.fake.world().play(&format!("o{n}"), &[(COMPLETED, ago(90))]);
    }
    house.fake.fault("skip=180", Fault::Status(429, Some(5), "x"));
    let (mut reconciler, now) = (house.reconciler(), Utc::now());
    let summary = reconciler.run_once(now).await.unwrap();
    assert_eq!((summary.gaps_failed, summary.given_up), (1, 1));
    house.fake.world().faults.clear();
    house.fake.world().calls.clear();
    // Another process: all that it knows is in the database.
    let summary = house.reconciler().run_once(now + TimeDelta::seconds(40)).await.unwrap();
    assert_eq!((summary.gaps_repaired, house.statuses("o249").await.len()), (1, 1));
    let calls = house.fake.world().calls.clone();
    assert!(calls[0].contains("skip=180"), "{}", calls[0]);
    let again = calls.iter().filter(|call| list(call) == list(&calls[0]) && call.contains("skip=0"));
    assert_eq!(again.count(), 0, "what was read is not read again");
}

/// Which list a call asks for, if it does.
fn list(call: &str) -> Option<&str> {
    Some(&call[call.find("&startDate")?..])
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_gap_that_comes_meanwhile_does_not_start_a_repair_over(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    for n in 0..150 {
        house.fake.world().play(&format!("o{n}"), &[(COMPLETED, ago(90))]);
    }
    house.fake.fault("skip=90", Fault::Status(429, Some(5), "x"));
    let now = Utc::now();
    house.reconciler().run_once(now).await.unwrap();
    house.gap(ago(50), ago(40)).await;
    house.fake.world().faults.clear();
    house.fake.world().calls.clear();
    let summary = house.reconciler().run_once(now + TimeDelta::seconds(40)).await.unwrap();
    assert_eq!((summary.gaps_repaired, summary.gaps_failed), (2, 0));
    let calls = house.fake.world().calls.clone();
    assert!(calls[0].contains("skip=90"), "{}", calls[0]);
    let begun = calls.iter().filter(|call| list(call) == list(&calls[0]) && call.contains("skip=0"));
    assert_eq!(begun.count(), 1, "what was left of the first, then the second alone");
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn what_could_not_be_read_is_read_again_and_nothing_before_it(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    for n in 0..250 {
        house.fake.world().play(&format!("o{n}"), &[(COMPLETED, ago(90))]);
    }
    house.fake.fault("orderID=o150", Fault::Body("<html>".to_owned()));
    let now = Utc::now();
    let summary = house.reconciler().run_once(now).await.unwrap();
    assert_eq!((summary.gaps_failed, summary.found), (1, 250), "the others are not held up");
    house.fake.world().faults.clear();
    house.fake.world().calls.clear();
    let summary = house.reconciler().run_once(now + TimeDelta::seconds(40)).await.unwrap();
    assert_eq!(summary.gaps_repaired, 1);
    assert_eq!(house.fake.calls("/orders"), 0, "its list was read");
    assert_eq!(house.fake.calls("/webhooks"), 0, "nothing is missing: the history stood in");
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_repair_of_turns_that_have_no_time_takes_many_but_reads_nothing_twice(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    for n in 0..250 {
        house.fake.world().play(&format!("o{n}"), &[(COMPLETED, ago(90))]);
    }
    let (mut reconciler, mut turns) = (house.reconciler_with(Duration::ZERO), 0);
    while house.gaps().await.0 == 0 && turns < 40 {
        let summary = reconciler.run_once(Utc::now()).await.unwrap();
        assert_eq!(summary.gaps_failed, 0);
        turns += 1;
    }
    assert_eq!((house.gaps().await.0, house.statuses("o249").await.len()), (1, 1));
    let in_turns = house.fake.calls("/orders");
    house.gap(ago(120), ago(60)).await;
    house.fake.world().calls.clear();
    house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!(house.fake.calls("/orders"), in_turns, "as many as in one go");
    assert!(turns >= 14, "{turns}: a page each");
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn orders_of_which_the_list_shows_that_nothing_is_missing_cost_no_call(pool: PgPool) {
    let house = house_with_gap(&pool).await;
    let token = house.fake.world().token.clone();
    for n in 0..30 {
        let (id, way) = (format!("o{n}"), way(50));
        house.fake.world().play(&id, &way);
        // Of the last one a message is missing.
        for (status, at) in way.iter().filter(|(status, _)| n < 29 || *status != CREATED) {
            house.hear(Source::Stream, &order(&id, status, *at), &token).await;
        }
    }
    let summary = house.reconciler().run_once(Utc::now()).await.unwrap();
    assert_eq!((summary.gaps_repaired, summary.orders, summary.found), (1, 30, 1));
    assert_eq!(house.fake.calls("/webhooks"), 1);
}
