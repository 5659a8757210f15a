//! Trying an endpoint out: one callback now, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use tokio::time::Instant;

use crate::http::Api;
use crate::http::attempt::AttemptView;
use crate::http::auth::Writer;
use crate::http::body::NoBody;
use crate::http::page::PartnerParam;
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::problem::openapi::WithoutBody;
use crate::model::delivery::MAX_TOTAL_DEADLINE;
use crate::model::endpoint::EndpointState;
use crate::model::id::{DeliveryId, EndpointId, PartnerId};
use crate::store::attempt::read as attempt;
use crate::store::begin;
use crate::store::delivery::trial;
use crate::store::endpoint::read;

/// The path of a test, which may take longer than any other request.
pub const PATH: &str = "/v1/endpoints/{id}/test";

/// How long a test may take until its answer begins: an attempt at the slowest endpoint is waited for to its end.
pub const DEADLINE: Duration = Duration::from_secs(40);

/// How long an attempt may take beyond the endpoint's deadline until it is written down.
const SPARE: Duration = Duration::from_secs(5);
const _: () = assert!(DEADLINE.as_secs() > MAX_TOTAL_DEADLINE.as_secs() + SPARE.as_secs());

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Send a `relay.test` event now and answer with the attempt.
///
/// It goes first, once, and whatever the endpoint asked for; an endpoint that is paused is probed with it. 503 means
/// that nobody sent it in time: its delivery shows what becomes of it.
#[utoipa::path(
    post, path = "/v1/endpoints/{id}/test", tag = "Endpoints",
    params(("id" = inline(EndpointId), Path), PartnerParam),
    responses((status = 200, description = "What was sent and answered.", body = AttemptView), WithoutBody),
)]
pub async fn test_endpoint(
    State(api): State<Arc<Api>>,
    writer: Writer,
    Path(id): Path<EndpointId>,
    NoBody: NoBody,
) -> Result<Json<AttemptView>, Problem> {
    let mut tx = begin(&api.pool).await?;
    let endpoint = read::find(&mut tx, &writer.partners, id).await?.ok_or(Problem::NotFound("endpoint"))?;
    if endpoint.state == EndpointState::Disabled {
        return Err(Problem::Conflict("The endpoint is disabled: enable it first."));
    }
    let delivery = trial::owe_test(&mut tx, (endpoint.partner_id, id)).await?;
    tx.commit().await?;
    attempted(&api, (endpoint.partner_id, delivery), patience(endpoint.timeout_ms)).await.map(Json)
}

fn patience(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or_default()) + SPARE
}

async fn attempted(
    api: &Api,
    (partner, delivery): (PartnerId, DeliveryId),
    patience: Duration,
) -> Result<AttemptView, Problem> {
    let until = Instant::now() + patience;
    while Instant::now() < until {
        let mut conn = api.pool.acquire().await?;
        let made = attempt::of_delivery(&mut conn, partner, delivery).await?;
        drop(conn);
        if let Some(attempt) = made.into_iter().next() {
            return Ok(attempt.into());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Problem::Timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_endpoint_is_waited_for_to_its_end() {
        let longest = i32::try_from(MAX_TOTAL_DEADLINE.as_millis()).unwrap();
        assert!(patience(longest) > MAX_TOTAL_DEADLINE);
    }
}
