//! What keeps `transak-relay dev` from starting is told in one sentence that says what to do.

use std::process::Stdio;

use tokio::process::Command;

use crate::dev::{Dev, folder};

/// What a start that fails says, which must be one line.
async fn refused(mut command: Command) -> String {
    let ran = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.unwrap();
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    let told = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(told.lines().count(), 1, "{told}");
    told
}

#[tokio::test]
async fn a_second_start_in_the_same_folder_and_a_port_that_is_taken_are_told() {
    let (first, second) = (folder(), folder());
    let mut running = Dev::start(Dev::command(first.path())).await;
    let told = refused(Dev::command(first.path())).await;
    assert!(
        told.contains("is in use by another transak-relay: stop it, or name another folder with --dir"),
        "{told}"
    );
    let port = running.said("Address").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let mut command = Command::new(env!("CARGO_BIN_EXE_transak-relay"));
    command.args(["dev", "--log", "warn", "--listen", &port, "--dir"]).arg(second.path());
    let told = refused(command).await;
    assert_eq!(
        told,
        format!(
            "transak-relay: another process listens on {port}: choose another address with --listen (RELAY_LISTEN)\n"
        )
    );
    running.interrupt().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_is_told() {
    let told = refused(Dev::command("/proc/nowhere".as_ref())).await;
    assert!(
        told.starts_with("transak-relay: cannot make the folder /proc/nowhere: name another one with --dir"),
        "{told}"
    );
}

#[tokio::test]
async fn an_interruption_while_it_starts_ends_it_and_leaves_nothing_running() {
    let folder = folder();
    let mut command = Dev::command(folder.path());
    let mut child = command.spawn().unwrap();
    while !folder.path().join("lock").exists() {
        tokio::task::yield_now().await;
    }
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let ended = child.wait().await.unwrap();
    assert!(ended.success(), "{ended:?}");
    // Nothing of it holds the folder.
    let mut again = Dev::start(Dev::command(folder.path())).await;
    again.interrupt().await;
}
