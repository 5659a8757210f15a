//! Gaps over HTTP: what is done about each, and who finds them.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::store::pool::MIGRATOR;

use crate::process::Around;
use crate::world::World;

#[sqlx::test(migrator = "MIGRATOR")]
async fn each_gap_says_what_is_done_about_it(pool: PgPool) {
    let world = World::new(pool).await;
    world
        .sql(
            "insert into gap (partner_id, gap_id, started_at, ended_at, reason, repaired_at, next_repair_at, repairs,
                              repair_id, last_error)
             select partner_id, gap_id::uuid, '2026-04-04', ended_at, 'test', repaired_at, next_at, tries,
                    repair_id::uuid, error
             from partner, (values
                 ('00000000-0000-7000-8000-000000000001', null::timestamptz, null::timestamptz, now(), 0, null, null),
                 ('00000000-0000-7000-8000-000000000002', now(), null, now(), 0, null, null),
                 ('00000000-0000-7000-8000-000000000003', now(), null, '2999-01-01T00:00:00Z', 2,
                  '00000000-0000-7000-8000-000000000003', 'Transak asks for fewer calls'),
                 ('00000000-0000-7000-8000-000000000004', now(), null, now(), 0,
                  '00000000-0000-7000-8000-000000000004', null),
                 ('00000000-0000-7000-8000-000000000005', now(), now(), now(), 1,
                  '00000000-0000-7000-8000-000000000005', null)
             ) as made (gap_id, ended_at, repaired_at, next_at, tries, repair_id, error)",
        )
        .await;
    let (_, page) = world.call("GET", "/v1/gaps", None).await;
    let told: Vec<Value> = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|gap| {
            json!([
                gap["state"],
                gap["tries"],
                gap["lastError"],
                gap["nextRepairAt"].is_string(),
                gap["repairedAt"].is_string()
            ])
        })
        .collect();
    assert_eq!(
        json!(told),
        json!([
            ["open", 0, null, false, false],
            ["waiting", 0, null, true, false],
            ["waiting", 2, "Transak asks for fewer calls", true, false],
            ["repairing", 0, null, true, false],
            ["repaired", 1, null, false, true],
        ])
    );
    assert_eq!(page["data"][2]["nextRepairAt"], json!("2999-01-01T00:00:00.000Z"));
}

/// The first gap that a relay with these settings tells of.
async fn gap_found_with(pool: PgPool, settings: &[(&str, &str)]) -> Value {
    let around = Around::new(pool).await;
    let relay = around.spawn(settings);
    relay.logs("the relay answers").await;
    let asking = async {
        loop {
            let (_, page) = relay.call(Method::GET, "/v1/gaps", None).await;
            if let Some(gap) = page["data"].get(0) {
                return gap.clone();
            }
        }
    };
    relay.while_it_runs("found the gap", asking).await
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_process_that_does_not_listen_says_that_nobody_does(pool: PgPool) {
    let gap = gap_found_with(pool, &[("RELAY_ROLES", "api,dispatch")]).await;
    assert_eq!((&gap["endedAt"], &gap["state"]), (&json!(null), &json!("open")), "{gap}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_process_that_cannot_connect_says_that_nobody_listens(pool: PgPool) {
    let gap = gap_found_with(pool, &[("PUSHER_URL", "ws://127.0.0.1:1")]).await;
    assert_eq!((&gap["endedAt"], &gap["state"]), (&json!(null), &json!("open")), "{gap}");
}
