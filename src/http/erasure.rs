//! Erasing an order on request.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};

use super::Api;
use super::auth::{Admin, Reader, presented};
use super::page::PartnerParam;
use super::path::Path;
use super::problem::Problem;
use super::problem::openapi::Writing;
use crate::model::order::OrderId;
use crate::model::token::TokenHash;
use crate::store::{begin, commit};
use crate::store::{erasure, retention};

/// Erase an order: its events, payloads, deliveries, attempts and quarantined messages. Only the fact is kept. What
/// Transak sends of it afterwards is a new order.
#[utoipa::path(
    delete, path = "/v1/orders/{orderId}", tag = "Orders",
    params(("orderId" = String, Path, description = "Transak's id of the order."), PartnerParam),
    responses((status = 204, description = "It is gone."), Writing),
)]
pub async fn erase_order(
    State(api): State<Arc<Api>>,
    admin: (Admin, HeaderMap),
    reader: Reader,
    Path(order_id): Path<OrderId>,
) -> Result<StatusCode, Problem> {
    let by = TokenHash::of(presented(&admin.1).ok_or(Problem::Unauthorized)?);
    let mut tx = begin(&api.pool).await?;
    let mut erased = false;
    // Of deleted partners too, unless one is named.
    let partners = if reader.all { retention::partners(&mut tx).await? } else { reader.partners };
    for partner in partners {
        erased |= erasure::erase(&mut tx, (partner, order_id.as_str()), by).await?;
    }
    if !erased {
        return Err(Problem::NotFound("order"));
    }
    commit(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}
