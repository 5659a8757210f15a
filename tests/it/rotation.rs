//! The master key is changed while relays run, and interrupted in the middle.

use std::collections::BTreeSet;
use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use transak_relay::app::rotation::rotate;
use transak_relay::model::id::EndpointId;
use transak_relay::model::seal::MasterKey;
use transak_relay::store::endpoint::sending;
use transak_relay::store::master_key::reseal::{Place, batch, left};
use transak_relay::store::master_key::sealed::SEALED;
use transak_relay::store::master_key::{self, check};
use transak_relay::store::pool::MIGRATOR;

use crate::process::{Around, MASTER_KEY};
use crate::proof_tls::authority;
use crate::soon::soon;
use crate::world::{World, order};

/// Columns of bytes that hold no secret: fingerprints, hashes, and what was heard.
const NOT_SEALED: [&str; 14] = [
    "_sqlx_migrations.checksum",
    "access_token.fingerprint",
    "api_token.token_hash",
    "attempt.response_body",
    "erasure.token_hash",
    "event.identity",
    "idempotency_key.fingerprint",
    "idempotency_key.token_hash",
    "master_key_check.key_id",
    // Each key has a row of its own.
    "master_key_check.sealed",
    "master_key_holder.seals_with",
    "payload.body",
    "quarantine.fingerprint",
    "quarantine.raw",
];

fn key(fill: u8) -> MasterKey {
    MasterKey::parse(&STANDARD.encode([fill; 32])).unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn every_column_of_bytes_is_listed_as_sealed_or_known_not_to_be(pool: PgPool) {
    let columns: Vec<String> = sqlx::query_scalar(
        "select c.table_name || '.' || c.column_name from information_schema.columns c
         where c.table_schema = 'public' and c.data_type = 'bytea'
           and not (select relispartition from pg_class where oid = quote_ident(c.table_name)::regclass)",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let sealed = SEALED.iter().map(|one| format!("{}.{}", one.table, one.column));
    let known = NOT_SEALED.iter().map(|&name| name.to_owned());
    assert_eq!(
        columns.into_iter().collect::<BTreeSet<_>>(),
        sealed.chain(known).collect::<BTreeSet<_>>(),
        "a new column of sealed values belongs into src/store/master_key/sealed.rs"
    );
}

/// One value in each sealed column, two where that is easy.
async fn fill(world: &World) {
    let secret = json!({ "apiSecret": "an-api-secret" });
    let path = format!("/v1/partners/{}", world.partner);
    assert_eq!(world.call("PATCH", &path, Some(secret)).await.0, StatusCode::OK);
    world.endpoint(json!({ "headers": { "x-key": "hidden" } })).await;
    world.endpoint(json!({ "tls": { "ca": authority("receivers").pem() } })).await;
    let request = axum::http::Request::post("/v1/tokens")
        .header("access-token", crate::world::ADMIN)
        .header("content-type", "application/json")
        .header("idempotency-key", "once/only")
        .body(axum::body::Body::from(r#"{"name":"t","scope":"admin"}"#))
        .unwrap();
    let answer = tower::ServiceExt::oneshot(world.api.clone(), request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    for one in SEALED {
        let filled = world.count(&format!("\"{}\" where {} is not null", one.table, one.column)).await;
        assert!(filled > 0, "{} is empty", one.table);
    }
}

async fn left_behind(pool: &PgPool, key: &MasterKey) -> i64 {
    let mut conn = pool.acquire().await.unwrap();
    let mut all = 0;
    for &column in SEALED {
        all += left(&mut conn, column, key.id()).await.unwrap();
    }
    all
}

/// Everything a relay has to open, by this key.
async fn opens(world: &World, key: &MasterKey) -> bool {
    let mut all = true;
    let endpoints: Vec<EndpointId> =
        sqlx::query_scalar("select endpoint_id from endpoint").fetch_all(&world.pool).await.unwrap();
    for id in endpoints {
        all &= sending::target(&world.pool, key, (world.partner, id)).await.is_ok();
    }
    all
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_rotation_that_was_interrupted_goes_on_where_it_was(pool: PgPool) {
    let world = World::new(pool).await;
    let (old, both, new) = (key(7), key(8).and_previous(key(7)), key(8));
    check(&mut world.pool.acquire().await.unwrap(), &old).await.unwrap();
    fill(&world).await;
    let before = left_behind(&world.pool, &new).await;
    assert!(before >= 6, "{before}");
    // It dies after some values.
    master_key::begin(&mut world.pool.acquire().await.unwrap(), &both).await.unwrap();
    for &column in &SEALED[1..4] {
        let done = batch(&world.pool, &both, column, (&mut Place::default(), 1)).await.unwrap().unwrap();
        assert_eq!((done.resealed, done.damaged), (1, 0), "{column:?}");
    }
    assert_eq!(left_behind(&world.pool, &new).await, before - 3);
    assert!(opens(&world, &key(8).and_previous(key(7))).await, "who has both works on");
    assert!(!opens(&world, &old).await && !opens(&world, &new).await, "who has one does not");
    for one in [&old, &new] {
        assert!(check(&mut world.pool.acquire().await.unwrap(), one).await.is_err(), "and does not start");
    }
    let mut told = Vec::new();
    rotate(&world.pool, &both, &mut told).await.unwrap();
    println!("{}", String::from_utf8(told).unwrap());
    assert_eq!(left_behind(&world.pool, &new).await, 0);
    assert!(opens(&world, &new).await);
    check(&mut world.pool.acquire().await.unwrap(), &new).await.unwrap();
    assert!(check(&mut world.pool.acquire().await.unwrap(), &old).await.is_err());
    rotate(&world.pool, &both, &mut Vec::new()).await.unwrap();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_value_that_does_not_open_is_left_and_keeps_the_old_key_known(pool: PgPool) {
    let world = World::new(pool).await;
    let both = key(8).and_previous(key(7));
    check(&mut world.pool.acquire().await.unwrap(), &key(7)).await.unwrap();
    fill(&world).await;
    world.sql("update partner set api_secret = api_secret || '\\x00'").await;
    let error = rotate(&world.pool, &both, &mut Vec::new()).await.unwrap_err().to_string();
    assert!(error.starts_with("1 values do not open"), "{error}");
    assert_eq!(left_behind(&world.pool, &both).await, 1);
    check(&mut world.pool.acquire().await.unwrap(), &both).await.unwrap();
}

const NEW_KEY: &str = "YW5vdGhlciBtYXN0ZXIga2V5IG9mIDMyIGJ5dGVzISE=";

async fn run_rotation(around: &Around) -> (Output, String) {
    let settings = [
        ("DATABASE_URL", around.database()),
        ("RELAY_MASTER_KEY", NEW_KEY.to_owned()),
        ("RELAY_MASTER_KEY_PREVIOUS", MASTER_KEY.to_owned()),
    ];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let ran = around.bare(&["rotate-master-key"], &settings).output().await.unwrap();
    let told = String::from_utf8_lossy(&[&ran.stdout[..], &ran.stderr[..]].concat()).into_owned();
    (ran, told)
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn relays_that_have_both_keys_go_on_telling_while_the_key_changes(pool: PgPool) {
    let around = Around::new(pool).await;
    let mut first = around.start(&[]).await;
    let receiver = first.endpoint(json!({})).await;
    let (refused, told) = run_rotation(&around).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(told.contains("1 running relays do not have the new key"), "{told}");
    assert!(first.stop().await.success());

    let both = [("RELAY_MASTER_KEY", NEW_KEY), ("RELAY_MASTER_KEY_PREVIOUS", MASTER_KEY)];
    let mut second = around.start(&both).await;
    around.publish(&order("before", "PROCESSING", 1));
    soon(receiver.count().wait_for(|count| *count >= 1)).await.unwrap();
    let (done, told) = run_rotation(&around).await;
    assert!(done.status.success(), "{told}");
    println!("{told}");
    around.publish(&order("after", "PROCESSING", 1));
    soon(receiver.count().wait_for(|count| *count >= 2)).await.unwrap();
    second.endpoint(json!({})).await;
    assert!(second.stop().await.success());

    let old = around.serve(0, &[]).output().await.unwrap();
    let line = String::from_utf8_lossy(&old.stderr).into_owned();
    assert_eq!(old.status.code(), Some(1), "{line}");
    assert!(line.contains("RELAY_MASTER_KEY is not the key this database is used with"), "{line}");
    let mut third = around.start(&[("RELAY_MASTER_KEY", NEW_KEY)]).await;
    around.publish(&order("alone", "PROCESSING", 1));
    soon(receiver.count().wait_for(|count| *count >= 3)).await.unwrap();
    assert!(receiver.arrivals().iter().all(|arrival| arrival.verified));
    assert!(third.stop().await.success());
}
