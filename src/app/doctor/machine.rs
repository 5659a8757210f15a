//! What the machine gives a process.

use std::path::Path;

use super::report::Line;

/// Fewer open files than these, and many receivers or many callers leave none for others.
const FILES: u64 = 4_096;

/// The most files that may be open at once, connections included. Known on Linux only.
pub(super) fn files() -> Line {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut numbers = line.unwrap_or_default().split_whitespace();
    judge_files(numbers.nth(1).map(|hard| hard.parse().unwrap_or(u64::MAX)))
}

/// What the hard limit says: a process may raise its own to that.
fn judge_files(most: Option<u64>) -> Line {
    match most {
        None => {
            Line::warn("open files", "this system does not tell how many a process may have: see `ulimit -n`")
        }
        Some(most) if most < FILES => Line::warn(
            "open files",
            format!(
                "a process may have {most} only, connections included: raise the limit (LimitNOFILE, `ulimit -Hn`) to {FILES} or more"
            ),
        ),
        Some(u64::MAX) => Line::ok("open files", "no limit"),
        Some(most) => Line::ok("open files", format!("up to {most}")),
    }
}

/// Whether messages can wait on disk.
pub(super) async fn spool(folder: &Path) -> Line {
    match probe(folder).await {
        Ok(()) => Line::ok("spool", format!("{} is writable", folder.display())),
        Err(error) => Line::fail(
            "spool",
            format!(
                "{} cannot be written to ({error}): name a folder of this user in RELAY_SPOOL_DIR",
                folder.display()
            ),
        ),
    }
}

/// Writes, syncs and removes a file; and the folder, if it was not there.
async fn probe(folder: &Path) -> std::io::Result<()> {
    let was_there = tokio::fs::try_exists(folder).await?;
    tokio::fs::create_dir_all(folder).await?;
    let path = folder.join(format!("doctor-{}", uuid::Uuid::new_v4().simple()));
    let file = tokio::fs::File::create(&path).await?;
    let synced = file.sync_all().await;
    tokio::fs::remove_file(&path).await?;
    if !was_there {
        tokio::fs::remove_dir(folder).await?;
    }
    synced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_files_are_a_warning_and_many_or_no_limit_are_not() {
        assert_eq!(judge_files(Some(1_000_000)), Line::ok("open files", "up to 1000000"));
        assert_eq!(judge_files(Some(u64::MAX)), Line::ok("open files", "no limit"));
        let Line { .. } = judge_files(None);
        assert_ne!(judge_files(Some(300)), Line::ok("open files", "up to 300"));
    }

    #[tokio::test]
    async fn a_probe_leaves_nothing_behind_and_a_file_in_the_way_fails() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("spool");
        assert_eq!(spool(&folder).await, Line::ok("spool", format!("{} is writable", folder.display())));
        assert!(!folder.exists());
        std::fs::write(&folder, "in the way").unwrap();
        assert_ne!(spool(&folder).await, Line::ok("spool", format!("{} is writable", folder.display())));
    }
}
