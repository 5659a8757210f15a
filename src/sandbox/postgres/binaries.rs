//! Where the machine keeps Postgres, and how to get it where there is none.
//!
//! Guarantees: only a complete installation (`initdb`, `postgres`, `pg_ctl`) of version 15 or newer is chosen, the
//! newest, or the one that made the data. Installing never makes or starts a cluster of the system's own.

use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, bail};
use tokio::process::Command;

/// The oldest major version the schema works on.
const OLDEST: u32 = 15;
/// Folders whose children (`*/bin`) hold one version each.
const VERSIONED: [&str; 4] =
    ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/Library/PostgreSQL"];
const ADVICE: &str = "PostgreSQL 15 or newer is needed and was not found: install it \
    (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql@17), or set DATABASE_URL";
/// Debian's drop-in that keeps its packages from making and starting a cluster of their own.
const NO_CLUSTER: &str = "/etc/postgresql-common/createcluster.d/transak-relay.conf";

/// One installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    /// The installation to use for data made by `made_by` (none yet: the newest), installed first if there is none.
    pub(super) async fn find_or_install(made_by: Option<u32>, install: bool) -> anyhow::Result<Self> {
        let mut found = all().await;
        if found.iter().all(|one| one.major < OLDEST) && install && install_any().await? {
            found = all().await;
        }
        choose(found, made_by)
    }

    /// The path of one of its programs.
    pub(super) fn tool(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn choose(mut found: Vec<Binaries>, made_by: Option<u32>) -> anyhow::Result<Binaries> {
    found.retain(|one| one.major >= OLDEST);
    let Some(newest) = found.iter().max_by_key(|one| one.major).cloned() else { bail!(ADVICE) };
    match made_by {
        None => Ok(newest),
        Some(major) => found.into_iter().find(|one| one.major == major).with_context(|| {
            format!(
                "the data was made by PostgreSQL {major}, but the machine has {}: install {major} or remove the data",
                newest.major
            )
        }),
    }
}

async fn all() -> Vec<Binaries> {
    let mut found: Vec<Binaries> = Vec::new();
    for dir in candidates().await {
        let Some(major) = inspect(&dir).await else { continue };
        let one = Binaries { dir, major };
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

async fn candidates() -> Vec<PathBuf> {
    let on_path = first_line(Command::new("sh").args(["-c", "command -v postgres"]).output().await);
    let on_path = on_path.and_then(|postgres| Path::new(&postgres).canonicalize().ok());
    let configured = first_line(Command::new("pg_config").arg("--bindir").output().await);
    let mut dirs: Vec<PathBuf> =
        on_path.iter().filter_map(|postgres| postgres.parent()).map(Path::to_owned).collect();
    dirs.extend(configured.map(PathBuf::from));
    for parent in VERSIONED {
        let children = std::fs::read_dir(parent).into_iter().flatten().flatten();
        dirs.extend(children.map(|child| child.path().join("bin")));
    }
    dirs
}

fn first_line(answer: std::io::Result<Output>) -> Option<String> {
    let answer = answer.ok().filter(|answer| answer.status.success())?;
    String::from_utf8(answer.stdout).ok()?.lines().next().map(str::to_owned)
}

/// The major version of the installation in `dir`, if it is complete.
async fn inspect(dir: &Path) -> Option<u32> {
    if !["initdb", "postgres", "pg_ctl"].iter().all(|tool| dir.join(tool).is_file()) {
        return None;
    }
    major(&first_line(Command::new(dir.join("postgres")).arg("--version").output().await)?)
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, also `17beta1` and `18devel`.
fn major(version: &str) -> Option<u32> {
    let number = version.split_whitespace().nth(2)?;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Installs Postgres if this machine and user can. `false`: they cannot.
async fn install_any() -> anyhow::Result<bool> {
    let Some(root) = root_prefix().await else { return brew().await };
    if !succeeds("sh", &["-c", "command -v apt-get"]).await {
        return brew().await;
    }
    tracing::info!("installing PostgreSQL with apt-get: this happens once");
    let script = format!(
        "set -e; mkdir -p \"$(dirname {NO_CLUSTER})\"; echo 'create_main_cluster = false' >{NO_CLUSTER}; \
         trap 'rm -f {NO_CLUSTER}' EXIT; export DEBIAN_FRONTEND=noninteractive; \
         apt-get update -qq; apt-get install -y -qq --no-install-recommends postgresql"
    );
    let mut command: Vec<&str> = root;
    command.extend(["sh", "-c", &script]);
    run_installer(&command).await
}

/// Homebrew works as the user and refuses root.
async fn brew() -> anyhow::Result<bool> {
    if !succeeds("sh", &["-c", "command -v brew"]).await {
        return Ok(false);
    }
    tracing::info!("installing PostgreSQL with brew: this happens once");
    run_installer(&["brew", "install", "postgresql@17"]).await
}

/// What to put before a command so that it runs as root without a password, if there is a way.
async fn root_prefix() -> Option<Vec<&'static str>> {
    if super::account::is_root().await {
        return Some(Vec::new());
    }
    succeeds("sudo", &["-n", "true"]).await.then(|| vec!["sudo", "-n"])
}

async fn succeeds(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().await.is_ok_and(|answer| answer.status.success())
}

async fn run_installer(command: &[&str]) -> anyhow::Result<bool> {
    let (program, args) = command.split_first().context("no installer")?;
    let answer = Command::new(program).args(args).stdin(std::process::Stdio::null()).output().await?;
    if !answer.status.success() {
        bail!("{ADVICE} (installing it failed: {})", super::last_line(&answer.stderr));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(major: u32) -> Binaries {
        Binaries { dir: format!("/pg/{major}").into(), major }
    }

    #[test]
    fn the_major_version_is_read_from_every_spelling() {
        for (text, expected) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some(15)),
            ("postgres (PostgreSQL) 17beta1", Some(17)),
            ("postgres (PostgreSQL) 18devel", Some(18)),
            ("postgres", None),
            ("postgres (PostgreSQL) unknown", None),
        ] {
            assert_eq!(major(text), expected, "{text}");
        }
    }

    #[test]
    fn new_data_gets_the_newest_and_old_data_the_one_that_made_it() {
        let found = vec![at(15), at(17), at(16), at(9)];
        assert_eq!(choose(found.clone(), None).unwrap(), at(17));
        assert_eq!(choose(found.clone(), Some(15)).unwrap(), at(15));
        let error = choose(found, Some(18)).unwrap_err().to_string();
        assert!(error.contains("made by PostgreSQL 18") && error.contains("has 17"), "{error}");
    }

    #[test]
    fn without_a_new_enough_server_one_line_says_what_to_install() {
        for found in [vec![], vec![at(14)]] {
            let error = choose(found, None).unwrap_err().to_string();
            assert!(error.contains("apt-get install postgresql") && !error.contains('\n'), "{error}");
        }
    }
}
