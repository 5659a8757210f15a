//! The fields of an order that only REST tells, among them the ones whose types drift in Transak's own samples: an
//! amount as text, a time with an offset, a name with a typing error.

use serde::Serialize;
use serde_json::{Value, json};

use super::Snapshot;

/// Merged into the order by REST. Bank data appears for sales only.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RestOnly {
    #[serde(rename = "_id")]
    id_again: String,
    partner_api_key: String,
    auto_expires_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_marked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_processing_at: Option<String>,
    internal_order_status: &'static str,
    status_reason: &'static str,
    partner_fee_in_usd: &'static str,
    reference_code: u32,
    app_version_name: &'static str,
    webhook_responses: [(); 0],
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    sale: Option<Sale>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sale {
    bank_id: &'static str,
    crypto_payment_data: Value,
    payout_fiat_data: Value,
    /// Spelt as Transak spells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    payout_fiat_transation_created_at: Option<String>,
    fiat_amount_paid: super::Decimal,
    #[serde(rename = "redirectURL")]
    redirect_url: &'static str,
}

impl RestOnly {
    pub(super) fn of(order: &Snapshot, api_key: &str) -> Self {
        let entered = |status: &str| {
            let row = order.history().iter().find(|row| row.status == status);
            row.map(|row| row.created_at.clone())
        };
        let sells = order.is_buy_or_sell == "SELL";
        Self {
            id_again: order.id.clone(),
            partner_api_key: api_key.to_owned(),
            auto_expires_at: expiry(&order.created_at, if sells { 60 } else { 45 }),
            payment_marked_at: entered("PAYMENT_DONE_MARKED_BY_USER"),
            payment_processing_at: entered("PROCESSING"),
            internal_order_status: "RISK_APPROVED",
            status_reason: "Made up by the sandbox.",
            partner_fee_in_usd: "1.03",
            reference_code: 424_242,
            app_version_name: "sandbox",
            webhook_responses: [],
            sale: sells.then(|| Sale {
                bank_id: "fictitious-bank",
                crypto_payment_data: json!({ "paymentAddress": "0xf1c7171005000000000000000000000000000000" }),
                payout_fiat_data: json!({ "name": "Fictitious Person", "accountNumber": "00000000", "sortCode": "00-00-00" }),
                payout_fiat_transation_created_at: entered("PENDING_DELIVERY_FROM_TRANSAK"),
                fiat_amount_paid: order.fiat_amount(),
                redirect_url: "https://partner.example/sold",
            }),
        }
    }
}

/// Written with an offset instead of `Z` and without milliseconds, as Transak writes this one field.
fn expiry(created_at: &str, minutes: i64) -> String {
    let created = chrono::DateTime::parse_from_rfc3339(created_at).unwrap_or_default();
    (created + chrono::Duration::minutes(minutes)).to_rfc3339_opts(chrono::SecondsFormat::Secs, false)
}
