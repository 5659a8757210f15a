//! What is shown of a partner.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::field::Time;
use crate::http::hearing::Hearing;
use crate::model::credentials::{self, CredentialsState, Known, Verdict};
use crate::model::id::PartnerId;
use crate::model::partner::Environment;
use crate::model::token_care::{self, Keeping};
use crate::store::partner as store;

/// A partner. Its secrets never come out.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Partner)]
pub struct PartnerView {
    id: PartnerId,
    name: String,
    environment: Environment,
    /// Transak's API key, which is public.
    api_key: String,
    /// It has one, with which the relay can fetch access tokens.
    has_api_secret: bool,
    /// It has one, without which nothing can be verified.
    has_access_token: bool,
    /// When the newest access token ends, by its own claim; null if that is not known.
    #[schema(required)]
    access_token_expires_at: Option<Time>,
    /// Why somebody has to look after the access token, from 24 hours before it ends; null: nobody has to.
    #[schema(
        required,
        example = "the access token ends at 2026-11-23T18:00:00Z: there is no API secret to make another with, so give the next one"
    )]
    access_token_worry: Option<String>,
    /// How many endpoints it may have; null: as many as the installation says.
    #[schema(required)]
    max_endpoints: Option<i32>,
    stream: Hearing,
    /// Whether what the partner was registered with works.
    credentials: CredentialsView,
    created_at: Time,
    updated_at: Time,
}

/// What is known of a partner's credentials. Transak is asked once, shortly after they are given.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Credentials)]
pub(super) struct CredentialsView {
    state: CredentialsState,
    /// When Transak answered; null: it has not.
    #[schema(required)]
    checked_at: Option<Time>,
    /// What to do, in a sentence; null: nothing.
    #[schema(
        required,
        example = "Transak does not accept the access token: give the current one, or the API secret with which the relay makes one"
    )]
    detail: Option<String>,
}

impl CredentialsView {
    fn of(partner: &store::Partner, now: DateTime<Utc>) -> Self {
        let known = Known {
            has_secret: partner.has_api_secret,
            token: partner.token_id,
            expires_at: partner.access_token_expires_at,
            refresh_error: partner.refresh_error.as_deref(),
            verdict: Verdict { state: partner.credentials_state, detail: partner.credentials_detail.clone() },
            of_token: partner.credentials_token_id,
            checked_at: partner.credentials_checked_at,
        };
        let (Verdict { state, detail }, checked_at) = credentials::shown(known, now);
        Self { state, checked_at: checked_at.map(Time), detail }
    }
}

impl From<store::Partner> for PartnerView {
    fn from(partner: store::Partner) -> Self {
        let credentials = CredentialsView::of(&partner, Utc::now());
        let keeping = Keeping {
            has_secret: partner.has_api_secret,
            has_token: partner.has_access_token,
            expires_at: partner.access_token_expires_at,
            error: partner.refresh_error.as_deref(),
        };
        Self {
            stream: Hearing::of(&partner),
            access_token_worry: token_care::worry(&keeping, Utc::now()),
            id: partner.partner_id,
            name: partner.name,
            environment: partner.environment,
            api_key: partner.api_key,
            has_api_secret: partner.has_api_secret,
            has_access_token: partner.has_access_token,
            access_token_expires_at: partner.access_token_expires_at.map(Time),
            max_endpoints: partner.max_endpoints,
            credentials,
            created_at: Time(partner.created_at),
            updated_at: Time(partner.updated_at),
        }
    }
}
