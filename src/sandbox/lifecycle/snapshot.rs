//! What an order says of itself: the fields and types of Transak's published samples.
//!
//! The same order reads differently by source, and so it does here: the stream shows an empty `statusHistories`, a
//! webhook a partial one that lags behind, REST the whole of it and some fields more. A sale has no `walletAddress`, an
//! NFT order has `isNFTOrder` and `nftAssetInfo`. All people, addresses and accounts are invented (addresses from the
//! ranges kept for documentation).

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use fastrand::Rng;
use serde::Serialize;
use serde_json::{Value, json};

use super::Journey;
use super::decimal::Decimal;
use super::{Point, snapshot_rest::RestOnly};

/// One row of an order's history, as REST tells it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryRow {
    /// The status entered.
    pub status: &'static str,
    /// When.
    pub created_at: String,
    /// Transak's internal remark; in real life it names people and accounts.
    pub message: String,
    is_email_sent_to_user: bool,
    /// The event's name.
    pub partner_event_id: &'static str,
}

/// An order at one moment.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The order's id, a UUID.
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet_address: Option<String>,
    /// When it was created, ISO 8601 with milliseconds.
    pub created_at: String,
    /// Its status.
    pub status: &'static str,
    fiat_currency: &'static str,
    user_id: String,
    crypto_currency: &'static str,
    /// `BUY` or `SELL`; an NFT is a `BUY` too.
    pub is_buy_or_sell: &'static str,
    fiat_amount: Decimal,
    ip_address: String,
    amount_paid: Decimal,
    payment_option_id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet_link: Option<String>,
    quote_id: String,
    order_processing_type: &'static str,
    address_additional_data: bool,
    network: &'static str,
    conversion_price: Decimal,
    crypto_amount: Decimal,
    total_fee_in_fiat: Decimal,
    fiat_amount_in_usd: Decimal,
    country_code: &'static str,
    /// The partner's own name for the order.
    pub partner_order_id: String,
    state_code: &'static str,
    order_channel_type: &'static str,
    token_contract_address: &'static str,
    user_kyc_type: &'static str,
    is_first_order: bool,
    /// When it last changed, as far as Transak says: it may lag behind `completedAt`.
    pub updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_link: Option<String>,
    #[serde(rename = "isNFTOrder", skip_serializing_if = "Option::is_none")]
    is_nft_order: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nft_asset_info: Option<Value>,
    card_payment_data: Value,
    conversion_price_data: Value,
    partner_fee_in_local_currency: Decimal,
    status_histories: Vec<HistoryRow>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    rest_only: Option<RestOnly>,
    #[serde(skip)]
    history: Vec<HistoryRow>,
}

/// What the kinds of order differ in.
struct Terms {
    fiat: &'static str,
    crypto: &'static str,
    network: &'static str,
    payment: &'static str,
    price: Decimal,
    usd: Decimal,
    token: &'static str,
}

const fn terms(journey: Journey) -> Terms {
    match journey {
        Journey::BankBuy => Terms {
            fiat: "EUR",
            crypto: "ETH",
            network: "ethereum",
            payment: "sepa_bank_transfer",
            price: Decimal::new(6_130_127_560_164_107, 19),
            usd: Decimal::new(11_016_667, 7),
            token: "0x0000000000000000000000000000000000000000",
        },
        Journey::CardBuy | Journey::Nft => Terms {
            fiat: "USD",
            crypto: "USDC",
            network: "polygon",
            payment: "credit_debit_card",
            price: Decimal::new(9_987_012_345, 10),
            usd: Decimal::new(1, 0),
            token: "0x3c499c542cef5e3811e1192ce70d8cc03d5c3359",
        },
        Journey::Sell | Journey::SellOnHold => Terms {
            fiat: "GBP",
            crypto: "USDT",
            network: "polygon",
            payment: "gbp_bank_transfer",
            price: Decimal::new(12_871_234_567_890_123, 16),
            usd: Decimal::new(12_904, 4),
            token: "0xc2132d05d31c914a87c6611c10748aeb04b58e8f",
        },
    }
}

impl Snapshot {
    /// An order of this kind that has not begun: it has neither status nor times yet.
    pub(super) fn draw(journey: Journey, random: &mut Rng) -> Self {
        let Terms { fiat, crypto, network, payment, price, usd, token } = terms(journey);
        let sells = matches!(journey, Journey::Sell | Journey::SellOnHold);
        let nft = journey == Journey::Nft;
        let amount = Decimal::new(u128::from(random.u32(30..600)) * 50, 2);
        let fee = Decimal::new(u128::from(random.u32(100..400)), 2);
        let wallet = (!sells).then(|| format!("0xf1c7171005{}", hex(random, 30)));
        Self {
            id: uuid(random),
            wallet_link: wallet.as_ref().map(|wallet| format!("https://explorer.example/address/{wallet}")),
            wallet_address: wallet,
            created_at: String::new(),
            status: "",
            fiat_currency: fiat,
            user_id: uuid(random),
            crypto_currency: crypto,
            is_buy_or_sell: if sells { "SELL" } else { "BUY" },
            fiat_amount: amount,
            ip_address: format!("203.0.113.{}", random.u8(1..255)),
            amount_paid: Decimal::new(0, 0),
            payment_option_id: payment,
            quote_id: uuid(random),
            order_processing_type: "NORMAL",
            address_additional_data: false,
            network,
            conversion_price: price,
            crypto_amount: amount.minus(fee).times(price, 8),
            total_fee_in_fiat: fee,
            fiat_amount_in_usd: amount.times(usd, 2),
            country_code: "XX",
            partner_order_id: format!("sandbox-{}", hex(random, 12)),
            state_code: "Nowhere",
            order_channel_type: "WIDGET",
            token_contract_address: token,
            user_kyc_type: "STANDARD",
            is_first_order: random.bool(),
            updated_at: String::new(),
            completed_at: None,
            transaction_hash: None,
            transaction_link: None,
            is_nft_order: nft.then_some(true),
            nft_asset_info: nft.then(
                || json!({ "collection": "Fictitious Cats", "tokenId": [random.u32(1..9999).to_string()] }),
            ),
            card_payment_data: json!({}),
            conversion_price_data: json!({}),
            partner_fee_in_local_currency: fee.times(Decimal::new(25, 2), 2),
            status_histories: Vec::new(),
            rest_only: None,
            history: Vec::new(),
        }
    }

    /// The order enters the status of `point`.
    pub(super) fn enter(&mut self, point: &Point, at: DateTime<Utc>) {
        if self.created_at.is_empty() {
            self.created_at = iso(at);
        }
        self.status = point.status;
        self.updated_at = iso(at);
        match point.status {
            "PROCESSING" | "PENDING_DELIVERY_FROM_TRANSAK" => self.amount_paid = self.fiat_amount,
            "COMPLETED" => self.complete(at),
            _ => {}
        }
        self.history.push(HistoryRow {
            status: point.status,
            created_at: iso(at),
            message: format!("Fictitious Person (nobody@example.com): now {}", point.status),
            is_email_sent_to_user: matches!(point.event, "ORDER_CREATED" | "ORDER_COMPLETED"),
            partner_event_id: point.event,
        });
    }

    /// `updatedAt` lags behind `completedAt`, as in Transak's own sample.
    fn complete(&mut self, at: DateTime<Utc>) {
        self.updated_at = iso(at - Duration::milliseconds(1));
        self.completed_at = Some(iso(at));
        if let Some(wallet) = &self.wallet_address {
            let hash = format!("0x{}{}", self.id.replace('-', ""), wallet.trim_start_matches("0x"));
            self.transaction_link = Some(format!("https://explorer.example/tx/{hash}"));
            self.transaction_hash = Some(hash);
        }
    }

    /// What became of the order so far, oldest first.
    pub fn history(&self) -> &[HistoryRow] {
        &self.history
    }

    /// The amount of money, as it is written in the order.
    pub const fn fiat_amount(&self) -> Decimal {
        self.fiat_amount
    }

    /// As the stream tells it: without history.
    pub fn to_json(&self) -> String {
        text(self)
    }

    /// As a webhook tells it: of the history only the row before the current one.
    pub fn to_webhook_json(&self) -> String {
        let before = self.history.iter().rev().skip(1).take(1).cloned().collect();
        text(&Self { status_histories: before, ..self.clone() })
    }

    /// As Get Order and Get Orders tell it: the whole history, and what only REST says.
    pub fn to_rest_json(&self, api_key: &str) -> String {
        let rest_only = Some(RestOnly::of(self, api_key));
        text(&Self { status_histories: self.history.clone(), rest_only, ..self.clone() })
    }
}

fn text(order: &Snapshot) -> String {
    serde_json::to_string(order).expect("an order is made of text and numbers only")
}

/// ISO 8601 with milliseconds and `Z`, the form of nearly all of Transak's times.
pub(in crate::sandbox) fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn hex(random: &mut Rng, digits: usize) -> String {
    (0..digits).map(|_| random.digit(16)).collect()
}

fn uuid(random: &mut Rng) -> String {
    uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid().to_string()
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
