//! What happens to a running relay from outside of its interface: signals, a log that cannot be written, a spool that is
//! taken away, a database whose disk is full.

use std::process::Stdio;

use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use transak_relay::store::pool::MIGRATOR;

use crate::process::{Around, Process};
use crate::world::order;

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_hangup_changes_nothing_and_says_what_would(pool: PgPool) {
    let around = Around::new(pool).await;
    let mut relay = around.start(&[]).await;
    relay.signal("HUP").await;
    relay.logs("SIGHUP changes nothing").await;
    relay.ready().await;
    assert!(relay.stop().await.success(), "{}", relay.log());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn debug_lines_of_this_program_are_turned_on_and_off_while_it_runs(pool: PgPool) {
    let around = Around::new(pool).await;
    let relay = around.start(&[]).await;
    assert!(!relay.log().contains("DEBUG"), "{}", relay.log());
    relay.signal("USR1").await;
    relay.logs("debug logging is on").await;
    // Asking is answered, and that is a debug line.
    relay.ready().await;
    relay.logs("DEBUG").await;
    relay.signal("USR1").await;
    relay.logs("debug logging is off").await;
    let log = relay.log();
    let foreign = log.lines().find(|line| line.contains("DEBUG") && !line.contains("transak_relay::"));
    assert_eq!(foreign, None, "libraries are asked by name");
    let (_, after) = log.split_once("debug logging is off").unwrap();
    assert!(!after.contains("DEBUG"), "{after}");
    relay.ready().await;
    relay.signal("HUP").await;
    relay.logs("SIGHUP").await;
    assert_eq!(relay.log().matches("DEBUG").count(), log.matches("DEBUG").count());
}

/// A relay hears an order and tells it.
async fn works(around: &Around, relay: &Process, order_id: &str) {
    let receiver = relay.endpoint(json!({})).await;
    around.publish(&order(order_id, "PROCESSING", 1));
    let told = receiver.count();
    let telling = async { told.clone().wait_for(|count| *count >= 1).await.map(|_| ()) };
    relay.while_it_runs("told it", telling).await.unwrap();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_relay_whose_log_nobody_reads_goes_on(pool: PgPool) {
    let around = Around::new(pool).await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    for format in ["pretty", "json"] {
        let settings = [("RUST_LOG", "debug"), ("RELAY_LOG_FORMAT", format)];
        let mut relay = around.spawn_logging_to(&settings, Stdio::from(writer.try_clone().unwrap()));
        relay.ready().await;
        relay.signal("USR1").await;
        relay.signal("HUP").await;
        works(&around, &relay, &format!("written-nowhere-{format}")).await;
        assert!(relay.stop().await.success());
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_spool_folder_that_is_taken_away_is_told_and_is_used_again_when_it_is_back(pool: PgPool) {
    let around = Around::new(pool).await;
    let relay = around.start(&[]).await;
    let spool = around.folder.path().join("spool");
    std::fs::remove_dir_all(&spool).unwrap();
    let reasons = relay.reasons_when_not_ready().await;
    assert!(reasons.contains("\"spool_broken\""), "{reasons}");
    std::fs::create_dir(&spool).unwrap();
    relay.ready().await;
    assert!(spool.join("0/messages").exists());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_database_whose_disk_is_full_is_told_once_by_the_name_that_postgres_has_for_it(pool: PgPool) {
    let around = Around::new(pool).await;
    let relay = around.start(&[("RELAY_LOG_FORMAT", "json")]).await;
    let full = "create function full_disk() returns trigger language plpgsql as
                $$ begin raise 'no space left for Ann' using errcode = '53100'; end $$;
                create trigger full_disk before insert on event execute function full_disk();
                create trigger full_disk before insert on \"order\" execute function full_disk()";
    sqlx::raw_sql(full).execute(&around.pool).await.unwrap();
    for number in 0..20 {
        around.publish(&order(&format!("no-room-{number}"), "PROCESSING", 1));
    }
    let reasons = relay.reasons_when_not_ready().await;
    assert!(reasons.contains("spool_in_use") && reasons.contains("SQLSTATE 53100 disk_full"), "{reasons}");
    relay.logs("SQLSTATE 53100 disk_full").await;
    let lines = || relay.log().matches("the database is not available").count();
    let metrics = relay.metrics_when(|text| text.contains("fate=\"spooled\"} 20")).await;
    assert!(metrics.contains("fate=\"spooled\"} 20"), "{metrics}");
    assert_eq!(lines(), 1, "{}", relay.log());
    assert!(!relay.log().contains("Ann"), "{}", relay.log());
    let empty = "drop trigger full_disk on event; drop trigger full_disk on \"order\"";
    sqlx::raw_sql(empty).execute(&around.pool).await.unwrap();
    relay.logs("the database takes messages again").await;
    relay.ready().await;
    let (status, _) = relay.call(reqwest::Method::GET, "/v1/orders/no-room-0", None).await;
    assert_eq!(status, StatusCode::OK);
}
