//! The tokens that somebody has to look after, for readiness and for the partners.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use super::states;
use crate::model::id::PartnerId;
use crate::store;
use crate::store::token_refresh::TokenState;

/// A token that somebody has to look after.
#[derive(Debug, Clone)]
pub struct Worry {
    pub partner_id: PartnerId,
    /// When the token ends or has ended; `None`: there is none although there is an API secret.
    pub expires_at: Option<DateTime<Utc>>,
    /// Why the last refresh failed; `None`: there is no API secret to refresh it with.
    pub error: Option<String>,
}

/// The tokens that end within 24 hours and cannot be, or could not be, replaced. For readiness and for the partners.
pub async fn worries(pool: &PgPool, now: DateTime<Utc>) -> store::Result<Vec<Worry>> {
    let worrying = |state: &TokenState| {
        let ends = state.expires_at.is_some_and(|end| end <= now + TimeDelta::hours(24));
        if state.has_secret { state.failures > 0 && (ends || state.token_id.is_none()) } else { ends }
    };
    let worry = |state: TokenState| Worry {
        partner_id: state.partner_id,
        expires_at: state.expires_at,
        error: state.last_error.filter(|_| state.has_secret),
    };
    Ok(states(pool, None).await?.into_iter().filter(worrying).map(worry).collect())
}
