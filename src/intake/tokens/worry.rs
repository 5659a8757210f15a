//! The tokens that somebody has to look after, for readiness and for metrics.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::states;
use crate::model::id::PartnerId;
use crate::model::token_care;
use crate::store;
use crate::store::token_refresh::TokenState;

/// A token that somebody has to look after.
#[derive(Debug, Clone)]
pub struct Worry {
    pub partner_id: PartnerId,
    /// When the token ends or has ended; `None`: there is none.
    pub expires_at: Option<DateTime<Utc>>,
    /// What is the matter, in a sentence.
    pub why: String,
}

/// The tokens that end within 24 hours and cannot be, or could not be, replaced.
pub async fn worries(pool: &PgPool, now: DateTime<Utc>) -> store::Result<Vec<Worry>> {
    let worry = |state: TokenState| {
        let why = token_care::worry(&state.keeping(), now)?;
        Some(Worry { partner_id: state.partner_id, expires_at: state.expires_at, why })
    };
    Ok(states(pool, None).await?.into_iter().filter_map(worry).collect())
}
