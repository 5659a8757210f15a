//! Trying an endpoint out: one callback now, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::http::Api;
use crate::http::attempt::AttemptView;
use crate::http::auth::Writer;
use crate::http::body::{Input, OptionalJson};
use crate::http::page::PartnerParam;
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::problem::openapi::WithBody;
use crate::http::suggest::did_you_mean;
use crate::model::announcement::{Announcement, TEST, is_own};
use crate::model::delivery::MAX_TOTAL_DEADLINE;
use crate::model::endpoint::{EVENTS, EndpointState};
use crate::model::id::{DeliveryId, EndpointId, PartnerId};
use crate::model::queue::Place;
use crate::store::attempt::read as attempt;
use crate::store::delivery::trial as store;
use crate::store::endpoint::read;
use crate::store::{Error, again, begin, commit};

/// The path of a test, which may take longer than any other request.
pub const PATH: &str = "/v1/endpoints/{id}/test";

/// How long a test may take until its answer begins: an attempt at the slowest endpoint is waited for to its end.
pub const DEADLINE: Duration = Duration::from_secs(40);

/// How long an attempt may take beyond the endpoint's deadline until it is written down.
const SPARE: Duration = Duration::from_secs(5);
const _: () = assert!(DEADLINE.as_secs() > MAX_TOTAL_DEADLINE.as_secs() + SPARE.as_secs());

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// What a test stands for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Trial {
    /// An event of Transak's, as which the test is told: of an order that nobody made, with a `message` that says so. Left out:
    /// `relay.test`.
    #[schema(example = "ORDER_COMPLETED")]
    event: Option<String>,
}

impl Input for Trial {}

impl Trial {
    fn of(&self, endpoint: Place) -> Result<Announcement, Problem> {
        match self.event.as_deref() {
            None | Some(TEST) => Ok(Announcement::test(endpoint)),
            Some(event) if testable().any(|known| known == event) => {
                Ok(Announcement::test_of(endpoint, event))
            }
            Some(event) => {
                let (known, meant) = (testable().collect::<Vec<_>>(), did_you_mean(event, testable()));
                Err(Problem::field("event", format!("must be one of {}{meant}", known.join(", "))))
            }
        }
    }
}

/// What an endpoint can be tested with. What the relay itself tells is told when it happens alone.
fn testable() -> impl Iterator<Item = &'static str> {
    EVENTS.into_iter().filter(|event| !is_own(event) || *event == TEST)
}

/// Send a test event now and answer with the attempt.
///
/// It goes first, once, and whatever the endpoint asked for; an endpoint that is paused is probed with it. 503 means
/// that nobody sent it in time: its delivery shows what becomes of it.
#[utoipa::path(
    post, path = "/v1/endpoints/{id}/test", tag = "Endpoints",
    params(("id" = inline(EndpointId), Path), PartnerParam), request_body = Option<Trial>,
    responses((status = 200, description = "What was sent and answered.", body = AttemptView), WithBody),
)]
pub async fn test_endpoint(
    State(api): State<Arc<Api>>,
    writer: Writer,
    Path(id): Path<EndpointId>,
    OptionalJson(trial): OptionalJson<Trial>,
) -> Result<Json<AttemptView>, Problem> {
    let mut tx = begin(&api.pool).await?;
    let endpoint = read::find(&mut tx, &writer.partners, id).await?.ok_or(Problem::NotFound("endpoint"))?;
    if endpoint.state == EndpointState::Disabled {
        return Err(Problem::Conflict("The endpoint is disabled: enable it first."));
    }
    let delivery = store::owe_test(&mut tx, &trial.of((endpoint.partner_id, id))?).await?;
    commit(tx).await?;
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
        let look = async || attempt::of_delivery(&mut *api.pool.acquire().await?, partner, delivery).await;
        // It is owed already: the request must not be made again.
        let made = again(look).await.map_err(Error::unsettled)?;
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
