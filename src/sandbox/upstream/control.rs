//! Orders on request: `POST /sandbox/orders {event, product}` plays one, now, up to that event.
//!
//! Guarantees: it can only ever play an invented order of this sandbox; every answer says in a header that it is one's, so
//! that whoever asks elsewhere by mistake finds out. The order stays where it was asked to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Stage;
use crate::sandbox::http_server::HttpServer;
use crate::sandbox::lifecycle::{Ending, Journey, Lifecycle, Plan};

/// What every answer of a sandbox has.
pub const HEADER: &str = "transak-relay-sandbox";

/// Between two steps, so that no two have one time.
const APART: Duration = Duration::from_millis(2);

/// Which order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    event: String,
    product: String,
}

/// Listens; port 0 takes a free one.
pub(super) async fn start(listen: SocketAddr, stage: Arc<Stage>) -> std::io::Result<HttpServer> {
    HttpServer::start(listen, Router::new().route("/sandbox/orders", post(play)).with_state(stage)).await
}

async fn play(State(stage): State<Arc<Stage>>, Json(wanted): Json<Wanted>) -> Response {
    let (status, answer) = match plan(&wanted.event, &wanted.product) {
        Err(detail) => (StatusCode::UNPROCESSABLE_ENTITY, json!({ "detail": detail })),
        Ok(plan) => match stage.play_up_to(plan, &wanted.event).await {
            Ok(played) => (StatusCode::CREATED, played),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, json!({ "detail": error.to_string() })),
        },
    };
    (status, [(HEADER, "1")], Json(answer)).into_response()
}

impl Stage {
    async fn play_up_to(&self, plan: Plan, event: &str) -> anyhow::Result<Value> {
        let mut life = Lifecycle::new(plan, &mut fastrand::Rng::new());
        let mut steps = Vec::new();
        while let Some((step, _)) = self.step(&mut life).await? {
            steps.push(json!({ "event": step.event, "status": step.status, "onStream": step.on_stream }));
            if step.event == event {
                break;
            }
            tokio::time::sleep(APART).await;
        }
        Ok(json!({ "orderId": life.order_id(), "partnerOrderId": life.partner_order_id(), "steps": steps }))
    }
}

/// The life of an order of this product that comes to this event; else what is wrong with the wish.
fn plan(event: &str, product: &str) -> Result<Plan, String> {
    let journeys: &[Journey] = match product.to_ascii_uppercase().as_str() {
        "BUY" => &[Journey::CardBuy, Journey::BankBuy],
        "SELL" => &[Journey::Sell],
        "NFT" => &[Journey::Nft],
        _ => {
            return Err(format!(
                "`product` must be one of BUY, SELL, NFT{}",
                meant(product, &["BUY", "SELL", "NFT"])
            ));
        }
    };
    let endings = [Ending::Completed, Ending::Failed, Ending::Refunded];
    let lives = |journey: &Journey| endings.map(|ending| Plan::new(*journey, ending));
    let plans: Vec<Plan> = journeys.iter().flat_map(lives).collect();
    let comes_to = |plan: &&Plan| plan.points().iter().any(|point| point.event == event);
    plans.iter().find(comes_to).copied().ok_or_else(|| {
        let mut known: Vec<&str> = Vec::new();
        for point in plans.iter().flat_map(|plan| plan.points()) {
            if !known.contains(&point.event) {
                known.push(point.event);
            }
        }
        format!("`event` must be one of {}{}", known.join(", "), meant(event, &known))
    })
}

fn meant(given: &str, known: &[&str]) -> String {
    let given = given.to_ascii_uppercase();
    let measured = known.iter().map(|name| (strsim::damerau_levenshtein(&given, name), name));
    match measured.min_by_key(|(distance, _)| *distance) {
        Some((distance, name)) if distance <= name.len() / 3 => format!("; did you mean `{name}`?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_of_an_order_is_reached_for_every_product() {
        let events =
            ["ORDER_CREATED", "ORDER_PROCESSING", "ORDER_COMPLETED", "ORDER_FAILED", "ORDER_REFUNDED"];
        for product in ["BUY", "sell", "NFT"] {
            for event in events {
                let plan = plan(event, product).unwrap_or_else(|error| panic!("{product} {event}: {error}"));
                assert!(plan.points().iter().any(|point| point.event == event), "{product} {event}");
            }
        }
    }

    #[test]
    fn a_misspelt_event_is_answered_with_the_one_that_was_meant() {
        let refused = plan("order_complete", "SELL").unwrap_err();
        assert!(refused.ends_with("did you mean `ORDER_COMPLETED`?"), "{refused}");
        assert!(plan("ORDER_COMPLETED", "SHELL").unwrap_err().ends_with("did you mean `SELL`?"));
    }
}
