//! An order as one message shows it.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::amount::Amount;
use super::status::Status;

/// Transak's own id of an order: 1 to 200 bytes, no NUL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderId(Arc<str>);

impl OrderId {
    /// `None` for what a table cannot key by.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= 200 && !text.contains('\0');
        fits.then(|| Self(Arc::from(text)))
    }

    /// The id as it came.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What two spellings of one wallet have in common: an address of Ethereum and its like is hexadecimal, and its capital
/// letters are a checksum. Every other address is only itself: in base58, capital letters are other letters.
///
/// The index `order_by_wallet_key` is made of the same rule.
pub fn wallet_key(address: &str) -> String {
    let digits = address.strip_prefix("0x").or_else(|| address.strip_prefix("0X"));
    let is_hex =
        digits.is_some_and(|digits| digits.len() == 40 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if is_hex { address.to_ascii_lowercase() } else { address.to_owned() }
}

/// What is bought or sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "UPPERCASE")]
#[sqlx(type_name = "product", rename_all = "UPPERCASE")]
pub enum Product {
    /// On-ramp: fiat to crypto.
    Buy,
    /// Off-ramp: crypto to fiat.
    Sell,
    /// NFT checkout.
    Nft,
}

/// What lists and filters show of an order besides its status; `None` is what was not told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// The partner's own reference.
    pub partner_order_id: Option<String>,
    /// Buy, sell or NFT.
    pub product: Option<Product>,
    /// The user's wallet.
    pub wallet_address: Option<String>,
    /// ISO 4217 code.
    pub fiat_currency: Option<String>,
    /// In `fiat_currency`.
    pub fiat_amount: Option<Amount>,
    /// Ticker.
    pub crypto_currency: Option<String>,
    /// In `crypto_currency`.
    pub crypto_amount: Option<Amount>,
    /// Blockchain.
    pub network: Option<String>,
}

impl Details {
    /// These, and of what they do not tell what was told before.
    #[must_use]
    pub fn or(&self, before: &Self) -> Self {
        fn first<T: Clone>(one: Option<&T>, other: Option<&T>) -> Option<T> {
            one.or(other).cloned()
        }
        Self {
            partner_order_id: first(self.partner_order_id.as_ref(), before.partner_order_id.as_ref()),
            product: self.product.or(before.product),
            wallet_address: first(self.wallet_address.as_ref(), before.wallet_address.as_ref()),
            fiat_currency: first(self.fiat_currency.as_ref(), before.fiat_currency.as_ref()),
            fiat_amount: first(self.fiat_amount.as_ref(), before.fiat_amount.as_ref()),
            crypto_currency: first(self.crypto_currency.as_ref(), before.crypto_currency.as_ref()),
            crypto_amount: first(self.crypto_amount.as_ref(), before.crypto_amount.as_ref()),
            network: first(self.network.as_ref(), before.network.as_ref()),
        }
    }
}

/// An order as one message shows it. The whole of it is `raw`.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Transak's id.
    pub order_id: OrderId,
    /// Where the order stands.
    pub status: Status,
    /// What else is shown of it.
    pub details: Details,
    /// When the order was made.
    pub created_at: Option<DateTime<Utc>>,
    /// When the order last changed: part of the event's identity.
    pub updated_at: Option<DateTime<Utc>>,
    /// When the order was completed; may be later than `updated_at`.
    pub completed_at: Option<DateTime<Utc>>,
    /// The order object as it came, byte for byte.
    pub raw: Bytes,
}

impl Snapshot {
    /// When the order reached this status, by Transak's clock; `None` if it does not say.
    ///
    /// Transak's own samples show `updatedAt` older than `completedAt` in a completed order, so the later one counts.
    pub fn reached_at(&self) -> Option<DateTime<Utc>> {
        let completed = self.completed_at.filter(|_| self.status.as_str() == "COMPLETED");
        self.updated_at.max(completed)
    }
}
