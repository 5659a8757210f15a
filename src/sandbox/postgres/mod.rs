//! A Postgres server of our own, from the binaries on the machine, for `dev`, tests and benchmarks.
//!
//! Guarantees: the data folder is the caller's and is kept between runs (except [`Postgres::temporary`]); the server
//! listens on a free port of 127.0.0.1 only, asks for a password, keeps `fsync` on, and ends with this process,
//! however the process ends; a server left over from a killed run is stopped before its data is used again; as root
//! it runs as the user `postgres` (or `nobody`), because Postgres refuses root.
//! Does not guarantee: an upgrade of data made by another major version; it says so instead.
//!
//! The crate `pgtemp` is not used: it makes a new folder each time, turns `fsync` off, needs `sudo` as root, panics
//! instead of explaining, and leaves the server running when the process is killed.

mod account;
mod binaries;
mod server;

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};

use account::Account;
use binaries::Binaries;
use server::Server;

/// How often a start is tried with another port: somebody may take the free port before Postgres does.
const PORT_TRIES: usize = 3;
const SUPERUSER: &str = "relay";

/// How a server is started.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether Postgres may be installed (apt or Homebrew) where the machine has none.
    pub install: bool,
    /// Postgres' `max_connections`.
    pub max_connections: u16,
    /// Whether it counts statements (`pg_stat_statements`, of Postgres' contrib package).
    pub counts_statements: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { install: true, max_connections: 100, counts_statements: false }
    }
}

/// A running server. Dropping it stops it too, but blocks the thread for as long as that takes.
#[derive(Debug)]
pub struct Postgres {
    url: SecretString,
    server: Option<Server>,
    temporary: Option<PathBuf>,
    /// Held for as long as the server runs: the lock ends with the process, so it never goes stale.
    _lock: File,
}

impl Postgres {
    /// Starts a server whose data lives in `dir` and stays there.
    ///
    /// # Errors
    /// One line that says what to do: no Postgres 15 or newer, a folder in use or out of reach, a server that does
    /// not come up (its log is named).
    pub async fn start(dir: &Path, options: Options) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| {
            format!("cannot make the folder {}: name another one with --dir", dir.display())
        })?;
        let dir = dir.canonicalize().with_context(|| format!("cannot open the folder {}", dir.display()))?;
        let lock = lock(&dir).await?;
        let data = dir.join("data");
        let binaries = Binaries::find_or_install(major_of(&data), options.install).await?;
        let account = Account::find().await?;
        let password = password(&dir)?;
        if major_of(&data).is_none() {
            init(&binaries, &account, (&data, &password)).await?;
        }
        server::stop_leftover(&binaries, &account, &data).await?;
        let (server, port) = launch(&binaries, &account, (&dir, options)).await?;
        let url =
            format!("postgres://{SUPERUSER}:{}@127.0.0.1:{port}/postgres", password.expose_secret()).into();
        Ok(Self { url, server: Some(server), temporary: None, _lock: lock })
    }

    /// Starts an empty server whose data is deleted when it stops.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn temporary(options: Options) -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("transak-relay-pg-{}", uuid::Uuid::new_v4().simple()));
        match Self::start(&dir, options).await {
            Ok(mut postgres) => {
                postgres.temporary = Some(dir);
                Ok(postgres)
            }
            Err(error) => {
                let _gone = std::fs::remove_dir_all(&dir);
                Err(error)
            }
        }
    }

    /// The address of the server's database `postgres`, with a superuser's name and password.
    pub fn url(&self) -> &SecretString {
        &self.url
    }

    /// Stops the server: open transactions are rolled back, what was committed is on disk.
    ///
    /// # Errors
    /// When the server had already ended by itself, or cannot be waited for.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let server = self.server.take();
        let ended = tokio::task::spawn_blocking(move || server.map_or(Ok(()), Server::stop)).await;
        ended.context("the server could not be waited for")?
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.server.take().map(Server::stop) {
            tracing::warn!(%error, "the Postgres of the sandbox did not stop as it should");
        }
        if let Some(dir) = &self.temporary {
            let _gone = std::fs::remove_dir_all(dir);
        }
    }
}

/// The folder for data kept between runs when nobody names one: below `home`, except for root, whose home the user
/// `postgres` cannot enter.
pub async fn default_dir(home: Option<&Path>) -> PathBuf {
    match home {
        Some(home) if !account::is_root().await => home.join(".local/share/transak-relay"),
        _ => PathBuf::from("/var/lib/transak-relay"),
    }
}

const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// A process that another thread is just starting holds our locks too, for the moment until it has become its own
/// program; so a lock that is taken is tried again before it is believed.
async fn lock(dir: &Path) -> anyhow::Result<File> {
    let path = dir.join("lock");
    let file = File::create(&path)
        .with_context(|| format!("cannot write {}: name another folder with --dir", path.display()))?;
    for _ in 0..LOCK_TRIES {
        if file.try_lock().is_ok() {
            return Ok(file);
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    if file.try_lock().is_err() {
        bail!(
            "the folder {} is in use by another transak-relay: stop it, or name another folder with --dir",
            dir.display()
        );
    }
    Ok(file)
}

/// The password of the folder's server, made at the first start and readable by its owner only.
fn password(dir: &Path) -> anyhow::Result<SecretString> {
    let path = dir.join("password");
    if let Ok(kept) = std::fs::read_to_string(&path) {
        return Ok(kept.trim().to_owned().into());
    }
    let made = uuid::Uuid::new_v4().simple().to_string();
    write_secret(&path, &made)?;
    Ok(made.into())
}

/// An empty folder that only the server's user can enter.
async fn fresh(account: &Account, data: &Path) -> anyhow::Result<()> {
    if data.exists() {
        std::fs::remove_dir_all(data).with_context(|| format!("cannot remove {}", data.display()))?;
    }
    std::fs::create_dir(data).with_context(|| format!("cannot make {}", data.display()))?;
    std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o700))?;
    account.own(data)?;
    account.check_reach(data).await
}

/// The major version that made the data, if there is any.
fn major_of(data: &Path) -> Option<u32> {
    std::fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// Makes the data under another name first: an interrupted `initdb` must not pass for a finished one.
async fn init(
    binaries: &Binaries,
    account: &Account,
    (data, password): (&Path, &SecretString),
) -> anyhow::Result<()> {
    let (unfinished, secret) = (data.with_extension("new"), data.with_file_name("initdb-password"));
    fresh(account, &unfinished).await?;
    let _leftover = std::fs::remove_file(&secret);
    write_secret(&secret, password.expose_secret())?;
    account.own(&secret)?;
    let made = account
        .command(&binaries.tool("initdb"))
        .args(["--auth=password", "--encoding=UTF8", "--no-locale"])
        .arg(format!("--username={SUPERUSER}"))
        .arg(format!("--pwfile={}", secret.display()))
        .arg("--pgdata")
        .arg(&unfinished)
        .output()
        .await;
    std::fs::remove_file(&secret)?;
    let made = made.context("cannot run initdb")?;
    if !made.status.success() {
        bail!("initdb failed: {}", last_line(&made.stderr));
    }
    std::fs::rename(&unfinished, data).with_context(|| format!("cannot make {}", data.display()))
}

fn write_secret(path: &Path, secret: &str) -> anyhow::Result<()> {
    let mut options = File::options();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file =
        opened.with_context(|| format!("cannot write {}: name another folder with --dir", path.display()))?;
    Ok(std::io::Write::write_all(&mut file, secret.as_bytes())?)
}

fn last_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason").to_owned()
}

async fn launch(
    binaries: &Binaries,
    account: &Account,
    (dir, options): (&Path, Options),
) -> anyhow::Result<(Server, u16)> {
    let mut tries = 1;
    loop {
        let port = free_port()?;
        match Server::start(binaries, account, &server::Settings { dir, port, options }).await {
            Ok(server) => return Ok((server, port)),
            Err(error) if tries == PORT_TRIES => return Err(error),
            Err(error) => tracing::debug!(%error, port, "Postgres did not start; trying another port"),
        }
        tries += 1;
    }
}

fn free_port() -> anyhow::Result<u16> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(probe.local_addr()?.port())
}

#[cfg(test)]
mod tests;
