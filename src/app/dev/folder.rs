//! What `dev` keeps in its folder beside the database, so that the next start is the same installation.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::model::token;

/// The folder of a sandbox.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Where the relay's spool is.
    pub(super) fn spool(&self) -> anyhow::Result<String> {
        let spool = self.0.join("spool");
        Ok(spool.to_str().context("the folder's name is not UTF-8: name another one with --dir")?.to_owned())
    }

    /// Where the token is.
    pub(super) fn token_file(&self) -> PathBuf {
        self.0.join("token")
    }

    /// The admin token of this sandbox, made at its first start.
    pub(super) fn token(&self) -> anyhow::Result<SecretString> {
        kept(&self.token_file(), || Ok(token::generate()))
    }

    /// The key of this sandbox's database, made at its first start.
    pub(super) fn master_key(&self) -> anyhow::Result<SecretString> {
        kept(&self.0.join("master.key"), || {
            let mut key = [0u8; 32];
            aws_lc_rs::rand::fill(&mut key).map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
            Ok(STANDARD.encode(key).into())
        })
    }

    /// The port on which the receiver was in the run before: what is owed to it then still arrives.
    pub(super) fn receiver_port(&self) -> u16 {
        let url = std::fs::read_to_string(self.0.join("receiver.url")).ok();
        url.and_then(|url| Url::parse(&url).ok()?.port()).unwrap_or(0)
    }

    /// Where the sandbox that was started last in this folder is asked for orders.
    pub(super) fn control_url(&self) -> Option<Url> {
        Url::parse(std::fs::read_to_string(self.0.join("control.url")).ok()?.trim()).ok()
    }

    pub(super) fn remember_control(&self, url: &str) -> anyhow::Result<()> {
        let path = self.0.join("control.url");
        std::fs::write(&path, url).with_context(|| unwritable(&path))
    }

    pub(super) fn remember_receiver(&self, url: &str) -> anyhow::Result<()> {
        let path = self.0.join("receiver.url");
        std::fs::write(&path, url).with_context(|| unwritable(&path))
    }
}

/// What a file holds, or what it holds from now on, for its owner only.
fn kept(path: &Path, make: impl FnOnce() -> anyhow::Result<SecretString>) -> anyhow::Result<SecretString> {
    let before = std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    if !before.is_empty() {
        return Ok(before.into());
    }
    let fresh = make()?;
    let opened = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = opened.with_context(|| unwritable(path))?;
    file.write_all(fresh.expose_secret().as_bytes()).with_context(|| unwritable(path))?;
    Ok(fresh)
}

fn unwritable(path: &Path) -> String {
    format!("cannot write {}: name another folder with --dir", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_and_the_key_are_the_same_at_the_next_start_and_only_their_owner_reads_them() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().unwrap();
        let start = || {
            let folder = Folder::new(place.path().to_owned());
            let secrets = [folder.token().unwrap(), folder.master_key().unwrap()];
            secrets.map(|secret| secret.expose_secret().to_owned())
        };
        assert_eq!(start(), start());
        let mode = std::fs::metadata(place.path().join("token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_named_with_what_to_do() {
        let folder = Folder::new("/proc/no-such-folder".into());
        let error = folder.token().unwrap_err().to_string();
        assert_eq!(error, "cannot write /proc/no-such-folder/token: name another folder with --dir");
    }
}
