//! Refreshing one partner's token: claimed, asked for, judged, kept.

use std::error::Error;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::Settings;
use crate::model::id::PartnerId;
use crate::model::token_care::{self, Care, Duty, Why};
use crate::store;
use crate::store::partner::api_secret_context;
use crate::store::token_refresh::{self, NewToken, TokenState};
use crate::transak::rest::{Account, RestError};

#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error(transparent)]
    Rest(#[from] RestError),
    #[error(transparent)]
    Ended(#[from] token_care::AlreadyEnded),
    #[error("the API secret cannot be opened")]
    Secret(#[from] crate::model::seal::SealError),
}

/// What came of wanting to refresh a token.
pub(super) enum Refreshing {
    Done,
    Failed,
    /// Another process has the lease, or has already done it.
    NotOurs,
}

/// A token as Transak made it, and when it ends.
struct Made {
    token: SecretString,
    expires_at: Option<DateTime<Utc>>,
}

/// Refreshes one partner's token, unless somebody else does or did.
pub(super) async fn refresh(
    settings: &Settings,
    id: PartnerId,
    now: DateTime<Utc>,
) -> store::Result<Refreshing> {
    let mut conn = settings.pool.acquire().await?;
    let Some(sealed) = token_refresh::claim(&mut conn, id, (now, now + token_care::LEASE)).await? else {
        return Ok(Refreshing::NotOurs);
    };
    // Read after the claim: a process that held it before may have made a new token since the last look.
    let Some(state) = token_refresh::states(&mut conn, Some(id)).await?.pop() else {
        return Ok(Refreshing::NotOurs);
    };
    drop(conn);
    let care = Care { refresh_after: None, ..state.care() };
    let Duty::Refresh(why) = token_care::duty(&care, state.suspicion(), now) else {
        return Ok(Refreshing::NotOurs);
    };
    let account = Account { partner_id: id, environment: state.environment, api_key: state.api_key.clone() };
    match fetch(settings, &account, (&sealed, now)).await {
        Ok(new) => {
            metrics::counter!("relay_access_token_refreshes_total", "outcome" => "refreshed").increment(1);
            let new = NewToken {
                token: &new.token,
                expires_at: new.expires_at,
                at: now,
                refresh_after: token_care::after_success(new.expires_at, now),
                suspected: why == Why::Suspected,
            };
            keep(settings, id, &new).await?;
            tracing::info!(partner.id = %id, why = why.as_str(), "there is a new access token");
            Ok(Refreshing::Done)
        }
        Err(error) => {
            let outcome = if matches!(error, RefreshError::Ended(_)) { "ended" } else { "failed" };
            metrics::counter!("relay_access_token_refreshes_total", "outcome" => outcome).increment(1);
            give_up(settings, &state, (&error, now)).await?;
            Ok(Refreshing::Failed)
        }
    }
}

async fn fetch(
    settings: &Settings,
    account: &Account,
    (sealed, now): (&[u8], DateTime<Utc>),
) -> Result<Made, RefreshError> {
    let secret = settings.key.open_text(&api_secret_context(account.partner_id), sealed)?;
    let new = settings.rest.refresh_token(account, &secret).await?;
    let expires_at = token_care::end_of(new.ends_by_itself, new.told_end, now);
    token_care::accept(expires_at, now)?;
    Ok(Made { token: new.token, expires_at })
}

async fn keep(settings: &Settings, id: PartnerId, new: &NewToken<'_>) -> store::Result<()> {
    let mut tx = settings.pool.begin().await?;
    if token_refresh::succeeded(&mut tx, &settings.key, id, new).await? {
        tx.commit().await?;
    }
    Ok(())
}

async fn give_up(
    settings: &Settings,
    state: &TokenState,
    (error, now): (&RefreshError, DateTime<Utc>),
) -> store::Result<()> {
    let failures = u32::try_from(state.failures).unwrap_or_default() + 1;
    let asked = match error {
        RefreshError::Rest(error) => error.asked_pause(now),
        _ => Duration::ZERO,
    };
    tracing::error!(partner.id = %state.partner_id, failures, error = error as &dyn Error, "the access token could not be refreshed");
    let next = token_care::after_failure(failures, asked, now);
    let mut conn = settings.pool.acquire().await?;
    token_refresh::failed(&mut conn, state.partner_id, &error.to_string(), next).await
}
