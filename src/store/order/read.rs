//! Reading orders.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::amount::Amount;
use crate::model::id::{EventId, PartnerId};
use crate::model::order::Product;
use crate::model::status::Status;
use crate::store::Result;
use crate::store::list::{MOST_LOOKED_AT, Page, looked_at};

/// An order as it stands.
#[derive(Debug, Clone)]
pub struct Order {
    pub partner_id: PartnerId,
    pub order_id: String,
    pub partner_order_id: Option<String>,
    pub status: String,
    pub product: Option<Product>,
    pub wallet_address: Option<String>,
    pub fiat_currency: Option<String>,
    /// A JSON literal.
    pub fiat_amount: Option<String>,
    pub crypto_currency: Option<String>,
    /// A JSON literal.
    pub crypto_amount: Option<String>,
    pub network: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// The event whose payload is the newest snapshot.
    pub snapshot_event_id: EventId,
    pub snapshot_received_at: DateTime<Utc>,
}

impl Order {
    /// The order is over.
    pub fn is_terminal(&self) -> bool {
        Status::parse(&self.status).is_some_and(|status| status.is_terminal())
    }

    /// In `fiat_currency`.
    pub fn fiat_amount(&self) -> Option<Amount> {
        self.fiat_amount.as_deref().and_then(Amount::from_json)
    }

    /// In `crypto_currency`.
    pub fn crypto_amount(&self) -> Option<Amount> {
        self.crypto_amount.as_deref().and_then(Amount::from_json)
    }
}

/// Which orders; what is absent filters nothing.
#[derive(Debug, Clone, Default)]
pub struct OrderFilter {
    pub status: Option<String>,
    pub partner_order_id: Option<String>,
    /// As `model::order::wallet_key` spells it.
    pub wallet_address: Option<String>,
    pub product: Option<Product>,
    /// Created then or later.
    pub from: Option<DateTime<Utc>>,
    /// Created before.
    pub to: Option<DateTime<Utc>>,
}

/// The orders of `partners`, newest first. The place of a row is its `created_at` and `order_id`.
pub async fn list(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    filter: &OrderFilter,
    page: &Page<(DateTime<Utc>, String)>,
) -> Result<Vec<Order>> {
    let (after_at, after_id) = page.after.clone().unzip();
    let rows = sqlx::query_as!(
        Order,
        r#"select o.partner_id as "partner_id: _", o.order_id, o.partner_order_id, o.status, o.product as "product: _",
                  o.wallet_address, o.fiat_currency, o.fiat_amount, o.crypto_currency, o.crypto_amount, o.network,
                  o.created_at, o.updated_at, o.snapshot_event_id as "snapshot_event_id: _", o.snapshot_received_at
           from unnest($1::uuid[]) as p (id)
           cross join lateral (
               select * from "order" o
               where o.partner_id = p.id
                 and ($2::text is null or o.status = $2)
                 and ($3::text is null or o.partner_order_id = $3)
                 and ($4::text is null or
                      case when o.wallet_address ~ '^0[xX][0-9a-fA-F]{40}$' then lower(o.wallet_address)
                           else o.wallet_address end = $4)
                 and ($5::product is null or o.product = $5)
                 and ($6::timestamptz is null or o.created_at >= $6)
                 and ($7::timestamptz is null or o.created_at < $7)
                 and ($8::timestamptz is null or (o.created_at, o.order_id) < ($8, $9::text))
               order by o.created_at desc, o.order_id desc
               limit $10
           ) as o
           order by o.created_at desc, o.order_id desc
           limit $10"#,
        partners as _,
        filter.status.as_deref(),
        filter.partner_order_id.as_deref(),
        filter.wallet_address.as_deref(),
        filter.product as _,
        filter.from,
        filter.to,
        after_at,
        after_id,
        page.limit,
    );
    Ok(rows.fetch_all(conn).await?)
}

impl OrderFilter {
    /// It has a part that no index serves. A reference or a wallet has few orders, whatever else is asked of them.
    fn needs_a_horizon(&self) -> bool {
        self.partner_order_id.is_none()
            && self.wallet_address.is_none()
            && (self.status.is_some() || self.product.is_some())
    }
}

/// The creation before which a page does not look for what `filter` wants, if there is anything before it.
pub async fn horizon(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    filter: &OrderFilter,
    page: &Page<(DateTime<Utc>, String)>,
) -> Result<Option<DateTime<Utc>>> {
    if !filter.needs_a_horizon() {
        return Ok(None);
    }
    let horizon = sqlx::query_scalar!(
        r#"select max(o.created_at)
           from unnest($1::uuid[]) as p (id)
           cross join lateral (
               select o.created_at from "order" o
               where o.partner_id = p.id
                 and ($2::timestamptz is null or o.created_at >= $2)
                 and ($3::timestamptz is null or o.created_at < $3)
                 and ($4::timestamptz is null or o.created_at <= $4)
               order by o.created_at desc
               offset $5
               limit 1
           ) as o"#,
        partners as _,
        filter.from,
        filter.to,
        page.after.as_ref().map(|(at, _)| *at),
        looked_at(MOST_LOOKED_AT, partners, page.limit),
    );
    Ok(horizon.fetch_one(conn).await?)
}

/// One order. Should several of `partners` have it, the one that changed last.
pub async fn find(conn: &mut PgConnection, partners: &[PartnerId], order_id: &str) -> Result<Option<Order>> {
    let row = sqlx::query_as!(
        Order,
        r#"select partner_id as "partner_id: _", order_id, partner_order_id, status, product as "product: _",
                  wallet_address, fiat_currency, fiat_amount, crypto_currency, crypto_amount, network,
                  created_at, updated_at, snapshot_event_id as "snapshot_event_id: _", snapshot_received_at
           from "order"
           where partner_id = any($1::uuid[]) and order_id = $2
           order by updated_at desc
           limit 1"#,
        partners as _,
        order_id,
    );
    Ok(row.fetch_optional(conn).await?)
}
