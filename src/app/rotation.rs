//! `transak-relay rotate-master-key`: seals every secret anew with another master key while relays run.
//!
//! Guarantees: it can be interrupted at any moment and started again; nothing is sealed with a key that a running relay
//! does not have; the old key is forgotten only when nothing is left that it sealed.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use sqlx::PgPool;

use super::bootstrap;
use crate::model::seal::MasterKey;
use crate::store::master_key::reseal::{self, Batch, Place};
use crate::store::master_key::sealed::{SEALED, SealedColumn};
use crate::store::{master_key, pool};

/// How many values one transaction seals anew.
const BATCH: i64 = 200;

/// How often running relays are looked at, and how often before it is given up.
const LOOK: Duration = Duration::from_secs(1);
const LOOKS: u32 = 60;

/// Changes the key, from beginning to end or from where it was interrupted, and says how it goes.
///
/// # Errors
/// What stands in the way, and what to do about it.
pub async fn rotate(pool: &PgPool, key: &MasterKey, out: &mut impl Write) -> anyhow::Result<()> {
    ensure!(
        key.ids().len() == 2,
        "RELAY_MASTER_KEY_PREVIOUS is needed: the key that is used now; RELAY_MASTER_KEY is the new one"
    );
    ensure!(
        pool::is_migrated(pool).await?,
        "the database is not up to date: run `transak-relay migrate` first"
    );
    bootstrap::check_master_key(pool, key).await?;
    begin(pool, key).await?;
    wait_for_all(pool, key).await?;
    let damaged = reseal_all(pool, key, out).await?;
    if damaged > 0 {
        bail!(
            "{damaged} values do not open with either key and were left as they are; the old key is still known"
        );
    }
    master_key::finish(&mut *pool.acquire().await?).await?;
    writeln!(
        out,
        "done: nothing needs the old key any more; start the relays without RELAY_MASTER_KEY_PREVIOUS"
    )?;
    Ok(())
}

async fn begin(pool: &PgPool, key: &MasterKey) -> anyhow::Result<()> {
    let mut tx = pool.begin().await?;
    let lacking = master_key::lacking(&mut tx, key.id()).await?;
    if lacking > 0 {
        bail!(
            "{lacking} running relays do not have the new key: start each with RELAY_MASTER_KEY=<new> and \
             RELAY_MASTER_KEY_PREVIOUS=<old>, then run this again"
        );
    }
    master_key::begin(&mut tx, key).await?;
    tx.commit().await.context("cannot begin to change the key")
}

/// Until every running relay seals with the new key.
async fn wait_for_all(pool: &PgPool, key: &MasterKey) -> anyhow::Result<()> {
    for _ in 0..LOOKS {
        if master_key::sealing_otherwise(&mut *pool.acquire().await?, key.id()).await? == 0 {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    bail!("a running relay still seals with the old key: look at its log, then run this again")
}

/// Answers how many values do not open.
async fn reseal_all(pool: &PgPool, key: &MasterKey, out: &mut impl Write) -> anyhow::Result<u64> {
    let mut damaged = 0;
    for &column in SEALED {
        let done = reseal_column(pool, key, (column, BATCH)).await?;
        damaged += done.damaged;
        writeln!(out, "{}.{}: {} sealed anew", column.table, column.column, done.resealed)?;
        let left = reseal::left(&mut *pool.acquire().await?, column, key.id()).await?;
        let expected = i64::try_from(done.damaged).unwrap_or(i64::MAX);
        ensure!(left <= expected, "{left} values changed meanwhile and are left: run this again");
    }
    Ok(damaged)
}

async fn reseal_column(
    pool: &PgPool,
    key: &MasterKey,
    (column, most): (SealedColumn, i64),
) -> anyhow::Result<Batch> {
    let (mut all, mut place) = (Batch::default(), Place::default());
    while let Some(done) = reseal::batch(pool, key, column, (&mut place, most)).await? {
        all.resealed += done.resealed;
        all.damaged += done.damaged;
    }
    Ok(all)
}
