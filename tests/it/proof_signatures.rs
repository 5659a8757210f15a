//! `v1a`: a receiver that holds nothing but a public key can tell the relay's callbacks from anybody else's.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::model::signing::EndpointSecret;
use transak_relay::store::endpoint::secret::{SigningKey, rotate};
use transak_relay::store::pool::MIGRATOR;

use crate::stub::{Seen, Stub};
use crate::world::World;

/// The signatures of a callback by their version.
fn signatures<'a>(seen: &'a Seen, version: &str) -> Vec<&'a str> {
    let header = seen.headers["webhook-signature"].to_str().unwrap();
    let pairs = header.split(' ').filter_map(|one| one.split_once(','));
    pairs.filter(|(named, _)| *named == version).map(|(_, signature)| signature).collect()
}

/// How many of a callback's signatures a public key verifies.
fn verified(seen: &Seen, public_key: &str) -> usize {
    let key = STANDARD.decode(public_key.strip_prefix("whpk_").unwrap()).unwrap();
    let text = |name: &str| seen.headers[name].to_str().unwrap().to_owned();
    let head = format!("{}.{}.", text("webhook-id"), text("webhook-timestamp"));
    let message = [head.as_bytes(), &seen.bytes].concat();
    let key = UnparsedPublicKey::new(&ED25519, key);
    let signatures = signatures(seen, "v1a").into_iter().map(|one| STANDARD.decode(one).unwrap());
    signatures.filter(|signature| key.verify(&message, signature).is_ok()).count()
}

struct Receiving {
    world: World,
    stub: Stub,
    endpoint: Value,
}

impl Receiving {
    async fn new(pool: PgPool, settings: Value) -> Self {
        let world = World::new(pool).await;
        let stub = Stub::always(StatusCode::OK).await;
        let endpoint = stub.register(&world, settings).await;
        Self { world, stub, endpoint }
    }

    /// The next callback.
    async fn callback(&mut self) -> Seen {
        let id = format!("order-{}", self.stub.count());
        let message = self.world.signed(&crate::world::order(&id, "COMPLETED", 1));
        self.world.hear(&message).await;
        assert_eq!(self.world.dispatcher.drain().await.unwrap(), 1);
        self.stub.seen().pop().unwrap()
    }

    async fn patch(&self, change: Value) -> Value {
        let path = format!("/v1/endpoints/{}", self.endpoint["id"].as_str().unwrap());
        self.world.call("PATCH", &path, Some(change)).await.1
    }

    async fn rotate(&self, seconds: u32) -> Value {
        let path = format!("/v1/endpoints/{}/rotate-secret", self.endpoint["id"].as_str().unwrap());
        self.world.call("POST", &path, Some(json!({ "overlapSeconds": seconds }))).await.1
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_public_key_of_the_api_verifies_what_is_sent_and_nothing_else(pool: PgPool) {
    let mut at = Receiving::new(pool, json!({ "signatures": ["v1a", "v1"] })).await;
    assert_eq!(at.endpoint["signatures"], json!(["v1", "v1a"]));
    let public = text(&at.endpoint["publicKey"]).to_owned();
    assert_eq!(text(&at.world.show(&at.endpoint).await["publicKey"]), public);
    let mut seen = at.callback().await;
    assert_eq!((signatures(&seen, "v1").len(), verified(&seen, &public)), (1, 1));
    seen.bytes = [seen.bytes.as_ref(), b" "].concat().into();
    assert_eq!(verified(&seen, &public), 0, "one byte more");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn both_keys_sign_for_the_overlap_and_the_old_one_not_a_moment_longer(pool: PgPool) {
    let mut at = Receiving::new(pool, json!({ "signatures": ["v1", "v1a"] })).await;
    let first = text(&at.endpoint["publicKey"]).to_owned();
    let rotated = at.rotate(3600).await;
    let second = text(&rotated["publicKey"]).to_owned();
    assert!(text(&rotated["secret"]).starts_with("whsec_") && first != second, "{rotated}");
    assert_eq!(text(&at.world.show(&at.endpoint).await["publicKey"]), second);
    let seen = at.callback().await;
    assert_eq!((signatures(&seen, "v1").len(), signatures(&seen, "v1a").len()), (2, 2));
    assert_eq!((verified(&seen, &first), verified(&seen, &second)), (1, 1));
    // The hour passes; nobody tells the sender, who judges it when it signs.
    at.world.sql("update endpoint_secret set expires_at = now() where expires_at is not null").await;
    at.world.sql("update endpoint set revision = revision + 1").await;
    let seen = at.callback().await;
    assert_eq!((verified(&seen, &first), verified(&seen, &second)), (0, 1));
    let third = text(&at.rotate(0).await["publicKey"]).to_owned();
    let seen = at.callback().await;
    assert_eq!((verified(&seen, &second), verified(&seen, &third)), (0, 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn signatures_come_and_go_with_the_setting_and_the_key_pair_stays_the_same(pool: PgPool) {
    let mut at = Receiving::new(pool, json!({})).await;
    assert_eq!((&at.endpoint["signatures"], &at.endpoint["publicKey"]), (&json!(["v1"]), &Value::Null));
    assert_eq!(signatures(&at.callback().await, "v1a").len(), 0);
    let public = at.patch(json!({ "signatures": ["v1a"] })).await["publicKey"].clone();
    let seen = at.callback().await;
    assert_eq!((signatures(&seen, "v1").len(), verified(&seen, text(&public))), (0, 1));
    let without = at.patch(json!({ "signatures": null })).await;
    assert_eq!((&without["signatures"], &without["publicKey"]), (&json!(["v1"]), &Value::Null));
    assert_eq!(signatures(&at.callback().await, "v1a").len(), 0);
    let again = at.patch(json!({ "signatures": ["v1", "v1a"], "description": "both" })).await;
    assert_eq!(again["publicKey"], public);
    assert_eq!(verified(&at.callback().await, text(&public)), 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn private_keys_are_sealed_and_forgotten_with_the_endpoint(pool: PgPool) {
    let at = Receiving::new(pool, json!({ "signatures": ["v1", "v1a"] })).await;
    EndpointSecret::parse(text(&at.endpoint["secret"])).unwrap();
    let stored: Vec<Vec<u8>> =
        sqlx::query_scalar("select secret from endpoint_secret").fetch_all(&at.world.pool).await.unwrap();
    let in_the_clear =
        |bytes: &Vec<u8>| bytes.windows(4).any(|window| window == b"whsk" || window == b"whse");
    assert_eq!((stored.len(), stored.iter().filter(|bytes| in_the_clear(bytes)).count()), (2, 0));
    let path = format!("/v1/endpoints/{}", text(&at.endpoint["id"]));
    at.world.call("DELETE", &path, None).await;
    assert_eq!(at.world.count("endpoint_secret").await, 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_rotation_that_comes_after_the_deletion_leaves_no_key_behind(pool: PgPool) {
    let at = Receiving::new(pool, json!({})).await;
    let id = text(&at.endpoint["id"]);
    at.world.call("DELETE", &format!("/v1/endpoints/{id}"), None).await;
    let (secret, place) = (EndpointSecret::generate(), (at.world.partner, id.parse().unwrap()));
    let mut conn = at.world.pool.acquire().await.unwrap();
    let new = [SigningKey::Secret(&secret)];
    assert!(!rotate(&mut conn, &at.world.key, (place, &new), chrono::Utc::now()).await.unwrap());
    assert_eq!(at.world.count("endpoint_secret").await, 0);
}
