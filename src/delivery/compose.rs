//! What is sent for a delivery. Pure: the same event, endpoint and moment give the same request.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::sender::CallbackRequest;
use crate::model::announcement::told_as;
use crate::model::delivery::{Job, Told};
use crate::model::endpoint::PayloadFormat;
use crate::model::hops;
use crate::model::signing::{Message, standard_body, transak_body};
use crate::model::target::Target;

/// Why a delivery cannot even be composed. Counts as a failed attempt: its reason stands in the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Uncomposable {
    #[error("the format `transak` signs with the partner's access token, and the partner has none")]
    NoAccessToken,
    #[error("the order cannot be redacted because it is not JSON")]
    NotJson,
}

impl Uncomposable {
    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::NoAccessToken => "no_access_token",
            Self::NotJson => "not_json",
        }
    }
}

/// The signed request that tells `target` of `job` at the moment `now`.
pub(super) fn compose(
    job: &Job,
    target: &Target,
    now: DateTime<Utc>,
) -> Result<CallbackRequest, Uncomposable> {
    let body = body(&job.told, target)?;
    let mut headers = HeaderMap::with_capacity(8);
    headers.extend(target.headers.as_map().clone());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(hops::HEADER, job.told.hops.next());
    headers.extend(target.signer.headers(&Message { id: job.told.event_id, at: now, body: &body }));
    Ok(CallbackRequest {
        url: target.url.clone(),
        headers,
        body,
        timeout: target.timeout,
        identity: target.identity.clone(),
    })
}

fn body(told: &Told, target: &Target) -> Result<Bytes, Uncomposable> {
    let unredacted = target.redact.pointers().is_empty();
    let order = target.redact.apply(&told.payload).map_err(|_| Uncomposable::NotJson)?;
    match target.format {
        // The same for every endpoint that asks for nothing special: made once and shared.
        PayloadFormat::Standard if unredacted => Ok(told
            .standard
            .get_or_init(|| standard_body(told_as(&told.event), told.occurred_at, &order))
            .clone()),
        PayloadFormat::Standard => Ok(standard_body(told_as(&told.event), told.occurred_at, &order)),
        PayloadFormat::Transak => {
            let token = target.access_token.as_ref().ok_or(Uncomposable::NoAccessToken)?;
            Ok(transak_body(token, told_as(&told.event), told.received_at, &order))
        }
    }
}
