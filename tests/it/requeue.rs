//! The quarantine: tried again by hand.

use std::sync::Arc;

use chrono::Utc;
use secrecy::SecretString;
use sqlx::PgPool;
use transak_relay::intake::requeue::{Requeued, Tally};
use transak_relay::intake::{Heard, directory};
use transak_relay::model::event::Source;
use transak_relay::model::hops::Hops;
use transak_relay::model::id::{PartnerId, QuarantineId};
use transak_relay::model::quarantine::{Reason, Refusal};
use transak_relay::store;

use crate::fake_transak::order;
use crate::intake_house::House;

/// The intake learns of one more token.
async fn learn(house: &House, token: &str) {
    let mut conn = house.pool.acquire().await.unwrap();
    let token = SecretString::from(token);
    store::access_token::add(&mut conn, &house.key, house.partner, &token).await.unwrap();
    let picture = directory::load(&house.pool, &house.key).await.unwrap();
    house.picture.send_replace(Arc::new(picture));
}

async fn ids(pool: &PgPool) -> Vec<QuarantineId> {
    sqlx::query_scalar("select quarantine_id from quarantine order by quarantine_id")
        .fetch_all(pool)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_message_leaves_the_quarantine_as_an_event_and_not_before(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    house.hear(Source::Webhook, &order("o1", "COMPLETED", Utc::now()), "later").await;
    let (requeue, id) = (house.requeue(), ids(&pool).await[0]);
    let sentence = "no access token of the partner verifies its signature";
    let stays = Requeued::Stays(Refusal::new(Reason::NoTokenFits, sentence));
    assert_eq!(requeue.one(&[house.partner], false, id).await.unwrap(), stays);
    assert_eq!(house.quarantined().await, [1]);
    learn(&house, "later").await;
    assert_eq!(requeue.one(&[house.partner], false, id).await.unwrap(), Requeued::Kept);
    assert_eq!(house.events("o1").await[0].2, "webhook");
    assert!(house.quarantined().await.is_empty());
    assert_eq!(requeue.one(&[house.partner], false, id).await.unwrap(), Requeued::Gone);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn another_partners_message_is_not_there(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    house.hear(Source::Webhook, &order("o1", "COMPLETED", Utc::now()), "later").await;
    learn(&house, "later").await;
    let id = ids(&pool).await[0];
    assert_eq!(house.requeue().one(&[PartnerId::new()], true, id).await.unwrap(), Requeued::Gone);
    assert_eq!(house.quarantined().await, [1]);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn all_messages_are_tried_and_each_is_judged_alone(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    for n in 0..250 {
        let token = if n % 5 == 0 { "never" } else { "later" };
        house.hear(Source::Webhook, &order(&format!("o{n}"), "COMPLETED", Utc::now()), token).await;
    }
    learn(&house, "later").await;
    assert_eq!(house.requeue().all(house.partner).await.unwrap(), Tally { kept: 200, stay: 50 });
    assert_eq!(house.quarantined().await.len(), 50);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_message_that_waited_has_come_through_as_many_relays_as_before(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    let order = order("o1", "COMPLETED", Utc::now());
    // Of the same message the highest count is kept, in whatever order they come.
    for hops in [4, 5, 0] {
        let hops = Hops::from_stored(hops);
        let heard = Heard { hops, ..house.heard(Source::Webhook, &order, "later") };
        house.intake.keep(heard).await.unwrap();
    }
    learn(&house, "later").await;
    assert_eq!(house.requeue().untried(house.partner).await.unwrap(), Tally { kept: 1, stay: 0 });
    let hops: i16 = sqlx::query_scalar("select hops from event").fetch_one(&pool).await.unwrap();
    assert_eq!(hops, 5);
}
