//! What a relay says, and how it ends, when it is started with something missing or wrong; what it waits for.

use std::time::Duration;

use reqwest::StatusCode;
use sqlx::PgPool;
use tokio::process::Command;
use transak_relay::store::pool::MIGRATOR;

use crate::process::Around;

/// The last line of a start that fails, and its exit code.
async fn refused(mut command: Command) -> (String, Option<i32>) {
    let ran = tokio::time::timeout(Duration::from_mins(1), command.output()).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    (told.lines().last().unwrap_or_default().to_owned(), ran.status.code())
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_missing_or_wrong_is_one_line_without_the_value_and_exit_code_1(pool: PgPool) {
    let around = Around::new(pool).await;
    let url = around.database();
    let file = "/nowhere/master.key";
    let short = "c2hvcnQ=";
    for (settings, expected) in [
        (
            vec![],
            "transak-relay: DATABASE_URL (--database-url), RELAY_MASTER_KEY (--master-key) must be given",
        ),
        (
            vec![("DATABASE_URL", url.as_str())],
            "transak-relay: RELAY_MASTER_KEY (--master-key) must be given",
        ),
        (
            vec![("DATABASE_URL", url.as_str()), ("RELAY_MASTER_KEY", short)],
            "transak-relay: RELAY_MASTER_KEY (--master-key): the master key must be 32 bytes in base64",
        ),
        (
            vec![("DATABASE_URL", url.as_str()), ("RELAY_MASTER_KEY", "")],
            "transak-relay: RELAY_MASTER_KEY (--master-key) must be given",
        ),
        (
            vec![("DATABASE_URL", url.as_str()), ("RELAY_MASTER_KEY_FILE", file)],
            "transak-relay: cannot read RELAY_MASTER_KEY_FILE (/nowhere/master.key)",
        ),
    ] {
        let (line, code) = refused(around.bare(&["serve"], &settings)).await;
        println!("{line}");
        assert!(line.starts_with(expected), "{line}");
        assert_eq!(code, Some(1), "{line}");
        assert!(!line.contains(short), "{line}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_second_replica_with_another_master_key_is_refused(pool: PgPool) {
    let around = Around::new(pool).await;
    let first = around.start(&[]).await;
    let other = [("RELAY_MASTER_KEY", "YW5vdGhlciBtYXN0ZXIga2V5IG9mIDMyIGJ5dGVzISE=")];
    let (line, code) = refused(around.serve(0, &other)).await;
    println!("{line}");
    assert!(line.contains("RELAY_MASTER_KEY is not the key this database is used with"), "{line}");
    assert_eq!(code, Some(1));
    assert_eq!(first.call(reqwest::Method::GET, "/readyz", None).await.0, StatusCode::OK);
    // Should the database come to be used with another key while a relay runs, that relay says so.
    sqlx::query("update master_key_check set key_id = 'wxyz'").execute(&around.pool).await.unwrap();
    let reasons = first.reasons_when_not_ready().await;
    assert!(reasons.contains("other_master_key"), "{reasons}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_database_of_a_newer_program_is_refused_at_start_and_a_running_relay_works_on(pool: PgPool) {
    let around = Around::new(pool).await;
    let running = around.start(&[]).await;
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'of a newer program', true, '', 0)",
    )
    .execute(&around.pool)
    .await
    .unwrap();
    for settings in [&[][..], &[("RELAY_NO_MIGRATE", "true")]] {
        let (line, code) = refused(around.serve(0, settings)).await;
        println!("{line}");
        let expected = "transak-relay: the database was migrated by a newer transak-relay (it is at 9999, this program knows";
        assert!(line.starts_with(expected), "{line}");
        assert_eq!(code, Some(1));
    }
    assert_eq!(running.call(reqwest::Method::GET, "/readyz", None).await.0, StatusCode::OK);
}

#[sqlx::test(migrations = false)]
async fn without_migrating_a_relay_waits_until_somebody_else_has(pool: PgPool) {
    let around = Around::new(pool).await;
    let mut waiting = around.spawn(&[("RELAY_NO_MIGRATE", "true")]);
    waiting.logs("waiting for `transak-relay migrate`").await;
    let migrated = around.bare(&["migrate"], &[("DATABASE_URL", &around.database())]).status().await;
    assert!(migrated.unwrap().success());
    waiting.ready().await;
    assert!(waiting.stop().await.success());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_relay_starts_beside_a_dump_and_what_it_hears_is_kept_and_told(pool: PgPool) {
    let around = Around::new(pool).await;
    let mut dump = around.pool.begin().await.unwrap();
    sqlx::query("lock table payload, sighting, attempt in access share mode")
        .execute(&mut *dump)
        .await
        .unwrap();
    let mut relay = around.start(&[]).await;
    relay.logs("partitions are made and dropped later").await;
    let receiver = relay.endpoint(serde_json::json!({})).await;
    around.publish(&crate::world::order("o1", "PROCESSING", 1));
    relay.while_it_runs("told it", receiver.count().wait_for(|count| *count == 1)).await.unwrap();
    dump.rollback().await.unwrap();
    assert!(relay.stop().await.success());
    let told = relay.log().matches("partitions are made and dropped later").count();
    assert_eq!(told, 1, "{}", relay.log());
}

#[sqlx::test(migrations = false)]
async fn a_database_that_is_missing_or_of_another_encoding_is_refused_in_one_sentence(pool: PgPool) {
    let around = Around::new(pool).await;
    let (url, name) = (around.database(), database_name(&around.pool).await);
    // Names are at most 63 characters.
    let latin = format!("latin1{}", &name[10..45]);
    let make = format!(
        "create database \"{latin}\" encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0"
    );
    sqlx::query(sqlx::AssertSqlSafe(make)).execute(&around.pool).await.unwrap();
    let another = |database: &str| url.replace(&name, database);
    for (url, expected) in [
        (another("not_there"), "there is no database not_there at 127.0.0.1:"),
        (another(&latin), "is encoded in LATIN1, but messages hold every character and need UTF8"),
        (
            url.replace("://", "://nobody_of_that_name:hidden@").replace("relay@", ""),
            "does not let this user in",
        ),
        (url.replace("postgres", "mysql"), "DATABASE_URL is not a Postgres URL"),
    ] {
        let (line, code) = refused(around.bare(&["migrate"], &[("DATABASE_URL", &url)])).await;
        println!("{line}");
        assert!(line.starts_with("transak-relay: ") && line.contains(expected), "{line}");
        assert!(!line.contains("hidden") && !line.contains("error returned"), "{line}");
        assert_eq!(code, Some(1), "{line}");
    }
}

async fn database_name(pool: &PgPool) -> String {
    sqlx::query_scalar("select current_database()").fetch_one(pool).await.unwrap()
}
