//! `transak-relay dev` as a newcomer sees it: one banner, then what happens; and nobody outside is spoken to.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::soon::soon;

/// A running `dev`, its banner read.
pub(crate) struct Dev {
    pub(crate) child: Child,
    pub(crate) banner: String,
    pub(crate) lines: Lines<BufReader<ChildStdout>>,
}

impl Dev {
    /// `dev` in this folder, on a free port.
    pub(crate) fn command(folder: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transak-relay"));
        command.args(["dev", "--listen", "127.0.0.1:0", "--log", "warn", "--dir"]).arg(folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
        command
    }

    pub(crate) async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut banner = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            banner = banner + &line + "\n";
            if line.starts_with("Every line below is a callback") {
                return Self { child, banner, lines };
            }
        }
        panic!("dev ended before it had started: {banner}");
    }

    /// What the banner says behind a word.
    pub(crate) fn said(&self, word: &str) -> &str {
        let line = self.banner.lines().find_map(|line| line.trim().strip_prefix(word));
        line.unwrap_or_else(|| panic!("{word}: {}", self.banner)).trim()
    }

    /// Its commands, one a line.
    pub(crate) fn commands(&self) -> Vec<&str> {
        self.banner.lines().map(str::trim).filter(|line| line.starts_with("curl ")).collect()
    }

    /// The next callback, as the receiver printed it.
    pub(crate) async fn callback(&mut self) -> String {
        soon(self.lines.next_line()).await.unwrap().expect("callbacks do not end")
    }

    /// Ends it as Ctrl-C does; what it printed last.
    pub(crate) async fn interrupt(&mut self) -> String {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
        let mut last = String::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            last = line;
        }
        assert!(self.child.wait().await.unwrap().success());
        last
    }
}

/// What a command of a shell prints.
pub(crate) async fn shell(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).output().await.unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A folder that the user Postgres runs as can reach, also where the tests run as root.
pub(crate) fn folder() -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Every variable that the program reads, pointing outside.
fn hostile() -> impl Iterator<Item = (&'static str, &'static str)> {
    let example = include_str!("../../.env.example");
    let named = example.lines().filter_map(|line| line.trim_start_matches(['#', ' ']).split_once('='));
    let variables = named.map(|(name, _)| name).filter(|name| {
        let of_a_family = ["RELAY_", "TRANSAK_", "PUSHER_", "DATABASE_", "OTEL_"];
        // These say how it logs and where it keeps its data: `dev` itself is told so.
        of_a_family.iter().any(|family| name.starts_with(family))
            && !["RELAY_LOG_FORMAT", "RELAY_DEV_DIR"].contains(name)
    });
    let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"];
    variables.chain(proxies).map(|name| (name, "http://outside.invalid:9/"))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn dev_dials_nobody_outside_of_this_machine_whatever_the_environment_says() {
    let folder = folder();
    let (library, dials) = (folder.path().join("dial.so"), folder.path().join("dials"));
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library);
    compiler.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/dial.c")).arg("-ldl");
    assert!(compiler.status().await.expect("a C compiler is needed").success());
    let mut command = Dev::command(&folder.path().join("dev"));
    assert!(hostile().count() > 30);
    command.envs(hostile()).env("LD_PRELOAD", &library).env("DIALS", &dials);
    let mut dev = Dev::start(command).await;
    let (address, token) = (dev.said("Address").to_owned(), dev.said("Token").to_owned());
    let partners = format!("curl -sS -H 'authorization: Bearer {token}' '{address}v1/partners'");
    // It has called Transak's REST API once this is known, and receivers once they have printed.
    loop {
        for line in std::fs::read_to_string(&dials).unwrap_or_default().lines() {
            let words: Vec<_> = line.split(' ').collect();
            let inside = words[1].is_empty() || ["127.0.0.1", "::1", "localhost"].contains(&words[1]);
            assert!(inside, "dev dialled outside: {line}");
        }
        let partners: Value = serde_json::from_str(&shell(&partners).await).unwrap();
        if partners["data"][0]["credentials"]["state"] == "valid" {
            break;
        }
    }
    assert!(dev.callback().await.contains("verified"));
    assert!(std::fs::read_to_string(&dials).unwrap().lines().count() > 5, "dials are seen");
    dev.interrupt().await;
}

#[tokio::test]
async fn the_banner_comes_before_all_callbacks_and_all_of_them_are_verified_also_after_a_restart() {
    let folder = folder();
    let mut tokens = Vec::new();
    for run in 0..2 {
        let mut dev = Dev::start(Dev::command(folder.path())).await;
        assert_eq!(dev.commands().len(), 3, "{}", dev.banner);
        assert!(!dev.banner.contains("verified"), "{}", dev.banner);
        tokens.push(dev.said("Token").to_owned());
        for number in 0..4 {
            let line = dev.callback().await;
            assert!(!line.contains("NOT VERIFIED"), "run {run}: {line}");
            // What was owed when the first run ended comes first in the second.
            assert!(run > 0 || number > 0 || line.contains("ORDER_CREATED"), "{line}");
        }
        let timeline = shell(dev.commands()[0]).await;
        let timeline: Value = serde_json::from_str(&timeline).unwrap();
        assert_eq!(timeline["entries"][0]["deliveries"][0]["state"], "succeeded", "run {run}: {timeline}");
        let last = dev.interrupt().await;
        assert!(last.starts_with("Stopped. The database stays in "), "{last}");
    }
    assert_eq!(tokens[0], tokens[1], "the token is the same at the next start");
}
