//! The orders that are played: as large as Transak's, each with a life of four statuses.

use secrecy::SecretString;
use transak_relay::sandbox::signing;

pub(crate) const API_KEY: &str = "22222222-0000-4000-8000-000000000000";

const LIFE: [(&str, &str); 4] = [
    ("AWAITING_PAYMENT_FROM_USER", "ORDER_CREATED"),
    ("PROCESSING", "ORDER_PROCESSING"),
    ("PENDING_DELIVERY_FROM_TRANSAK", "ORDER_PROCESSING"),
    ("COMPLETED", "ORDER_COMPLETED"),
];

/// How many orders live at the same time.
const TOGETHER: usize = 1_000;

/// Before the time at which it was published, in the order itself; unknown fields are passed on.
pub(crate) const SENT_AT: &str = "\"sentAtMicros\":";

/// The id of the order that event `number` belongs to.
pub(crate) fn order_id(number: usize) -> String {
    let (group, place) = (number / (TOGETHER * LIFE.len()), number % TOGETHER);
    format!("{group:08x}-{place:04x}-4000-8000-00000000ce7f")
}

/// Event `number` and its name, as an order published at `sent_at` microseconds since 1970.
pub(crate) fn order(number: usize, sent_at: i64) -> (String, &'static str) {
    let (status, event) = LIFE[number / TOGETHER % LIFE.len()];
    let id = order_id(number);
    let second = number % 60;
    let minute = number / TOGETHER % LIFE.len();
    let order = format!(
        r#"{{"id":"{id}","walletAddress":"0xD902BEFeE7C1F53a8D7Ed0bF5D5F1a9A1d9c4A11","createdAt":"2026-04-04T13:00:00.260Z","status":"{status}","fiatCurrency":"EUR","userId":"243a8ce2-b19a-4a3c-8f4b-0a51c9d1f3aa","cryptoCurrency":"ETH","isBuyOrSell":"BUY","fiatAmount":30.25,"amountPaid":0,"paymentOptionId":"sepa_bank_transfer","walletLink":"https://sepolia.etherscan.io/address/0xD902BEFeE7C1F53a8D7Ed0bF5D5F1a9A1d9c4A11","quoteId":"9291a8bc-04e8-4c57-9a3b-52f2c9f9d0aa","orderProcessingType":"NORMAL","addressAdditionalData":false,"network":"ethereum","conversionPrice":0.0006130127560164107,"cryptoAmount":0.01759347,"totalFeeInFiat":1.3,"fiatAmountInUsd":33.05,"countryCode":"IN","partnerOrderId":"po-{id}","stateCode":"Karnataka","orderChannelType":"WIDGET","tokenContractAddress":"0x0000000000000000000000000000000000000000","userKycType":"STANDARD","updatedAt":"2026-04-04T13:{minute:02}:{second:02}.374Z","cardPaymentData":{{}},"conversionPriceData":{{}},"partnerFeeInLocalCurrency":0.30,"statusHistories":[],{SENT_AT}{sent_at}}}"#
    );
    (order, event)
}

/// The same, signed for the stream.
pub(crate) fn signed(number: usize, token: &SecretString) -> anyhow::Result<(String, &'static str)> {
    let (order, event) = order(number, chrono::Utc::now().timestamp_micros());
    Ok((signing::sign(token, &order)?, event))
}

/// The same, signed as a webhook.
pub(crate) fn webhook(number: usize, token: &SecretString) -> anyhow::Result<String> {
    let (order, event) = order(number, chrono::Utc::now().timestamp_micros());
    let claims =
        format!(r#"{{"webhookData":{order},"eventID":"{event}","createdAt":"2026-04-04T13:06:00.000Z"}}"#);
    Ok(format!(r#"{{"data":"{}"}}"#, signing::sign(token, &claims)?))
}
