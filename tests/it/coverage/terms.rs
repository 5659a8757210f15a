//! What a partner is to be heard on, and since when: its registration, its deletion, and changes of its key.

use std::sync::Arc;

use serde_json::json;
use sqlx::PgPool;
use transak_relay::model::id::PartnerId;
use transak_relay::store::pool::MIGRATOR;

use super::Stage;
use crate::world::API_KEY;

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_partner_that_nobody_hears_from_its_registration_on_is_in_a_gap_and_shows_it(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let partner = stage.world.partner;
    stage.look(1, true).await;
    assert_eq!(stage.stream(partner).await, json!("connecting"));
    stage.look(3, true).await;
    assert_eq!((stage.gaps(partner).await, stage.stream(partner).await), (vec![(0, None)], json!("unheard")));
    stage.hears(&[partner], API_KEY, 30).await;
    stage.look(31, true).await;
    assert_eq!(
        (stage.gaps(partner).await, stage.stream(partner).await),
        (vec![(0, Some(30))], json!("heard"))
    );
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_heard_of_a_deleted_partner_does_not_count_for_the_next_with_its_key(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let before = stage.world.partner;
    let mut run = stage.hears(&[before], API_KEY, 0).await;
    stage.world.call("DELETE", &format!("/v1/partners/{before}"), None).await;
    let body = json!({ "name": "again", "environment": "STAGING", "apiKey": API_KEY });
    let (_, made) = stage.world.call("POST", "/v1/partners", Some(body)).await;
    let next: PartnerId = made["id"].as_str().unwrap().parse().unwrap();
    stage.registered_at_once().await;
    stage.proves(&mut run, 10).await;
    stage.look(10, true).await;
    assert_eq!(stage.gaps(before).await, []);
    assert_eq!(stage.gaps(next).await, [(0, None)], "its channel is subscribed, for another");
    run.logbook.owned(|_| [next], stage.at(12));
    stage.proves(&mut run, 14).await;
    stage.look(14, true).await;
    assert_eq!(stage.gaps(next).await, [(0, Some(12))]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_changed_api_key_is_not_heard_until_its_own_channel_is_confirmed(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let partner = stage.world.partner;
    let mut run = stage.hears(&[partner], API_KEY, 0).await;
    let path = format!("/v1/partners/{partner}");
    stage.world.call("PATCH", &path, Some(json!({ "apiKey": "new-key" }))).await;
    stage.registered_at_once().await;
    stage.proves(&mut run, 10).await;
    stage.look(10, true).await;
    assert_eq!((stage.gaps(partner).await, stage.stream(partner).await), (vec![(0, None)], json!("unheard")));
    run.logbook.confirmed(&Arc::from("new-key"), [partner], stage.at(40));
    stage.proves(&mut run, 42).await;
    stage.look(42, true).await;
    assert_eq!(stage.gaps(partner).await, [(0, Some(40))]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_changed_api_key_leaves_no_moment_out_however_soon_its_channel_is_confirmed(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let partner = stage.world.partner;
    let mut run = stage.hears(&[partner], API_KEY, 0).await;
    let path = format!("/v1/partners/{partner}");
    stage.world.call("PATCH", &path, Some(json!({ "apiKey": "new-key" }))).await;
    stage.registered_at_once().await;
    run.logbook.confirmed(&Arc::from("new-key"), [partner], stage.at(1));
    stage.proves(&mut run, 10).await;
    stage.look(10, true).await;
    assert_eq!(stage.gaps(partner).await, [(0, Some(1))]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn one_key_in_two_environments_is_heard_for_each_of_its_partners_alone(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let body = json!({ "name": "two", "environment": "PRODUCTION", "apiKey": API_KEY });
    let (_, made) = stage.world.call("POST", "/v1/partners", Some(body)).await;
    let other: PartnerId = made["id"].as_str().unwrap().parse().unwrap();
    stage.registered_at_once().await;
    let mut run = stage.hears(&[stage.world.partner], API_KEY, 0).await;
    stage.proves(&mut run, 20).await;
    stage.look(20, true).await;
    assert_eq!((stage.gaps(stage.world.partner).await, stage.gaps(other).await), (vec![], vec![(0, None)]));
}
