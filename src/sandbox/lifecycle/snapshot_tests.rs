//! Every order of every plan is held against the published sample.

use chrono::DateTime;
use serde_json::Value;

use super::super::{Ending, Lifecycle, Plan, Step};
use super::*;

/// The keys of the sample on `docs.transak.com/features/websockets`.
const STREAM_KEYS: &str = "id walletAddress createdAt status fiatCurrency userId cryptoCurrency isBuyOrSell fiatAmount \
    ipAddress amountPaid paymentOptionId walletLink quoteId orderProcessingType addressAdditionalData network \
    conversionPrice cryptoAmount totalFeeInFiat fiatAmountInUsd countryCode partnerOrderId stateCode orderChannelType \
    tokenContractAddress userKycType updatedAt cardPaymentData conversionPriceData partnerFeeInLocalCurrency \
    statusHistories";
const NUMBERS: &str = "fiatAmount amountPaid conversionPrice cryptoAmount totalFeeInFiat fiatAmountInUsd \
    partnerFeeInLocalCurrency";

fn play(journey: Journey, ending: Ending) -> Vec<Step> {
    let life = Lifecycle::new(Plan::new(journey, ending), &mut Rng::with_seed(1));
    life.play_from(DateTime::from_timestamp_millis(1_700_000_000_123).unwrap())
}

fn last(journey: Journey) -> (Step, Value) {
    let step = play(journey, Ending::Completed).pop().unwrap();
    let order = serde_json::from_str(&step.order.to_json()).unwrap();
    (step, order)
}

#[test]
fn the_stream_shows_every_field_of_the_sample_with_its_type() {
    for plan in Plan::ROUND {
        for step in play(plan.journey, plan.ending) {
            let order: Value = serde_json::from_str(&step.order.to_json()).unwrap();
            let sells = order["isBuyOrSell"] == "SELL";
            for key in STREAM_KEYS.split_whitespace() {
                let absent = sells && matches!(key, "walletAddress" | "walletLink");
                assert_eq!(order.get(key).is_none(), absent, "{key} of {plan:?}");
            }
            assert!(NUMBERS.split_whitespace().all(|key| order[key].is_number()), "{order}");
            assert_eq!(order["statusHistories"], serde_json::json!([]));
            assert_eq!(order["status"], step.status);
        }
    }
}

#[test]
fn an_amount_is_the_same_text_everywhere() {
    let (step, _) = last(Journey::BankBuy);
    let amount = "\"conversionPrice\":0.0006130127560164107,";
    for text in [step.order.to_json(), step.order.to_webhook_json(), step.order.to_rest_json("key")] {
        assert!(text.contains(amount), "{text}");
    }
}

#[test]
fn a_sale_has_no_wallet_and_no_transaction_hash() {
    let (step, order) = last(Journey::Sell);
    assert!(order.get("walletAddress").is_none() && order.get("transactionHash").is_none());
    let rest: Value = serde_json::from_str(&step.order.to_rest_json("key")).unwrap();
    assert!(rest["payoutFiatData"].is_object() && rest["payoutFiatTransationCreatedAt"].is_string());
}

#[test]
fn an_nft_order_is_a_purchase_that_names_the_asset() {
    let (_, order) = last(Journey::Nft);
    assert_eq!((&order["isNFTOrder"], &order["isBuyOrSell"]), (&Value::Bool(true), &Value::from("BUY")));
    assert!(order["nftAssetInfo"]["tokenId"][0].is_string());
    assert!(last(Journey::CardBuy).1.get("isNFTOrder").is_none());
}

#[test]
fn rest_tells_the_whole_history_and_a_webhook_lags_behind() {
    let step = play(Journey::CardBuy, Ending::Completed).pop().unwrap();
    let rest: Value = serde_json::from_str(&step.order.to_rest_json("key")).unwrap();
    let rows: Vec<_> =
        rest["statusHistories"].as_array().unwrap().iter().map(|row| row["status"].clone()).collect();
    assert_eq!(
        rows,
        ["AWAITING_PAYMENT_FROM_USER", "PROCESSING", "PENDING_DELIVERY_FROM_TRANSAK", "COMPLETED"]
    );
    assert_eq!((&rest["_id"], &rest["partnerApiKey"]), (&rest["id"], &Value::from("key")));
    assert!(rest["partnerFeeInUsd"].is_string());
    assert_eq!(rest["autoExpiresAt"], "2023-11-14T22:58:20+00:00");
    let webhook: Value = serde_json::from_str(&step.order.to_webhook_json()).unwrap();
    let rows = webhook["statusHistories"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["status"]), (1, &Value::from("PENDING_DELIVERY_FROM_TRANSAK")));
}

#[test]
fn times_have_milliseconds_and_every_step_is_a_new_update() {
    let steps = play(Journey::SellOnHold, Ending::Completed);
    let updates: Vec<_> = steps.iter().map(|step| step.order.updated_at.clone()).collect();
    assert_eq!(updates[0], "2023-11-14T22:13:20.123Z");
    assert!(updates.is_sorted() && updates.windows(2).all(|pair| pair[0] != pair[1]), "{updates:?}");
    assert!(steps.iter().all(|step| step.order.created_at == updates[0]));
}

#[test]
fn the_address_of_every_user_is_from_the_documentation_range() {
    let (_, order) = last(Journey::BankBuy);
    assert!(order["ipAddress"].as_str().unwrap().starts_with("203.0.113."));
}
