//! These start real servers: from the binaries on the machine, in folders of their own.

use std::path::PathBuf;
use std::process::Command;

use sqlx::{Connection, PgConnection};

use super::*;

const OPTIONS: Options = Options { install: false, max_connections: 20, counts_statements: false };

async fn connect(postgres: &Postgres) -> PgConnection {
    PgConnection::connect(postgres.url().expose_secret()).await.unwrap()
}

async fn number(connection: &mut PgConnection, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(connection).await.unwrap()
}

/// Outside of private folders, so that the user `postgres` can enter it.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn postmaster(dir: &Path) -> u32 {
    let note = std::fs::read_to_string(dir.join("data/postmaster.pid")).unwrap();
    note.lines().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn data_is_kept_between_runs_and_a_second_user_of_the_folder_is_refused() {
    let dir = folder();
    let first = Postgres::start(dir.path(), OPTIONS).await.unwrap();
    let mut connection = connect(&first).await;
    sqlx::query("create table kept as select 42::bigint as n").execute(&mut connection).await.unwrap();
    let refused = Postgres::start(dir.path(), OPTIONS).await.unwrap_err().to_string();
    assert!(refused.contains("in use by another"), "{refused}");
    first.stop().await.unwrap();
    let second = Postgres::start(dir.path(), OPTIONS).await.unwrap();
    assert_eq!(number(&mut connect(&second).await, "select n from kept").await, 42);
}

#[tokio::test]
async fn the_settings_asked_for_are_the_servers() {
    let postgres = Postgres::temporary(OPTIONS).await.unwrap();
    let mut connection = connect(&postgres).await;
    let query = "select current_setting('max_connections')::bigint";
    assert_eq!(number(&mut connection, query).await, 20);
    let fsync: String = sqlx::query_scalar("show fsync").fetch_one(&mut connection).await.unwrap();
    assert_eq!(fsync, "on");
    let guessed = postgres.url().expose_secret().replace("relay:", "relay:x");
    assert!(PgConnection::connect(&guessed).await.is_err(), "it must ask for the password");
}

#[tokio::test]
async fn a_temporary_server_leaves_nothing_behind() {
    let postgres = Postgres::temporary(OPTIONS).await.unwrap();
    let dir: PathBuf = postgres.temporary.clone().unwrap();
    let pid = postmaster(&dir);
    drop(postgres);
    assert!(!dir.exists());
    assert!(!Command::new("kill").args(["-0", &pid.to_string()]).output().unwrap().status.success());
}

#[tokio::test]
async fn a_server_left_running_by_a_killed_run_is_stopped_first() {
    let dir = folder();
    let first = Postgres::start(dir.path(), OPTIONS).await.unwrap();
    sqlx::query("create table kept as select 7::bigint as n")
        .execute(&mut connect(&first).await)
        .await
        .unwrap();
    first.stop().await.unwrap();
    let (binaries, account) =
        (Binaries::find_or_install(None, false).await.unwrap(), Account::find().await.unwrap());
    let root = dir.path().canonicalize().unwrap();
    let data = root.join("data");
    let port = free_port().unwrap();
    let settings = server::Settings { dir: &root, port, options: OPTIONS };
    let orphan = Server::start(&binaries, &account, &settings).await.unwrap();
    let pid = postmaster(&root);
    let second = Postgres::start(dir.path(), OPTIONS).await.unwrap();
    assert_ne!(postmaster(&root), pid);
    assert_eq!(number(&mut connect(&second).await, "select n from kept").await, 7);
    drop((orphan, data));
}

#[tokio::test]
async fn an_interrupted_first_start_does_not_spoil_the_next() {
    let dir = folder();
    std::fs::create_dir(dir.path().join("data.new")).unwrap();
    std::fs::write(dir.path().join("data.new/PG_VERSION"), "15\n").unwrap();
    std::fs::write(dir.path().join("initdb-password"), "half").unwrap();
    let postgres = Postgres::start(dir.path(), OPTIONS).await.unwrap();
    assert_eq!(number(&mut connect(&postgres).await, "select 1::bigint").await, 1);
}

#[tokio::test]
async fn a_stale_note_with_a_strangers_process_id_harms_nobody() {
    let dir = folder();
    Postgres::start(dir.path(), OPTIONS).await.unwrap().stop().await.unwrap();
    let mut stranger = Command::new("sleep").arg("60").spawn().unwrap();
    let note = dir.path().join("data/postmaster.pid");
    std::fs::write(&note, format!("{}\n/elsewhere\n1\n5432\n", stranger.id())).unwrap();
    Postgres::start(dir.path(), OPTIONS).await.unwrap().stop().await.unwrap();
    assert_eq!(stranger.try_wait().unwrap(), None, "the stranger must still run");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}
