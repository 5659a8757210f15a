//! No statement that runs often reads a table that grows from one end to the other, nor a long stretch of an index,
//! whether Postgres plans for the values at hand or once for all, on an empty database and on one that it believes to
//! hold a million events. Nor does a claim read more of a backlog than it takes.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool, Postgres};
use transak_relay::model::breaker::Pick;
use transak_relay::model::queue::Room;
use transak_relay::store::delivery::claim::claim;
use transak_relay::store::dispatcher::{DispatcherId, beat};
use transak_relay::store::figures;
use transak_relay::store::pool::{MIGRATOR, pool_options};

use crate::world::{World, order};

/// The tables that grow with the traffic; partitions begin with the name of theirs.
const GROWING: [&str; 6] = ["event", "order", "delivery", "payload", "sighting", "attempt"];
const CONNECTIONS: u32 = 4;
/// Statements are planned anew five times before a plan is kept.
const ROUNDS: u32 = 7;
const EVENTS: u32 = 10;
/// The most index entries that one event may need, from hearing it to showing it.
const MOST_ENTRIES: i64 = 400;

/// What was read of each table: sequential scans, and index entries.
type Reads = BTreeMap<String, (i64, i64)>;

#[sqlx::test(migrator = "MIGRATOR")]
async fn with_a_plan_for_each_execution(_: PgPoolOptions, options: PgConnectOptions) {
    every_statement_finds_its_rows(options, "force_custom_plan").await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn with_one_plan_for_all_executions(_: PgPoolOptions, options: PgConnectOptions) {
    every_statement_finds_its_rows(options, "force_generic_plan").await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_claim_planned_for_its_values_reads_as_much_of_a_backlog_as_it_takes(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    a_claim_reads_as_much_as_it_takes(options, "force_custom_plan").await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_claim_planned_once_reads_as_much_of_a_backlog_as_it_takes(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    a_claim_reads_as_much_as_it_takes(options, "force_generic_plan").await;
}

async fn a_claim_reads_as_much_as_it_takes(options: PgConnectOptions, mode: &str) {
    let options = options.options([("plan_cache_mode", mode)]);
    let pool = pool_options().max_connections(CONNECTIONS).connect_with(options).await.unwrap();
    let world = World::new(pool).await;
    let (_receiver, endpoint) = world.endpoint(json!({})).await;
    let endpoint = endpoint["id"].as_str().unwrap();
    let others = "insert into endpoint (partner_id, endpoint_id, url, retry_schedule)
                  select partner_id, gen_random_uuid(), url, retry_schedule from endpoint, generate_series(1, 99)";
    world.sql(others).await;
    grow(&world.pool, endpoint).await;
    world.sql("update delivery set state = 'pending', next_attempt_at = now(), finished_at = null").await;
    let dispatcher = DispatcherId::new();
    let mut tx = world.pool.begin().await.unwrap();
    beat(&mut tx, dispatcher).await.unwrap();
    let before = entries_read(&mut tx).await;
    let wanted = [Room { place: (world.partner, endpoint.parse().unwrap()), most: 50, pick: Pick::InTurn }];
    assert_eq!(claim(&mut tx, dispatcher, &wanted).await.unwrap().len(), 50);
    let read = entries_read(&mut tx).await - before;
    assert!(read < 500, "{read} index entries were read to claim 50 of 10,000");
}

/// Index entries that this session has read and not yet told of.
pub(crate) async fn entries_read(conn: &mut PgConnection) -> i64 {
    let read = "select sum(pg_stat_get_xact_tuples_returned(indexrelid))::bigint from pg_stat_user_indexes";
    sqlx::query_scalar(read).fetch_one(conn).await.unwrap()
}

async fn every_statement_finds_its_rows(options: PgConnectOptions, mode: &str) {
    let options = options.options([("plan_cache_mode", mode)]);
    let pool = pool_options().max_connections(CONNECTIONS).connect_with(options).await.unwrap();
    let mut world = World::new(pool).await;
    let (_receiver, endpoint) = world.endpoint(json!({})).await;
    let (_other, _) = world.endpoint(json!({ "ordered": true })).await;
    let before = reads(&mut world).await;
    live(&mut world, "young").await;
    let young = reads(&mut world).await;
    scans_are_none(&before, &young, "an empty database");
    grow(&world.pool, endpoint["id"].as_str().unwrap()).await;
    let before = reads(&mut world).await;
    live(&mut world, "old").await;
    let old = reads(&mut world).await;
    scans_are_none(&before, &old, "a million events");
    let entries: i64 =
        old.iter().map(|(table, (_, read))| read - before.get(table).map_or(0, |was| was.1)).sum();
    let most = MOST_ENTRIES * i64::from(ROUNDS * EVENTS);
    assert!(
        entries < most,
        "{entries} index entries were read, at most {most} should be\n{before:?}\n{old:?}"
    );
}

/// Events are heard, told and shown, in the ways that occur often.
async fn live(world: &mut World, name: &str) {
    for round in 0..ROUNDS {
        for number in 0..EVENTS {
            let status = ["AWAITING_PAYMENT_FROM_USER", "PROCESSING"][round as usize % 2];
            let message = world.signed(&order(&format!("{name}-{}-{number}", round / 2), status, round));
            world.intake.offer(world.heard(&message)).unwrap();
            // The other listener hears it too.
            world.intake.offer(world.heard(&message)).unwrap();
        }
        world.writer.drain().await;
        world.dispatcher.drain().await.unwrap();
        for path in [
            format!("/v1/orders/{name}-0-1/timeline"),
            format!("/v1/orders/{name}-0-1"),
            "/v1/events?limit=10".to_owned(),
            "/v1/deliveries?limit=10".to_owned(),
        ] {
            assert!(world.call("GET", &path, None).await.0.is_success(), "{path}");
        }
        figures::queue(&mut world.pool.acquire().await.unwrap()).await.unwrap();
    }
}

#[track_caller]
fn scans_are_none(before: &Reads, after: &Reads, when: &str) {
    let scanned: Vec<_> = after
        .iter()
        .filter(|(table, (scans, _))| before.get(*table).is_none_or(|was| *scans > was.0) && *scans > 0)
        .collect();
    assert!(scanned.is_empty(), "{when}: read from one end to the other (scans, index entries): {scanned:?}");
}

/// What has been read so far, by all connections.
async fn reads(world: &mut World) -> Reads {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = world.pool.acquire().await.unwrap();
        // A backend tells what it has counted only now and then.
        sqlx::query("select pg_stat_force_next_flush()").execute(&mut *connection).await.unwrap();
        connections.push(connection);
    }
    end_other_sessions(&mut connections).await;
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "select t.relname::text, t.seq_scan, coalesce(sum(i.idx_tup_read), 0)::bigint
         from pg_stat_user_tables t left join pg_stat_user_indexes i using (relid)
         where split_part(t.relname, '_', 1) = any ($1)
         group by t.relid, t.relname, t.seq_scan",
    )
    .bind(GROWING)
    .fetch_all(&mut *connections[0])
    .await
    .unwrap();
    drop(connections);
    // The first batch after that finds its sessions gone, and waits on disk for new ones.
    let message = world.signed(&order("between", "PROCESSING", 1));
    world.intake.offer(world.heard(&message)).unwrap();
    world.writer.drain().await;
    world.writer.drain().await;
    assert_eq!(world.writer.health().borrow().spooled_bytes, 0);
    // So does the first claim.
    let _ = world.dispatcher.drain().await;
    world.dispatcher.drain().await.unwrap();
    rows.into_iter().map(|(table, scans, entries)| (table, (scans, entries))).collect()
}

/// Ends the sessions that the intake keeps for itself and waits until they have told what they counted. The session that
/// says that the dispatcher lives is left alone.
async fn end_other_sessions(connections: &mut [PoolConnection<Postgres>]) {
    let mut ours = Vec::new();
    for connection in connections.iter_mut() {
        let pid: i32 =
            sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut **connection).await.unwrap();
        ours.push(pid);
    }
    let ended: Vec<bool> = sqlx::query_scalar(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity
         where datname = current_database() and backend_type = 'client backend' and pid <> all ($1)
           and pid not in (select pid from pg_locks where locktype = 'advisory')",
    )
    .bind(ours)
    .fetch_all(&mut *connections[0])
    .await
    .unwrap();
    assert!(ended.iter().all(|ended| *ended));
}

/// Fills the tables with ten thousand events, and has Postgres believe that it is a million: it counts the pages, but
/// takes what is in them from its statistics.
async fn grow(pool: &PgPool, endpoint: &str) {
    for statement in FILL {
        sqlx::query(statement).bind(endpoint.trim_start_matches("ep_")).execute(pool).await.unwrap();
    }
    sqlx::raw_sql("analyze").execute(pool).await.unwrap();
    sqlx::query(
        "update pg_class set reltuples = reltuples * 100
         where relkind in ('r', 'i') and relnamespace = 'public'::regnamespace and reltuples >= 5000",
    )
    .execute(pool)
    .await
    .unwrap();
}

const FILL: [&str; 6] = [
    "insert into event (partner_id, event_id, order_id, event, status, identity, occurred_at, received_at)
     select partner_id, uuid_in(md5('e' || n)::cstring), 'old-' || n / 4, 'ORDER_PROCESSING', 'PROCESSING',
            uuid_send(uuid_in(md5('e' || n)::cstring)), now() - n * interval '1 min', now() - n * interval '1 min'
     from generate_series(1, 10000) as n, endpoint where endpoint_id = $1::uuid",
    "insert into payload (partner_id, event_id, received_at, body)
     select partner_id, event_id, received_at, '{}' from event where $1 <> '' and order_id like 'old-%'",
    "insert into sighting (partner_id, event_id, source, at, verified)
     select partner_id, event_id, 'stream', received_at, true from event where $1 <> '' and order_id like 'old-%'",
    "insert into \"order\" (partner_id, order_id, status, status_at, verified, created_at, updated_at, snapshot_event_id,
                          snapshot_received_at, snapshot_at, partner_order_id, wallet_address)
     select partner_id, 'old-' || n, 'PROCESSING', now(), true, now(), now(), md5('e' || n)::uuid, now(), now(), 'po-' || n, 'w'
     from generate_series(1, 10000) as n, endpoint where endpoint_id = $1::uuid",
    "insert into delivery (partner_id, delivery_id, event_id, endpoint_id, order_id, state, attempts, last_status_code,
                           created_at, finished_at)
     select partner_id, event_id, event_id, $1::uuid, order_id, 'succeeded', 1, 200, received_at, received_at
     from event where order_id like 'old-%'",
    "insert into attempt (partner_id, delivery_id, attempt_id, at, status_code, total_ms, request_headers)
     select partner_id, delivery_id, delivery_id, created_at, 200, 1, '{}' from delivery
     where endpoint_id = $1::uuid and order_id like 'old-%'",
];
