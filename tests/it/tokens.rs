//! Access tokens: replaced before they end, once, and what could not be verified meanwhile is verified afterwards.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use sqlx::PgPool;
use transak_relay::intake::tokens::worries;
use transak_relay::intake::{Fate, Heard};
use transak_relay::model::event::Source;
use transak_relay::store;

use crate::fake_transak::{Fault, order};
use crate::intake_house::House;

/// A clock that begins now, in whole seconds as tokens have them.
fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(Utc::now().timestamp(), 0).unwrap()
}

/// Lives through `minutes` with two processes that look every `step`; each time a message is signed with Transak's
/// newest token. Answers how many refreshes there were.
async fn live(house: &House, minutes: i64, step: usize) -> usize {
    let (mut one, mut other) = (house.token_care(), house.token_care());
    let begin = start();
    for minute in (0..=minutes).step_by(step) {
        let now = begin + TimeDelta::minutes(minute);
        house.fake.world().now = now;
        one.tick(now).await.unwrap();
        other.tick(now).await.unwrap();
        let token = house.fake.world().token.clone();
        let fate = house.hear(Source::Stream, &order(&format!("o{minute}"), "COMPLETED", now), &token).await;
        assert_eq!(fate, Fate::New, "minute {minute}");
    }
    house.fake.calls("refresh-token")
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn in_24_hours_of_hourly_tokens_no_message_fails_and_each_token_is_used_to_its_last_minutes(
    pool: PgPool,
) {
    let house = House::new(&pool, true, false).await;
    house.fake.world().token_life = TimeDelta::hours(1);
    // Replaced in the last seventh of the hour, at the look after 51.4 minutes: every 55 minutes.
    assert_eq!(live(&house, 24 * 60, 5).await, 1 + 24 * 60 / 55);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn in_31_days_of_weekly_tokens_there_are_six(pool: PgPool) {
    let house = House::new(&pool, true, false).await;
    assert_eq!(live(&house, 31 * 24 * 60, 360).await, 6);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_day_of_one_good_token_needs_no_refresh(pool: PgPool) {
    let house = House::new(&pool, true, true).await;
    assert_eq!(live(&house, 24 * 60, 60).await, 0);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn two_processes_at_the_same_moment_refresh_once(pool: PgPool) {
    let house = House::new(&pool, true, false).await;
    let (mut one, mut other) = (house.token_care(), house.token_care());
    let now = start();
    let (a, b) = tokio::join!(one.tick(now), other.tick(now));
    assert_eq!(a.unwrap().refreshed + b.unwrap().refreshed, 1);
    assert_eq!(house.fake.calls("refresh-token"), 1);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_message_signed_with_an_unknown_token_causes_a_refresh_and_is_then_an_event(pool: PgPool) {
    let house = House::new(&pool, true, true).await;
    let mut care = house.token_care();
    let now = Utc::now();
    care.tick(now).await.unwrap();
    // Somebody else refreshed: Transak signs with a token that the next refresh answers with.
    let token = house.fake.world().new_token();
    house.fake.world().calls.clear();
    let fate = house.hear(Source::Stream, &order("o1", "COMPLETED", now), &token).await;
    assert_eq!(fate, Fate::Unverified);
    let answer = format!(r#"{{"data":{{"accessToken":"{token}"}}}}"#);
    house.fake.fault("refresh-token", Fault::Body(answer));
    let looked = care.tick(now).await.unwrap();
    assert_eq!((looked.refreshed, looked.cured), (1, 1));
    assert_eq!(house.statuses("o1").await, ["COMPLETED"]);
    assert!(house.quarantined().await.is_empty());
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn forged_messages_cause_fewer_and_fewer_refreshes_over_all_processes(pool: PgPool) {
    let house = House::new(&pool, true, true).await;
    let mut cares = [house.token_care(), house.another(&pool), house.another(&pool)];
    // After the token that the partner has was given.
    let begin = start() + TimeDelta::seconds(1);
    let forged = house.heard(Source::Webhook, &order("o1", "COMPLETED", begin), "a guess");
    let mut refreshed_at = BTreeSet::new();
    for minute in 0..120 {
        let now = begin + TimeDelta::minutes(minute);
        house.fake.world().now = now;
        house.intake.keep(Heard { at: now, ..forged.clone() }).await.unwrap();
        let turn = usize::try_from(minute).unwrap() % cares.len();
        if cares[turn].tick(now).await.unwrap().refreshed > 0 {
            refreshed_at.insert(minute);
        }
    }
    assert_eq!(refreshed_at.into_iter().collect::<Vec<_>>(), [0, 20, 60]);
    assert_eq!(house.quarantined().await, [120], "trying again is not hearing again");
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_refresh_that_tells_an_odd_end_of_a_good_token_is_used(pool: PgPool) {
    for told in ["1", "\"1970-01-01\"", "-5", "99999999999999", "null", "[]"] {
        sqlx::query("truncate partner cascade").execute(&pool).await.unwrap();
        let house = House::new(&pool, true, false).await;
        let token = house.fake.world().new_token();
        let end = house.fake.world().now + TimeDelta::days(7);
        let answer = format!(r#"{{"data":{{"accessToken":"{token}","expiresAt":{told}}}}}"#);
        house.fake.fault("refresh-token", Fault::Body(answer));
        assert_eq!(house.token_care().tick(start()).await.unwrap().refreshed, 1, "{told}");
        let kept: DateTime<Utc> =
            sqlx::query_scalar("select expires_at from access_token").fetch_one(&pool).await.unwrap();
        assert_eq!(kept.timestamp(), end.timestamp(), "{told}");
    }
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_token_given_by_hand_frees_what_waited_for_it(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    let mut care = house.token_care();
    let now = start();
    care.tick(now).await.unwrap();
    house.hear(Source::Webhook, &order("o1", "COMPLETED", now), "the next token").await;
    assert_eq!(house.quarantined().await.len(), 1);
    let token = SecretString::from("the next token");
    let mut conn = pool.acquire().await.unwrap();
    store::access_token::add(&mut conn, &house.key, house.partner, &token).await.unwrap();
    let directory = transak_relay::intake::directory::load(&pool, &house.key).await.unwrap();
    house.picture.send_replace(std::sync::Arc::new(directory));
    assert_eq!(care.tick(now).await.unwrap().cured, 1);
    assert_eq!(house.events("o1").await[0].2, "webhook");
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn answers_to_a_refresh_that_cannot_be_used_change_nothing_and_are_asked_for_rarely(pool: PgPool) {
    let house = House::new(&pool, true, true).await;
    let begin = house.fake.world().now + TimeDelta::days(6);
    let ended = {
        let mut world = house.fake.world();
        world.now -= TimeDelta::days(8);
        let (good, ended) = (world.token.clone(), world.new_token());
        world.token = good;
        format!(r#"{{"data":{{"accessToken":"{ended}"}}}}"#)
    };
    let answers = [
        Fault::Body(ended),
        Fault::Body("<!doctype html>".to_owned()),
        Fault::Body(r#"{"data":{"accessTo"#.to_owned()),
        Fault::Body("x".repeat(10 << 20)),
        Fault::Body(r#"{"data":{"accessToken":7}}"#.to_owned()),
        Fault::Status(500, None, "x"),
        Fault::Status(400, None, "Invalid api-secret"),
        Fault::Status(401, None, "Authorization Required"),
    ];
    let mut care = house.token_care();
    let (mut now, mut failed) = (begin, 0);
    for answer in answers {
        house.fake.world().faults = vec![("refresh-token", answer)];
        for _ in 0..32 {
            failed += care.tick(now).await.unwrap().failed;
            now += TimeDelta::minutes(1);
        }
    }
    // Of 256 looks, those after 0, 1, 3, 7, 15, 31 and 63 minutes, and then every hour.
    assert_eq!((failed, house.fake.calls("refresh-token")), (10, 10));
    let token = house.fake.world().token.clone();
    assert_eq!(house.hear(Source::Stream, &order("o1", "COMPLETED", now), &token).await, Fate::New);
    let worry = worries(&pool, now).await.unwrap().remove(0);
    assert!(
        worry.why.ends_with("could not be replaced: Transak does not accept the API secret"),
        "{}",
        worry.why
    );
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_refresh_waits_as_long_as_transak_asks(pool: PgPool) {
    let house = House::new(&pool, true, false).await;
    let (mut care, now) = (house.token_care(), start());
    house.fake.fault("refresh-token", Fault::Status(429, Some(7200), "x"));
    care.tick(now).await.unwrap();
    care.tick(now + TimeDelta::minutes(119)).await.unwrap();
    assert_eq!(house.fake.calls("refresh-token"), 1);
    care.tick(now + TimeDelta::minutes(120)).await.unwrap();
    assert_eq!(house.fake.calls("refresh-token"), 2);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn without_a_secret_the_end_of_a_token_is_a_worry_from_24_hours_before(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    let end = house.fake.world().now + TimeDelta::days(7);
    let worried = async |now| worries(&pool, now).await.unwrap().len();
    assert_eq!(worried(end - TimeDelta::hours(25)).await, 0);
    assert_eq!(worried(end - TimeDelta::hours(24)).await, 1);
    assert_eq!(worried(end + TimeDelta::hours(24)).await, 1);
    house.token_care().tick(end).await.unwrap();
    assert_eq!(house.fake.calls("refresh-token"), 0);
}
