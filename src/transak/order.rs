//! Reading an order object: the few fields that lists and filters need, tolerant of every type drift seen.
//!
//! Only the id and the status must be there. A field of an unexpected type is left out of the lists; the order itself
//! is always kept whole, byte for byte.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::claims::Unreadable;
use super::json::{id, pick, text};
use super::time::time;
use crate::model::amount::Amount;
use crate::model::order::{Details, OrderId, Product, Snapshot};
use crate::model::status::Status;

/// Longer texts are no keys to look an order up by, and an index would refuse them.
const LONGEST_KEY: usize = 500;

/// Reads an order object as Transak sends it on any of its three ways.
pub fn read(order: &RawValue) -> Result<Snapshot, Unreadable> {
    let names = ["id", "_id", "status", "createdAt", "updatedAt", "completedAt"];
    let [plain, underscore, status, created_at, updated_at, completed_at] =
        pick(order, &names).ok_or(Unreadable::NotAnObject)?;
    let id = id(plain).or_else(|| id(underscore));
    Ok(Snapshot {
        order_id: id.as_deref().and_then(OrderId::parse).ok_or(Unreadable::NoOrderId)?,
        status: text(status).as_deref().and_then(Status::parse).ok_or(Unreadable::NoStatus)?,
        details: details(order).ok_or(Unreadable::NotAnObject)?,
        created_at: time(created_at),
        updated_at: time(updated_at),
        completed_at: time(completed_at),
        raw: Bytes::copy_from_slice(order.get().as_bytes()),
    })
}

fn details(order: &RawValue) -> Option<Details> {
    let names = [
        "partnerOrderId",
        "isBuyOrSell",
        "isNFTOrder",
        "walletAddress",
        "fiatCurrency",
        "fiatAmount",
        "cryptoCurrency",
        // The spelling of older payloads.
        "cryptocurrency",
        "cryptoAmount",
        "network",
    ];
    let [partner_order_id, side, nft, wallet, fiat, fiat_amount, crypto, crypto_old, crypto_amount, network] =
        pick(order, &names)?;
    Some(Details {
        partner_order_id: key(partner_order_id),
        product: product(side, nft),
        wallet_address: key(wallet),
        fiat_currency: key(fiat),
        fiat_amount: amount(fiat_amount),
        crypto_currency: key(crypto.or(crypto_old)),
        crypto_amount: amount(crypto_amount),
        network: key(network),
    })
}

fn product(side: Option<&RawValue>, is_nft: Option<&RawValue>) -> Option<Product> {
    if is_nft.is_some_and(|value| value.get() == "true") {
        return Some(Product::Nft);
    }
    match text(side)?.to_ascii_uppercase().as_str() {
        "BUY" => Some(Product::Buy),
        "SELL" => Some(Product::Sell),
        "NFT" => Some(Product::Nft),
        _ => None,
    }
}

fn key(value: Option<&RawValue>) -> Option<String> {
    text(value).filter(|text| text.len() <= LONGEST_KEY)
}

fn amount(value: Option<&RawValue>) -> Option<Amount> {
    Amount::from_json(value?.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(text: &str) -> Result<Snapshot, Unreadable> {
        read(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn the_fields_are_read_and_the_order_kept_as_it_came() {
        let text = r#"{"id":"o1", "status":"PROCESSING","isBuyOrSell":"SELL","fiatAmount":0.10,"cryptoAmount":"1.03",
            "partnerOrderId":"p","unknown":{"z":[1.50]},"updatedAt":"2025-04-04T13:11:48.374Z"}"#;
        let snapshot = order(text).unwrap();
        assert_eq!(snapshot.order_id.as_str(), "o1");
        assert_eq!(snapshot.details.product, Some(Product::Sell));
        assert_eq!(snapshot.details.fiat_amount.unwrap().as_json(), "0.10");
        assert_eq!(snapshot.details.crypto_amount.unwrap().as_json(), "\"1.03\"");
        assert_eq!(snapshot.raw, text.as_bytes());
    }

    #[test]
    fn drifting_types_cost_a_field_never_the_order() {
        let text = r#"{"_id":"o1","status":"X","walletAddress":false,"fiatAmount":{},"createdAt":5,"partnerOrderId":"a\u0000b"}"#;
        let snapshot = order(text).unwrap();
        assert_eq!(snapshot.details.wallet_address, None);
        assert_eq!(snapshot.details.fiat_amount, None);
        assert_eq!(snapshot.details.partner_order_id, None);
    }

    #[test]
    fn an_order_that_cannot_be_keyed_is_refused() {
        let long = format!(r#"{{"id":"{}","status":"X"}}"#, "x".repeat(10_000));
        for text in [
            r#"{"status":"X"}"#,
            r#"{"id":7.5,"status":"X"}"#,
            r#"{"id":"","status":"X"}"#,
            r#"{"id":"a\u0000","status":"X"}"#,
            &long,
        ] {
            assert_eq!(order(text).err(), Some(Unreadable::NoOrderId), "{text:.40}");
        }
        assert_eq!(order(r#"{"id":"o"}"#).err(), Some(Unreadable::NoStatus));
        assert_eq!(order("[1]").err(), Some(Unreadable::NotAnObject));
    }
}
