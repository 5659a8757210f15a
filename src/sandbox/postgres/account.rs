//! Who runs the server. Postgres refuses to run as root, so root hands it to an unprivileged user.

use std::path::Path;

use anyhow::{Context, bail};
use tokio::process::Command;

/// Who may own the data when we are root, best first.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The user the server's processes run as.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// User and group id to change to; `None` where we already are that user.
    ids: Option<(u32, u32)>,
    name: &'static str,
}

impl Account {
    /// Ourselves, or for root the first of [`UNPRIVILEGED`] that exists.
    pub(super) async fn find() -> anyhow::Result<Self> {
        if !is_root().await {
            return Ok(Self { ids: None, name: "the current user" });
        }
        for name in UNPRIVILEGED {
            if let (Some(uid), Some(gid)) = (id(&["-u", name]).await, id(&["-g", name]).await) {
                return Ok(Self { ids: Some((uid, gid)), name });
            }
        }
        bail!(
            "Postgres does not run as root and there is no user `postgres`: make one, or run as another user"
        );
    }

    /// A command that runs as this user, outside of any folder it might not be able to enter.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(std::process::Stdio::null());
        if let Some((uid, gid)) = self.ids {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Makes this user the owner of `path` (not of what is in it).
    pub(super) fn own(&self, path: &Path) -> anyhow::Result<()> {
        let Some((uid, gid)) = self.ids else { return Ok(()) };
        std::os::unix::fs::chown(path, Some(uid), Some(gid))
            .with_context(|| format!("cannot hand {} to user {}", path.display(), self.name))
    }

    /// Whether this user can enter and write `dir`; if not, one line that says what to do.
    pub(super) async fn check_reach(&self, dir: &Path) -> anyhow::Result<()> {
        let mut shell = self.command(Path::new("sh"));
        let status = shell.args(["-c", "cd \"$1\" && test -w .", "sh"]).arg(dir).output().await?.status;
        if !status.success() {
            bail!(
                "{} cannot use {}: name a data folder outside of private folders such as /root",
                self.name,
                dir.display()
            );
        }
        Ok(())
    }
}

/// Whether this process runs as root.
pub(super) async fn is_root() -> bool {
    id(&["-u"]).await == Some(0)
}

async fn id(args: &[&str]) -> Option<u32> {
    let answer = Command::new("id").args(args).output().await.ok()?;
    if !answer.status.success() {
        return None;
    }
    String::from_utf8(answer.stdout).ok()?.trim().parse().ok()
}
