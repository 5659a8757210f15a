//! Everything that grows has an end.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::json;
use sqlx::PgPool;
use transak_relay::maintenance::Maintenance;
use transak_relay::store::pool::MIGRATOR;

use crate::world::{World, order};

const DAY: Duration = Duration::from_hours(24);

async fn run(world: &World, days_later: i64) {
    let mut maintenance = Maintenance::new(world.pool.clone(), Some(90 * DAY));
    let now = Utc::now() + TimeDelta::days(days_later);
    maintenance.run_once(now).await.unwrap().unwrap();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_papers_say_of_every_table_what_deletes_from_it(pool: PgPool) {
    let tables = "select relname::text from pg_class join pg_namespace n on n.oid = relnamespace
                  where nspname = current_schema() and relkind in ('r', 'p') and not relispartition";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&pool).await.unwrap();
    let paper = include_str!("../../docs/retention.md");
    let first = paper.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
    let names = first.flat_map(|(names, _)| names.split(", "));
    let named: BTreeSet<&str> = names.filter_map(|name| name.strip_prefix('`')?.strip_suffix('`')).collect();
    assert_eq!(named, tables.iter().map(String::as_str).collect(), "docs/retention.md");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_deleted_partner_is_gone_once_nothing_of_it_is_kept(pool: PgPool) {
    let mut world = World::new(pool).await;
    let _receiver = world.endpoint(json!({})).await;
    let message = world.signed(&order("o1", "COMPLETED", 1));
    world.hear(&message).await;
    world.hear("nonsense").await;
    world.dispatcher.drain().await.unwrap();
    assert_eq!(world.call("DELETE", &format!("/v1/partners/{}", world.partner), None).await.0, 204);
    run(&world, 89).await;
    assert_eq!((world.count("partner").await, world.count("endpoint").await), (1, 1));
    run(&world, 91).await;
    for table in ["partner", "endpoint", "endpoint_lease", "endpoint_secret", "quarantine_usage", "\"order\""]
    {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_deleted_partner_to_which_a_table_of_somebody_else_refers_stays_and_keeps_nothing_else(
    pool: PgPool,
) {
    let world = World::new(pool).await;
    world.sql("create table ledger (partner_id uuid references partner); insert into ledger select partner_id from partner").await;
    assert_eq!(world.call("DELETE", &format!("/v1/partners/{}", world.partner), None).await.0, 204);
    run(&world, 91).await;
    assert_eq!(world.count("partner").await, 1);
    world.sql("drop table ledger").await;
    run(&world, 91).await;
    assert_eq!(world.count("partner").await, 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_that_is_never_over_is_gone_two_years_after_it_was_last_heard_of(pool: PgPool) {
    let mut world = World::new(pool).await;
    let message = world.signed(&order("o1", "PROCESSING", 1));
    world.hear(&message).await;
    run(&world, 729).await;
    assert_eq!((world.count("\"order\"").await, world.count("payload").await), (1, 1));
    run(&world, 731).await;
    assert_eq!((world.count("\"order\"").await, world.count("event").await), (0, 0));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_record_of_an_erasure_is_kept_for_three_years(pool: PgPool) {
    let mut world = World::new(pool).await;
    let message = world.signed(&order("o1", "COMPLETED", 1));
    world.hear(&message).await;
    assert_eq!(world.call("DELETE", "/v1/orders/o1", None).await.0, 204);
    run(&world, 1_095).await;
    assert_eq!(world.count("erasure").await, 1);
    run(&world, 1_097).await;
    assert_eq!(world.count("erasure").await, 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_watch_whose_order_never_comes_ends_at_the_age_and_goes_at_twice_the_age(pool: PgPool) {
    let world = World::new(pool).await;
    let body = json!({ "orderId": "never", "partnerId": world.partner.to_string() });
    assert_eq!(world.call("POST", "/v1/watches", Some(body)).await.0, 201);
    run(&world, 89).await;
    assert_eq!(world.count("watch where ended_at is null").await, 1);
    run(&world, 91).await;
    assert_eq!(world.count("watch where ended_at is not null").await, 1);
    run(&world, 182).await;
    assert_eq!(world.count("watch").await, 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn access_tokens_that_ended_go_but_not_the_newest_five(pool: PgPool) {
    let world = World::new(pool).await;
    sqlx::query(
        "insert into access_token (partner_id, access_token_id, token, fingerprint, expires_at)
         select $1, ('00000000-0000-7000-8000-0000000000' || n)::uuid, 'x', n::text::bytea, now()
         from generate_series(10, 19) as n",
    )
    .bind(world.partner)
    .execute(&world.pool)
    .await
    .unwrap();
    run(&world, 89).await;
    assert_eq!(world.count("access_token").await, 11);
    run(&world, 91).await;
    assert_eq!(world.count("access_token").await, 5, "the four newest of them, and the partner's own");
}
