//! The server's process.
//!
//! Guarantees: the server is in a process group of its own, so that Ctrl-C in the terminal reaches the relay first and
//! the database last; it is stopped (fast shutdown) when [`Server::stop`] is called and also when this process
//! disappears without a word, because a small supervisor waits for the end of a pipe only we hold.

use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::account::Account;
use super::binaries::Binaries;

/// How long a start may take: recovery after a crash included.
const START: Duration = Duration::from_mins(1);
/// How often the server's status file is looked at; Postgres offers no other sign that it is ready.
const LOOK: Duration = Duration::from_millis(10);

/// Runs the server in the background and ends it with SIGINT (a fast shutdown) once the pipe on its input is closed.
/// The server's own end is passed on as its exit code.
const SUPERVISOR: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- & server=$!
{ read -r _; kill -INT "$server" 2>/dev/null; } <&3 & watcher=$!
exec 3<&-
wait "$server"; code=$?
kill "$watcher" 2>/dev/null
exit "$code"
"#;

/// What one start needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings<'a> {
    pub(super) dir: &'a Path,
    pub(super) port: u16,
    pub(super) options: super::Options,
}

/// A running server and the pipe that keeps it running.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    lifeline: Option<ChildStdin>,
}

impl Server {
    /// Starts the server and waits until it accepts connections.
    pub(super) async fn start(
        binaries: &Binaries,
        account: &Account,
        settings: &Settings<'_>,
    ) -> anyhow::Result<Self> {
        let data = settings.dir.join("data");
        let mut server = spawn(binaries, account, settings)?;
        let until = Instant::now() + START;
        while !is_ready(&data, settings.port) {
            let log = settings.dir.join("postgres.log");
            if server.child.try_wait()?.is_some() {
                bail!("Postgres did not start: see {}", log.display());
            }
            if Instant::now() > until {
                bail!("Postgres was not ready after {} s: see {}", START.as_secs(), log.display());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(server)
    }

    /// Fast shutdown; waits until the server is gone.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        drop(self.lifeline.take());
        let status = self.child.wait().context("the server could not be waited for")?;
        if !status.success() {
            bail!("Postgres ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ended = self.child.wait();
    }
}

fn spawn(binaries: &Binaries, account: &Account, settings: &Settings<'_>) -> anyhow::Result<Server> {
    let path = settings.dir.join("postgres.log");
    let log = std::fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut command = account.command(Path::new("sh"));
    command.args(["-c", SUPERVISOR, "sh"]).arg(binaries.tool("postgres"));
    command.arg("-D").arg(settings.dir.join("data"));
    for setting in [
        format!("port={}", settings.port),
        format!("max_connections={}", settings.options.max_connections),
        "listen_addresses=127.0.0.1".to_owned(),
        "unix_socket_directories=".to_owned(),
        "fsync=on".to_owned(),
        "logging_collector=off".to_owned(),
    ] {
        command.arg("-c").arg(setting);
    }
    if settings.options.counts_statements {
        command.args(["-c", "shared_preload_libraries=pg_stat_statements"]);
        command.args(["-c", "pg_stat_statements.track_planning=on"]);
    }
    let mut command = command.into_std();
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
    let mut child = command.spawn().context("cannot start the shell that runs Postgres")?;
    let lifeline = child.stdin.take();
    Ok(Server { child, lifeline })
}

/// Whether `postmaster.pid` says that the server on this port accepts connections (its 4th and 8th line).
fn is_ready(data: &Path, port: u16) -> bool {
    let Ok(status) = std::fs::read_to_string(data.join("postmaster.pid")) else { return false };
    let mut lines = status.lines().skip(3);
    lines.next() == Some(port.to_string().as_str()) && lines.nth(3).is_some_and(|line| line.trim() == "ready")
}

/// Ends what an earlier run left behind: a server still running on this data, or the note of one that is not.
pub(super) async fn stop_leftover(binaries: &Binaries, account: &Account, data: &Path) -> anyhow::Result<()> {
    let note = data.join("postmaster.pid");
    let Ok(status) = std::fs::read_to_string(&note) else { return Ok(()) };
    let pid = status.lines().next().and_then(|line| line.trim().parse::<u32>().ok());
    if !is_server_on(data, pid).await {
        // The number may belong to a stranger by now, who must not be signalled.
        return std::fs::remove_file(&note).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(anyhow::Error::new(error).context("cannot remove a stale postmaster.pid")),
        });
    }
    tracing::info!("stopping the Postgres an earlier run left behind");
    let mut stop = account.command(&binaries.tool("pg_ctl"));
    let answer = stop.args(["stop", "-w", "-m", "fast", "-D"]).arg(data).output().await?;
    if !answer.status.success() && note.exists() {
        bail!(
            "an earlier Postgres on {} does not stop: {}",
            data.display(),
            super::last_line(&answer.stderr)
        );
    }
    Ok(())
}

async fn is_server_on(data: &Path, pid: Option<u32>) -> bool {
    let Some(pid) = pid else { return false };
    let arguments = match std::fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(arguments) => arguments,
        Err(_) if Path::new("/proc/self").exists() => return false,
        Err(_) => {
            let mut ask = tokio::process::Command::new("ps");
            let answer = ask.args(["-o", "args=", "-p", &pid.to_string()]).output().await;
            answer.map(|answer| answer.stdout).unwrap_or_default()
        }
    };
    let arguments = String::from_utf8_lossy(&arguments);
    arguments.contains("postgres") && arguments.contains(&*data.to_string_lossy())
}
