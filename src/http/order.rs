//! Orders: where each stands.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::auth::Reader;
use super::field::{Raw, Text, Time};
use super::page::{Listing, PageParams, Paged, PartnerParam};
use super::path::Path;
use super::problem::Problem;
use super::problem::openapi::{Common, Filtering};
use super::suggest::refuse_unknown;
use crate::model::amount::Amount;
use crate::model::endpoint::STATUSES;
use crate::model::id::PartnerId;
use crate::model::order::{OrderId, Product, wallet_key};
use crate::store::list::snapshot;
use crate::store::order::read as store;
use crate::store::payload::read::{self as payload, PayloadKey};

/// Which orders; what is left out filters nothing.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OrderQuery {
    /// Where the order stands, as Transak writes it.
    #[param(value_type = Option<String>, min_length = 1, max_length = 100, example = "COMPLETED")]
    status: Option<Text<100>>,
    /// The partner's own reference.
    #[param(value_type = Option<String>, min_length = 1, max_length = 500)]
    partner_order_id: Option<Text<500>>,
    /// The user's wallet. Capital letters of an address that begins with 0x make no difference.
    #[param(value_type = Option<String>, min_length = 1, max_length = 500)]
    wallet_address: Option<Text<500>>,
    /// `BUY`, `SELL` or `NFT`.
    #[param(value_type = Option<Product>, inline)]
    product: Option<Product>,
    /// Created then or later.
    #[param(value_type = Option<Time>, inline)]
    from: Option<Time>,
    /// Created before.
    #[param(value_type = Option<Time>, inline)]
    to: Option<Time>,
}

impl From<&OrderQuery> for store::OrderFilter {
    fn from(query: &OrderQuery) -> Self {
        Self {
            status: query.status.as_ref().map(|text| text.0.clone()),
            partner_order_id: query.partner_order_id.as_ref().map(|text| text.0.clone()),
            wallet_address: query.wallet_address.as_ref().map(|text| wallet_key(&text.0)),
            product: query.product,
            from: query.from.map(|time| time.0),
            to: query.to.map(|time| time.0),
        }
    }
}

/// An order as it stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Order)]
pub struct OrderView {
    /// Whose it is.
    partner_id: PartnerId,
    /// Transak's id.
    order_id: String,
    /// The partner's own reference.
    #[schema(required)]
    partner_order_id: Option<String>,
    /// As Transak writes it.
    #[schema(example = "COMPLETED")]
    status: String,
    /// The order is over. `FAILED`, `EXPIRED` and `CANCELLED` count as over although a refund may follow.
    terminal: bool,
    #[schema(required)]
    product: Option<Product>,
    /// The user's wallet.
    #[schema(required)]
    wallet_address: Option<String>,
    /// ISO 4217 code.
    #[schema(required)]
    fiat_currency: Option<String>,
    /// In `fiatCurrency`, digit for digit as it came: mostly a number.
    #[schema(required)]
    fiat_amount: Option<Amount>,
    /// Ticker.
    #[schema(required)]
    crypto_currency: Option<String>,
    /// In `cryptoCurrency`, digit for digit as it came: mostly a number.
    #[schema(required)]
    crypto_amount: Option<Amount>,
    /// Blockchain.
    #[schema(required)]
    network: Option<String>,
    /// When the order was made.
    created_at: Time,
    /// When it last changed.
    updated_at: Time,
}

impl From<store::Order> for OrderView {
    fn from(order: store::Order) -> Self {
        Self {
            partner_id: order.partner_id,
            terminal: order.is_terminal(),
            fiat_amount: order.fiat_amount(),
            crypto_amount: order.crypto_amount(),
            order_id: order.order_id,
            partner_order_id: order.partner_order_id,
            status: order.status,
            product: order.product,
            wallet_address: order.wallet_address,
            fiat_currency: order.fiat_currency,
            crypto_currency: order.crypto_currency,
            network: order.network,
            created_at: Time(order.created_at),
            updated_at: Time(order.updated_at),
        }
    }
}

/// An order with its newest snapshot.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderDetail {
    #[serde(flatten)]
    summary: OrderView,
    /// The order as Transak last sent it, byte for byte; null once retention has dropped it.
    #[schema(required, value_type = Option<Object>)]
    order: Option<Raw>,
}

/// List orders, newest first.
#[utoipa::path(
    get, path = "/v1/orders", tag = "Orders", params(PageParams, PartnerParam, OrderQuery),
    responses((status = 200, description = "A page of orders.", body = Paged<OrderView>), Filtering),
)]
pub async fn list_orders(
    State(api): State<Arc<Api>>,
    list: Listing<OrderQuery>,
) -> Result<Json<Paged<OrderView>>, Problem> {
    let page = list.page::<(DateTime<Utc>, String)>(&api)?;
    let mut conn = snapshot(&api.pool).await?;
    let mut filter: store::OrderFilter = (&list.filter).into();
    let horizon = store::horizon(&mut conn, &list.access.partners, &filter, &page).await?;
    filter.from = horizon.or(filter.from);
    let rows = store::list(&mut conn, &list.access.partners, &filter, &page).await?;
    let status = list.filter.status.as_ref().map(|status| status.0.as_str());
    // Only where the whole list was looked through: behind a horizon, or on an earlier page, there may be some.
    let found_nothing = rows.is_empty() && horizon.is_none() && page.after.is_none();
    refuse_unknown(found_nothing, &[("status", status, &STATUSES)])?;
    let place = |row: &store::Order| (row.created_at, row.order_id.clone());
    Ok(list.answer_up_to(&api, rows, place, horizon.map(|at| (at, String::new()))))
}

/// Get an order with its newest snapshot.
#[utoipa::path(
    get, path = "/v1/orders/{orderId}", tag = "Orders",
    params(("orderId" = String, Path, description = "Transak's id of the order."), PartnerParam),
    responses((status = 200, description = "The order.", body = OrderDetail), Common),
)]
pub async fn get_order(
    State(api): State<Arc<Api>>,
    reader: Reader,
    Path(order_id): Path<OrderId>,
) -> Result<Json<OrderDetail>, Problem> {
    let mut conn = snapshot(&api.pool).await?;
    let order = store::find(&mut conn, &reader.partners, order_id.as_str()).await?;
    let order = order.ok_or(Problem::NotFound("order"))?;
    let key = PayloadKey {
        partner_id: order.partner_id,
        event_id: order.snapshot_event_id,
        received_at: order.snapshot_received_at,
    };
    let body = payload::find(&mut conn, key).await?;
    Ok(Json(OrderDetail { summary: order.into(), order: body.and_then(Raw::from_bytes) }))
}
