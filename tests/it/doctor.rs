//! `transak-relay doctor` on a good installation and on broken ones: what holds, what does not, and what to do.

use reqwest::StatusCode;
use serde_json::json;
use sqlx::{PgPool, Row as _};
use transak_relay::sandbox::receiver::Receiver;
use transak_relay::sandbox::signing::access_token;
use transak_relay::store::pool::MIGRATOR;

use crate::process::Around;
use crate::world::API_KEY;

/// An installation with a partner and a callback, as the relay has left it.
async fn installed(pool: PgPool) -> (Around, Receiver) {
    let around = Around::new(pool).await;
    let mut relay = around.start(&[]).await;
    let receiver = relay.endpoint(json!({})).await;
    assert!(relay.stop().await.success());
    (around, receiver)
}

/// What the doctor says with these settings over the good ones, and its exit code.
async fn examined(around: &Around, settings: &[(&str, &str)]) -> (Vec<String>, Option<i32>) {
    let command = around.serve(0, &[("RUST_LOG", "off")]);
    let variables: Vec<_> = command
        .as_std()
        .get_envs()
        .map(|(name, value)| (name.to_owned(), value.unwrap().to_owned()))
        .collect();
    let mut doctor = around.bare(&["doctor"], &[]);
    doctor.envs(variables).envs(settings.iter().copied());
    let output = doctor.output().await.unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    (told.lines().map(str::to_owned).collect(), output.status.code())
}

/// The lines that do not say `ok`, but for what is true of the tests' own server: it does not sync, to be fast.
fn complaints(lines: &[String]) -> Vec<&str> {
    let lines = lines.iter().map(String::as_str).filter(|line| !line.starts_with("ok "));
    lines.filter(|line| !line.starts_with("warn  durability    fsync is off")).collect()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_good_installation_is_all_well(pool: PgPool) {
    let (around, _receiver) = installed(pool).await;
    let (lines, code) = examined(&around, &[]).await;
    assert_eq!((complaints(&lines), code), (Vec::<&str>::new(), Some(0)));
    for what in [
        "open files",
        "spool",
        "database",
        "durability",
        "clock",
        "migrations",
        "master key",
        "stream of ptr_",
        "REST of ptr_",
        "callback of ep_",
    ] {
        assert!(lines.iter().any(|line| line[6..].starts_with(what)), "{what}: {lines:?}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn each_thing_that_is_broken_is_one_line_that_says_what_to_do_and_the_exit_code_is_1(pool: PgPool) {
    let (around, _receiver) = installed(pool).await;
    let in_the_way = around.folder.path().join("in-the-way");
    std::fs::write(&in_the_way, "").unwrap();
    for (settings, fails) in [
        (("DATABASE_URL", "postgres://relay@127.0.0.1:1/relay"), "fail  database"),
        (("RELAY_MASTER_KEY", "YW5vdGhlciBtYXN0ZXIga2V5IG9mIDMyIGJ5dGVzISE="), "fail  master key"),
        (("RELAY_SPOOL_DIR", in_the_way.to_str().unwrap()), "fail  spool"),
        (("PUSHER_URL", "ws://127.0.0.1:1"), "fail  stream of ptr_"),
        (("TRANSAK_API_URL", "http://127.0.0.1:1"), "fail  REST of ptr_"),
        (("RELAY_ALLOW_CALLBACK_CIDRS", "10.0.0.0/8"), "fail  callback of ep_"),
    ] {
        let (lines, code) = examined(&around, &[settings]).await;
        let complaints = complaints(&lines);
        assert_eq!(code, Some(1), "{settings:?}");
        assert!(complaints[0].starts_with(fails), "{settings:?}: {complaints:?}");
        // Another key opens no tokens either; everything else is one thing alone.
        assert!(complaints.len() == 1 || settings.0 == "RELAY_MASTER_KEY", "{complaints:?}");
        assert!(complaints[0].contains(": "), "it says what to do: {complaints:?}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_callback_where_nobody_listens_and_a_table_that_is_gone_are_each_one_line(pool: PgPool) {
    let (around, receiver) = installed(pool).await;
    let (lines, _) = examined(&around, &[]).await;
    let url: url::Url = receiver.url().parse().unwrap();
    let origin = url.origin().ascii_serialization();
    let said = format!("{origin} takes connections");
    assert!(lines.iter().any(|line| line.contains("callback of ep_") && line.ends_with(&said)), "{lines:?}");
    drop(receiver);
    let (lines, code) = examined(&around, &[]).await;
    assert_eq!((complaints(&lines).len(), code), (1, Some(1)));
    let said = format!("{origin} refuses connections: start what is to listen there, or correct the URL");
    assert!(complaints(&lines)[0].ends_with(&said), "{lines:?}");

    sqlx::raw_sql("alter table gap rename to gap_elsewhere").execute(&around.pool).await.unwrap();
    let (lines, code) = examined(&around, &[]).await;
    let said = "fail  database      it is not as its migrations left it, relation \"gap\" does not exist: bring back what is \
                missing, from a backup if need be";
    assert_eq!((complaints(&lines), code), (vec![said], Some(1)));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_token_that_transak_refuses_and_a_disabled_endpoint_are_told(pool: PgPool) {
    let (around, _receiver) = installed(pool).await;
    let strange = access_token(API_KEY, chrono::Utc::now().timestamp(), 604_800).unwrap();
    let relay =
        around.start(&[("TRANSAK_ACCESS_TOKEN", secrecy::ExposeSecret::expose_secret(&strange))]).await;
    let (_, endpoints) = relay.call(reqwest::Method::GET, "/v1/endpoints", None).await;
    let path = format!("/v1/endpoints/{}/disable", endpoints["data"][0]["id"].as_str().unwrap());
    assert_eq!(relay.call(reqwest::Method::POST, &path, None).await.0, StatusCode::OK);
    let (lines, code) = examined(&around, &[]).await;
    let complaints = complaints(&lines);
    assert_eq!(code, Some(1));
    assert!(complaints[0].contains("Transak does not accept the access token"), "{complaints:?}");
    assert!(complaints[1].starts_with("warn  callback of ep_") && complaints.len() == 2, "{complaints:?}");
}

#[sqlx::test(migrations = false)]
async fn a_database_that_was_never_migrated_and_one_of_another_encoding_are_told_and_left_alone(
    pool: PgPool,
) {
    let around = Around::new(pool).await;
    let (lines, code) = examined(&around, &[]).await;
    assert_eq!(code, Some(1));
    assert!(
        complaints(&lines)[0].starts_with("fail  migrations")
            && complaints(&lines)[0].contains("transak-relay migrate"),
        "{lines:?}"
    );
    let tables = sqlx::query("select count(*) from pg_tables where schemaname = 'public'")
        .fetch_one(&around.pool)
        .await;
    assert_eq!(tables.unwrap().get::<i64, _>(0), 0, "it changes nothing");

    let name = format!("latin_{}", uuid::Uuid::new_v4().simple());
    let create = format!("create database {name} encoding 'LATIN1' locale 'C' template template0");
    sqlx::query(sqlx::AssertSqlSafe(create)).execute(&around.pool).await.unwrap();
    let mut url: url::Url = around.database().parse().unwrap();
    url.set_path(&name);
    let (lines, code) = examined(&around, &[("DATABASE_URL", url.as_str())]).await;
    let drop_it = format!("drop database {name} with (force)");
    sqlx::query(sqlx::AssertSqlSafe(drop_it)).execute(&around.pool).await.unwrap();
    assert_eq!(code, Some(1));
    let told = complaints(&lines).join("\n");
    assert!(told.starts_with("fail  database") && told.contains("UTF8"), "{told}");
}
