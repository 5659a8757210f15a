//! Where Transak's own webhook arrives.
//!
//! Guarantees: 200 only once the message is committed, or on disk while the database is away. Does not guarantee that
//! a stranger's message is kept: what no token of the partner verifies is answered 401 and put aside within bounds.
//!
//! Source: docs.transak.com/features/webhooks: POST, JSON, `{"data": "<JWT>"}`. No header identifies the sender, so the
//! signature inside is all there is.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest as _, Request, State};
use chrono::Utc;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::path::Path;
use super::problem::Problem;
use super::problem::openapi::Ingesting;
use crate::intake::{Fate, Form, Heard};
use crate::model::event::Source;
use crate::model::hops::Hops;
use crate::model::id::PartnerId;
use crate::store::{again, partner};

/// The path of the operation.
pub(super) const PATH: &str = "/ingest/transak/{partnerId}";

/// The longest body. The largest webhook in Transak's documents is 7 kB.
pub(super) const MAX_BODY: usize = 256 << 10;

/// What became of a webhook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    /// `new`, `sighted` (it was known), `spooled` (on disk until the database is back), `test` (Transak's canned test
    /// order, not kept), or `quarantined` (signed, but not readable).
    #[schema(value_type = String, example = "new")]
    result: &'static str,
}

/// A webhook as Transak sends it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body; what comes is kept as it came")]
pub struct TransakWebhook {
    /// A JWS, HS256, keyed with the partner's access token.
    data: String,
}

/// Receive one of Transak's webhooks for a partner. Register this URL at Transak.
///
/// The callbacks of another relay, in the format `transak`, are taken as well.
#[utoipa::path(
    post, path = "/ingest/transak/{partnerId}", tag = "Transak", security(()),
    params(
        ("partnerId" = inline(PartnerId), Path),
        ("transak-relay-hops" = Option<u8>, Header, minimum = 0, maximum = 5,
            description = "How many relays it has come through. Relays say it; Transak does not."),
    ),
    request_body = TransakWebhook,
    responses((status = 200, description = "It is kept.", body = Received), Ingesting),
)]
pub async fn receive_webhook(
    State(api): State<Arc<Api>>,
    Path(partner_id): Path<PartnerId>,
    request: Request,
) -> Result<Json<Received>, Problem> {
    let intake = api.intake.as_ref().ok_or(Problem::NoSuchPath)?;
    let client = api.strangers.client(request.extensions(), request.headers());
    if !intake.directory().knows(partner_id) {
        meet(&api, partner_id, client).await?;
    }
    let hops = Hops::of(request.headers()).map_err(|_| Problem::Loop)?;
    let heard = Heard { hops, ..heard(partner_id, read(request).await?) };
    // Only what does not verify is charged: whoever shares an address with strangers is not refused for them.
    let _waiting = if intake.verifies(&heard) {
        None
    } else {
        Some(api.strangers.admit(client, heard.data.len()).ok_or(Problem::TooManyRequests)?)
    };
    match intake.keep(heard).await.map_err(|_| Problem::IntakeFull)? {
        Fate::Unverified => Err(Problem::Unverified),
        fate => Ok(Json(Received { result: fate.as_str() })),
    }
}

/// Looks for a partner in the tables that this process does not know yet: another may just have made it. Who asks for what
/// is not there is charged as for a message that nobody can verify.
async fn meet(api: &Api, partner_id: PartnerId, client: Option<IpAddr>) -> Result<(), Problem> {
    let _looking = api.strangers.admit(client, 0).ok_or(Problem::TooManyRequests)?;
    let find = || async { partner::find(&mut *api.pool.acquire().await?, partner_id).await };
    if again(find).await?.is_none() {
        return Err(Problem::NotFound("partner"));
    }
    api.know_partners().await;
    Ok(())
}

/// Reads more than may be kept, so that whoever sends too much hears the answer.
async fn read(request: Request) -> Result<Bytes, Problem> {
    let too_large = || Problem::BodyTooLarge(MAX_BODY);
    let body = Bytes::from_request(request, &()).await.map_err(|_| too_large())?;
    if body.len() > MAX_BODY { Err(too_large()) } else { Ok(body) }
}

fn heard(partner_id: PartnerId, data: Bytes) -> Heard {
    Heard {
        partner_id: Some(partner_id),
        source: Source::Webhook,
        form: Form::Signed,
        channel: None,
        event: None,
        data,
        at: Utc::now(),
        hops: Hops::default(),
        trace: None,
    }
}
