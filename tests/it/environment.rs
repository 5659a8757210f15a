//! What the database refuses for its own state, and what it refuses for the row: only the latter is quarantined.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use transak_relay::intake::{Fate, Heard};
use transak_relay::model::event::Source;
use transak_relay::store::constraint::{OWN, of_partition};
use transak_relay::store::pool::MIGRATOR;

use crate::heard_is_kept::allow_connections;
use crate::world::{World, order};

/// From now on inserting into a table fails so for the rows about which a condition is true.
async fn refuse(world: &World, (table, condition): (&str, &str), error: &str) {
    let statement = format!(
        "create or replace function refuse() returns trigger language plpgsql as $$
         begin
             if {condition} then raise exception 'refused' using {error}; end if;
             return new;
         end $$;
         create or replace trigger refuse before insert on {table} for each row execute function refuse()"
    );
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&world.pool).await.unwrap();
}

async fn keep(world: &mut World, heard: Heard) -> Fate {
    let intake = world.intake.clone();
    let (fate, ()) = tokio::join!(intake.keep(heard), world.writer.write_next());
    fate.unwrap()
}

fn webhook(world: &World, id: &str) -> Heard {
    Heard {
        source: Source::Webhook,
        channel: None,
        ..world.heard(&world.signed(&order(id, "PROCESSING", 1)))
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_no_fault_of_a_message_is_acknowledged_only_on_disk_and_kept_later(pool: PgPool) {
    let mut world = World::new(pool).await;
    let codes =
        ["0A000", "21000", "22P02", "23503", "23514", "42501", "42P01", "54001", "55006", "P0001", "XX000"];
    for code in codes {
        refuse(&world, ("event", "true"), &format!("errcode = '{code}'")).await;
        let heard = webhook(&world, code);
        assert_eq!(keep(&mut world, heard).await, Fate::Spooled, "{code}");
        assert!(world.writer.health().borrow().spooled_bytes > 0, "{code}: readiness has to say so");
    }
    assert_eq!((world.count("event").await, world.count("quarantine").await), (0, 0));
    world.sql("drop trigger refuse on event").await;
    world.writer.drain().await;
    assert_eq!(usize::try_from(world.count("event").await).unwrap(), codes.len());
    assert_eq!(world.writer.health().borrow().spooled_bytes, 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_a_message_causes_itself_is_quarantined_alone(pool: PgPool) {
    let mut world = World::new(pool).await;
    let errors = [
        "errcode = '22001'",
        "errcode = '22021'",
        "errcode = '22P05'",
        "errcode = '54000'",
        "errcode = '23514', constraint = 'event_hops_are_counted'",
    ];
    for (number, error) in errors.into_iter().enumerate() {
        refuse(&world, ("event", "new.order_id like 'poison%'"), error).await;
        for id in [format!("good-{number}"), format!("poison-{number}"), format!("fine-{number}")] {
            let heard = webhook(&world, &id);
            world.intake.offer(heard).unwrap();
        }
        world.writer.drain().await;
        let number = i64::try_from(number).unwrap() + 1;
        assert_eq!(
            (world.count("event").await, world.count("quarantine").await),
            (2 * number, number),
            "{error}"
        );
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn while_the_tables_are_away_nothing_is_quarantined_and_nothing_lost(pool: PgPool) {
    let mut world = World::new(pool).await;
    let message = world.signed(&order("before", "PROCESSING", 1));
    world.hear(&message).await;
    world.sql("alter schema public rename to away; create schema public").await;
    for id in ["o1", "o2"] {
        let heard = webhook(&world, id);
        assert_eq!(keep(&mut world, heard).await, Fate::Spooled);
    }
    world.writer.drain().await;
    world.sql("drop schema public; alter schema away rename to public").await;
    world.writer.drain().await;
    assert_eq!((world.count("event").await, world.count("quarantine").await), (3, 0));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_message_that_alone_meets_an_unexpected_error_waits_alone(pool: PgPool) {
    let mut world = World::new(pool).await;
    refuse(&world, ("event", "new.order_id = 'odd'"), "errcode = 'XX000'").await;
    for id in ["o1", "o2", "o3", "odd", "o4", "o5", "o6", "o7"] {
        let heard = webhook(&world, id);
        world.intake.offer(heard).unwrap();
    }
    world.writer.drain().await;
    assert_eq!((world.count("event").await, world.count("quarantine").await), (7, 0));
    assert_eq!(world.writer.health().borrow().spooled_bytes, 0, "the database takes the rest");
    world.sql("drop trigger refuse on event").await;
    world.writer.drain().await;
    assert_eq!(world.count("event").await, 8);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_cannot_even_be_quarantined_is_not_said_to_be(pool: PgPool) {
    let mut world = World::new(pool).await;
    for error in ["errcode = 'XX000'", "errcode = '22021'", "errcode = '42501'"] {
        refuse(&world, ("quarantine", "true"), error).await;
        let heard = Heard { source: Source::Webhook, ..world.heard(error) };
        assert_eq!(keep(&mut world, heard).await, Fate::Spooled, "{error}");
    }
    assert_eq!(world.count("quarantine").await, 0);
    world.sql("drop trigger refuse on quarantine").await;
    world.writer.drain().await;
    assert_eq!(world.count("quarantine").await, 3);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_webhook_that_can_be_neither_kept_nor_put_on_disk_is_not_answered_200(pool: PgPool) {
    let mut world = World::new(pool).await;
    let path = format!("/ingest/transak/{}", world.partner);
    let [webhook, as_long] = ["o1", "o2"].map(|id| world.signed(&order(id, "COMPLETED", 1)));
    let body = json!({ "data": webhook });
    let options = world.pool.connect_options();
    allow_connections(&options, false).await;
    // Until there is no room for the webhook either.
    let [large, small] = [1 << 20, 1 << 14].map(|bytes| "x".repeat(bytes));
    for (refused, data) in (0..).zip([&large, &small, &as_long]) {
        while world.writer.health().borrow().refused == refused {
            world.intake.offer(Heard { channel: None, ..world.heard(data) }).unwrap();
            world.writer.write_next().await;
        }
    }
    let (status, _) = world.post_while_writing(&path, body.clone()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "it is nowhere");
    allow_connections(&options, true).await;
    world.writer.drain().await;
    let (status, answer) = world.post_while_writing(&path, body).await;
    assert_eq!((status, &answer["result"]), (StatusCode::OK, &json!("new")));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_somebody_else_has_put_on_a_table_is_no_fault_of_a_message(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.sql("create unique index one_event_an_order on event (order_id)").await;
    for status in ["AWAITING_PAYMENT_FROM_USER", "PROCESSING"] {
        let heard = Heard { source: Source::Webhook, ..world.heard(&world.signed(&order("o1", status, 1))) };
        world.intake.offer(heard).unwrap();
        world.writer.drain().await;
    }
    let heard = webhook(&world, "o2");
    assert_eq!(keep(&mut world, heard).await, Fate::New, "the rest is kept");
    assert_eq!((world.count("event").await, world.count("quarantine").await), (2, 0));
    world.sql("drop index one_event_an_order").await;
    world.sql("alter table event add constraint no_large_ones check (length(order_id) < 5) not valid").await;
    let heard = webhook(&world, "a-longer-one");
    assert_eq!(keep(&mut world, heard).await, Fate::Spooled);
    world.sql("alter table event drop constraint no_large_ones").await;
    world.writer.drain().await;
    assert_eq!((world.count("event").await, world.count("quarantine").await), (4, 0));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn every_constraint_and_index_of_our_tables_is_known_as_our_own(pool: PgPool) {
    let in_schema: Vec<(String, String, bool)> = sqlx::query_as(
        "select part.relname::text, named.name, part.relispartition
         from (select conrelid as part, conname::text as name from pg_constraint where contype in ('c', 'p', 'u')
               union select indrelid, relname::text from pg_index join pg_class index on index.oid = indexrelid) named
         join pg_class part on part.oid = named.part
         where part.relnamespace = 'public'::regnamespace and part.relname <> '_sqlx_migrations'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let listed =
        OWN.iter().flat_map(|(table, names)| names.iter().map(|name| (table.to_string(), name.to_string())));
    let (of_partitions, of_tables): (Vec<_>, Vec<_>) = in_schema.into_iter().partition(|one| one.2);
    assert_eq!(
        of_tables.into_iter().map(|(table, name, _)| (table, name)).collect::<BTreeSet<_>>(),
        listed.collect::<BTreeSet<_>>(),
        "a new constraint or index belongs into src/store/constraint.rs"
    );
    let keys = of_partitions.iter().filter(|(_, name, _)| name.ends_with("_pkey"));
    assert!(keys.clone().count() >= 2);
    assert!(keys.into_iter().all(|(_, name, _)| of_partition(name)));
}
