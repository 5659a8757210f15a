//! What `rotate-master-key` is told.

use clap::Args;

use super::Database;
use super::serve::master_key;
use crate::model::seal::MasterKey;

#[derive(Debug, Clone, Args)]
pub struct RotateMasterKey {
    #[command(flatten)]
    pub database: Database,
    /// The new key: 32 bytes in base64 (`openssl rand -base64 32`).
    #[arg(long, env = "RELAY_MASTER_KEY", hide_env_values = true, value_name = "BASE64", value_parser = master_key)]
    pub master_key: MasterKey,
    /// The key that is used now.
    #[arg(long, env = "RELAY_MASTER_KEY_PREVIOUS", hide_env_values = true, value_name = "BASE64", value_parser = master_key)]
    pub master_key_previous: Option<MasterKey>,
}

/// Both keys in one.
pub(super) fn keys(key: &MasterKey, previous: Option<&MasterKey>) -> anyhow::Result<MasterKey> {
    let Some(previous) = previous else { return Ok(key.clone()) };
    anyhow::ensure!(
        previous.id() != key.id(),
        "RELAY_MASTER_KEY and RELAY_MASTER_KEY_PREVIOUS are the same key: leave the previous one out"
    );
    Ok(key.clone().and_previous(previous.clone()))
}

impl RotateMasterKey {
    /// Both keys.
    ///
    /// # Errors
    /// They are the same.
    pub fn keys(&self) -> anyhow::Result<MasterKey> {
        keys(&self.master_key, self.master_key_previous.as_ref())
    }
}
