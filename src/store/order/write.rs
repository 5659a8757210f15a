//! Moving orders on. What they move to is decided in `model::standing`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::amount::Amount;
use crate::model::id::{EventId, PartnerId};
use crate::model::order::{Details, Product};
use crate::model::standing::{Newest, OrderState, Standing};
use crate::model::status::Status;
use crate::store::Result;

/// An order as it stands in the table.
#[derive(Debug, Clone)]
pub struct Current {
    /// Counts the writes: whoever keeps an event of the order writes it.
    pub revision: i32,
    pub state: OrderState,
}

/// Orders as they stand, by partner and id.
pub type Orders = HashMap<(PartnerId, String), Current>;

/// An order as it is to be written.
#[derive(Debug)]
pub struct Write<'a> {
    /// Whose order.
    pub partner_id: PartnerId,
    pub order_id: &'a str,
    /// The revision that was read; 0 if there was no row.
    pub read_revision: i32,
    /// Where it stands from now on.
    pub state: OrderState,
    /// When it is compared with Transak's own record; `None`: never.
    pub reconcile_at: Option<DateTime<Utc>>,
}

/// The columns of an order that there may not be.
#[derive(Debug)]
pub(in crate::store) struct Row {
    pub(in crate::store) partner_id: PartnerId,
    pub(in crate::store) order_id: Option<String>,
    pub(in crate::store) status: Option<String>,
    pub(in crate::store) status_at: Option<DateTime<Utc>>,
    pub(in crate::store) verified: Option<bool>,
    pub(in crate::store) partner_order_id: Option<String>,
    pub(in crate::store) product: Option<Product>,
    pub(in crate::store) wallet_address: Option<String>,
    pub(in crate::store) fiat_currency: Option<String>,
    pub(in crate::store) fiat_amount: Option<String>,
    pub(in crate::store) crypto_currency: Option<String>,
    pub(in crate::store) crypto_amount: Option<String>,
    pub(in crate::store) network: Option<String>,
    pub(in crate::store) created_at: Option<DateTime<Utc>>,
    pub(in crate::store) updated_at: Option<DateTime<Utc>>,
    pub(in crate::store) snapshot_event_id: Option<EventId>,
    pub(in crate::store) snapshot_received_at: Option<DateTime<Utc>>,
    pub(in crate::store) snapshot_at: Option<DateTime<Utc>>,
    pub(in crate::store) revision: Option<i32>,
}

impl Row {
    /// The order, if there is one.
    pub(in crate::store) fn order(self) -> Option<((PartnerId, String), Current)> {
        let standing =
            Standing { status: Status::parse(&self.status?)?, at: self.status_at?, verified: self.verified? };
        let newest = Newest {
            event_id: self.snapshot_event_id?,
            received_at: self.snapshot_received_at?,
            at: self.snapshot_at?,
            updated_at: self.updated_at?,
        };
        let details = Details {
            partner_order_id: self.partner_order_id,
            product: self.product,
            wallet_address: self.wallet_address,
            fiat_currency: self.fiat_currency,
            fiat_amount: self.fiat_amount.as_deref().and_then(Amount::from_json),
            crypto_currency: self.crypto_currency,
            crypto_amount: self.crypto_amount.as_deref().and_then(Amount::from_json),
            network: self.network,
        };
        let state = OrderState { standing, newest, details, created_at: self.created_at? };
        Some(((self.partner_id, self.order_id?), Current { revision: self.revision?, state }))
    }
}

/// Reads and locks the rows of these orders, in one order of locking for all processes.
pub async fn lock(conn: &mut PgConnection, orders: &[(PartnerId, &str)]) -> Result<Orders> {
    let rows = sqlx::query_as!(
        Row,
        r#"with given as materialized (select * from unnest($1::uuid[], $2::text[]) as given (partner_id, order_id))
           select partner_id as "partner_id: _", order_id as "order_id?", status as "status?", status_at as "status_at?",
                  verified as "verified?", partner_order_id, product as "product: _", wallet_address, fiat_currency,
                  fiat_amount, crypto_currency, crypto_amount, network, created_at as "created_at?",
                  updated_at as "updated_at?", snapshot_event_id as "snapshot_event_id?: _",
                  snapshot_received_at as "snapshot_received_at?", snapshot_at as "snapshot_at?", revision as "revision?"
           from "order" join given using (partner_id, order_id)
           order by partner_id, order_id for update of "order""#,
        &orders.iter().map(|(partner, _)| partner.uuid()).collect::<Vec<Uuid>>(),
        &orders.iter().map(|(_, order)| *order).collect::<Vec<_>>() as &[&str],
    );
    Ok(rows.fetch_all(conn).await?.into_iter().filter_map(Row::order).collect())
}
