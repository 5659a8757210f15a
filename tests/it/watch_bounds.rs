//! Whose a channel is: nobody watches what is named after another partner's API key, and nobody watches without end.

use serde_json::json;
use sqlx::PgPool;
use transak_relay::http::Limits;
use transak_relay::intake::directory;
use transak_relay::model::seal::MasterKey;
use transak_relay::store::pool::MIGRATOR;

use crate::api::{ADMIN, Relay};
use crate::world::World;

#[sqlx::test]
async fn a_channel_named_after_an_api_key_cannot_be_watched(pool: PgPool) {
    let relay = Relay::new(pool);
    let (ours, _theirs) = (relay.tenant("ours").await, relay.tenant("theirs").await);
    let gone = relay.tenant("gone").await;
    assert_eq!(relay.delete(ADMIN, &format!("/v1/partners/{}", gone.id)).await.status, 204);
    for channel in ["key-theirs", "key-theirs_po-1", "key-ours", "key-gone", "key-gone_po-1"] {
        let refused = relay.post(&ours.token, "/v1/watches", json!({ "orderId": channel })).await;
        refused.is_problem(422, "validation-failed").names(&["orderId"]);
    }
    for body in [
        json!({"partnerOrderId": "po-1"}),
        json!({"orderId": "key-ours_po-2"}),
        json!({"orderId": "key-their"}),
    ] {
        assert_eq!(relay.post(&ours.token, "/v1/watches", body.clone()).await.status, 201, "{body}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_key_that_is_registered_later_takes_its_channels_from_those_who_watch_them(pool: PgPool) {
    let world = World::new(pool).await;
    let watch = async |channel: &str| {
        let body = json!({ "orderId": channel, "partnerId": world.partner.to_string() });
        assert_eq!(world.call("POST", "/v1/watches", Some(body)).await.0, 201);
    };
    for channel in ["KEY", "KEY_po-1", "KEYS"] {
        watch(channel).await;
    }
    let register = json!({ "name": "later", "environment": "STAGING", "apiKey": "KEY" });
    let later = world.call("POST", "/v1/partners", Some(register)).await.1;
    let open = "watch where ended_at is null and channel = 'KEYS'";
    assert_eq!((world.count(open).await, world.count("watch where ended_at is null").await), (1, 1));
    // One that is made at that very moment is not listened to either.
    sqlx::query("update watch set ended_at = null").execute(&world.pool).await.unwrap();
    let picture = directory::load(&world.pool, &world.key).await.unwrap();
    let owners: Vec<_> =
        picture.owners("KEY").iter().map(|owner| (owner.partner_id.to_string(), owner.signed)).collect();
    assert_eq!(owners, [(later["id"].as_str().unwrap().to_owned(), true)]);
    assert!(picture.owners("KEY_po-1").is_empty());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_partner_that_is_deleted_watches_nothing_any_more(pool: PgPool) {
    let world = World::new(pool).await;
    let body = json!({ "orderId": "o-1", "partnerId": world.partner.to_string() });
    assert_eq!(world.call("POST", "/v1/watches", Some(body)).await.0, 201);
    assert_eq!(world.call("DELETE", &format!("/v1/partners/{}", world.partner), None).await.0, 204);
    let key: &MasterKey = &world.key;
    assert_eq!(directory::load(&world.pool, key).await.unwrap().channels().len(), 0);
}

#[sqlx::test]
async fn a_partner_watches_as_many_channels_as_it_may_and_no_more_at_once(pool: PgPool) {
    let relay = Relay::with(pool, |api| api.limits = Limits { watches: 2, ..api.limits });
    let (ours, theirs) = (relay.tenant("ours").await, relay.tenant("theirs").await);
    let watch = async |order: &str| relay.post(&ours.token, "/v1/watches", json!({ "orderId": order })).await;
    let first = watch("o-1").await.text_at("/id");
    // Two that come at the same time do not both take the last place.
    let (one, two) = tokio::join!(watch("o-2"), watch("o-3"));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 422]);
    let refused = watch("o-4").await;
    refused.is_problem(422, "validation-failed").names(&["orderId"]);
    assert!(refused.text.contains("RELAY_MAX_WATCHES_PER_PARTNER"), "{}", refused.text);
    assert_eq!(watch("o-1").await.status, 201, "it is watched already");
    let others = relay.post(&theirs.token, "/v1/watches", json!({ "orderId": "o-4" })).await;
    assert_eq!(others.status, 201, "each partner has its own");
    assert_eq!(relay.delete(&ours.token, &format!("/v1/watches/{first}")).await.status, 204);
    assert_eq!(watch("o-4").await.status, 201);
}
