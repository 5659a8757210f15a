//! What must be true of the database before a process begins its work.

use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::Utc;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::FirstPartner;
use crate::model::credentials::{InvalidToken, accept, read_token};
use crate::model::seal::{MasterKey, SealError};
use crate::store::partner::NewPartner;
use crate::store::{self, access_token, master_key, partner};

/// Refuses a master key other than the one the database was used with.
pub(super) async fn check_master_key(pool: &PgPool, key: &MasterKey) -> anyhow::Result<()> {
    let mut conn = pool.acquire().await?;
    match master_key::check(&mut conn, key).await {
        Err(store::Error::Seal(SealError::OtherKey)) => {
            bail!(
                "RELAY_MASTER_KEY is not the key this database is used with: start with that key, or, while the key is \
                 being changed, with both (RELAY_MASTER_KEY_PREVIOUS)"
            )
        }
        checked => checked.context("cannot check RELAY_MASTER_KEY against the database"),
    }
}

/// How often a process shows which keys it has and looks which of them is to seal.
const HOLD: Duration = Duration::from_secs(5);

/// Holds the master keys until told to stop. `fits` says whether they are still those of the database.
pub(super) async fn hold_master_key(
    (pool, key): (PgPool, MasterKey),
    fits: watch::Sender<bool>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let holder = Uuid::now_v7();
    loop {
        match store::within(store::session::PATIENCE, master_key::hold(&pool, holder, &key)).await {
            Ok(now) => {
                if fits.send_replace(now) && !now {
                    tracing::error!(
                        "the database is used with a master key that this process does not have: start it again with \
                         RELAY_MASTER_KEY and RELAY_MASTER_KEY_PREVIOUS"
                    );
                }
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "the master key is not looked at");
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = tokio::time::sleep(HOLD) => {}
        }
    }
    // Whoever waits for this process need not wait for its last sign of life to grow old.
    let _ = tokio::time::timeout(Duration::from_secs(1), master_key::let_go(&pool, holder)).await;
    Ok(())
}

/// Makes the partner that the configuration names, if it is not there yet. A token or secret that is new is added; a
/// token that was known before stays as old as it is, because a newer one may have been made since.
pub(super) async fn first_partner(
    pool: &PgPool,
    key: &MasterKey,
    config: &FirstPartner,
) -> anyhow::Result<()> {
    let Some(api_key) = config.transak_api_key.as_deref().filter(|key| !key.trim().is_empty()) else {
        return Ok(());
    };
    let mut tx = pool.begin().await?;
    let new = NewPartner {
        name: "default".to_owned(),
        environment: config.transak_environment,
        api_key: api_key.to_owned(),
        api_secret: config.transak_api_secret.clone().filter(is_given),
    };
    let made = partner::insert(&mut tx, key, &new).await?;
    let id = match made {
        Some(id) => id,
        None => partner::by_api_key(&mut tx, new.environment, api_key)
            .await?
            .context("the first partner vanished")?,
    };
    // One that has ended may have been forgotten since; it must not take the place of those that came after it.
    let may_be_new = |token: &&SecretString| is_given(token) && (made.is_some() || !has_ended(token));
    if let Some(token) = config.transak_access_token.as_ref().filter(may_be_new)
        && !access_token::is_known(&mut tx, id, token).await?
    {
        check_token(token, api_key)?;
        access_token::add(&mut tx, key, id, token).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn has_ended(token: &SecretString) -> bool {
    matches!(read_token(token.expose_secret(), Utc::now()), Err(InvalidToken::Ended(_)))
}

/// Refuses a new token that is none, or another key's. One that has ended may still verify what was signed with it, and
/// what is only odd keeps nothing from being heard.
fn check_token(token: &SecretString, api_key: &str) -> anyhow::Result<()> {
    match accept(token.expose_secret(), Some(api_key), Utc::now()) {
        Err(error @ (InvalidToken::NotAJwt | InvalidToken::NamesAnotherKey)) => {
            bail!("TRANSAK_ACCESS_TOKEN (--transak-access-token): {error}")
        }
        Err(error) => {
            tracing::warn!(%error, "TRANSAK_ACCESS_TOKEN is odd");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn is_given(secret: &SecretString) -> bool {
    !secret.expose_secret().trim().is_empty()
}

/// Makes events followable that were brought here from another Postgres.
pub(super) async fn settle_events(pool: &PgPool) -> anyhow::Result<()> {
    let mut tx = pool.begin().await?;
    if store::event::feed::adopt_foreign(&mut tx).await? {
        tracing::info!(
            "events that came from another Postgres now stand before all others for those who follow live"
        );
    }
    Ok(tx.commit().await?)
}
