//! What the texts of a partner must be, beyond being texts.

use chrono::Utc;
use secrecy::ExposeSecret as _;
use sqlx::PgConnection;

use super::PartnerPatch;
use crate::http::body::Object;
use crate::http::field::Secret;
use crate::http::problem::{FieldError, Problem};
use crate::model::credentials::accept;
use crate::model::id::PartnerId;
use crate::store::{access_token, partner};

/// What is wrong with an API key and an access token, as far as they are given.
pub(super) fn faults(api_key: Option<&str>, access_token: Option<&Secret>) -> Vec<FieldError> {
    let unfit = api_key.filter(|key| !fits(key));
    let key = unfit.map(|_| FieldError::new("apiKey", "must be letters, digits or any of _-=@,.;"));
    let token = access_token.and_then(|token| accept(token.0.expose_secret(), api_key, Utc::now()).err());
    let token = token.map(|error| FieldError::new("accessToken", error.to_string()));
    key.into_iter().chain(token).collect()
}

/// As [`faults`], as a problem.
pub(super) fn check(api_key: Option<&str>, access_token: Option<&Secret>) -> Result<(), Problem> {
    let errors = faults(api_key, access_token);
    if errors.is_empty() { Ok(()) } else { Err(Problem::Validation(errors)) }
}

/// Refuses a token that was just given to a partner but is another's, by what it says itself or because another has it.
pub(super) async fn check_owner(
    conn: &mut PgConnection,
    id: PartnerId,
    token: &Secret,
) -> Result<(), Problem> {
    let partner = partner::find(conn, id).await?.ok_or(Problem::NotFound("partner"))?;
    accept(token.0.expose_secret(), Some(&partner.api_key), Utc::now())
        .map_err(|error| Problem::field("accessToken", error.to_string()))?;
    if access_token::is_own(conn, id, &token.0).await? {
        return Ok(());
    }
    Err(Problem::field("accessToken", "must be a token of this partner's alone: another partner has it"))
}

/// As [`faults`], of what is left of a body.
pub(super) fn judge(well_shaped: &[u8]) -> Vec<FieldError> {
    let read = serde_json::from_slice::<Object<PartnerPatch>>(well_shaped);
    let Ok(Object(patch)) = read else { return Vec::new() };
    faults(patch.api_key.value().map(|key| key.0.as_str()), patch.access_token.value())
}

/// A key is the name of a channel, and Pusher allows these characters in one.
fn fits(key: &str) -> bool {
    key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-=@,.;".contains(&b))
}
