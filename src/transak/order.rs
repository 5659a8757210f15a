//! Reading an order object: the few fields that lists and filters need, tolerant of every type drift seen.
//!
//! Only the id and the status must be there. A field of an unexpected type is left out of the lists; the order itself
//! is always kept whole, byte for byte.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::claims::{Unreadable, parse_time, text, time};
use crate::model::amount::Amount;
use crate::model::order::{OrderId, Product, Snapshot};
use crate::model::status::Status;

/// Longer texts are no keys to look an order up by, and an index would refuse them.
const LONGEST_KEY: usize = 500;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "_id")]
    underscore_id: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    partner_order_id: Option<&'a RawValue>,
    #[serde(borrow)]
    is_buy_or_sell: Option<&'a RawValue>,
    #[serde(borrow, rename = "isNFTOrder")]
    is_nft_order: Option<&'a RawValue>,
    #[serde(borrow)]
    wallet_address: Option<&'a RawValue>,
    #[serde(borrow)]
    fiat_currency: Option<&'a RawValue>,
    #[serde(borrow)]
    fiat_amount: Option<&'a RawValue>,
    #[serde(borrow)]
    crypto_currency: Option<&'a RawValue>,
    // The spelling of older payloads.
    #[serde(borrow, rename = "cryptocurrency")]
    crypto_currency_old: Option<&'a RawValue>,
    #[serde(borrow)]
    crypto_amount: Option<&'a RawValue>,
    #[serde(borrow)]
    network: Option<&'a RawValue>,
    #[serde(borrow)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    updated_at: Option<&'a RawValue>,
    #[serde(borrow)]
    completed_at: Option<&'a RawValue>,
}

/// Reads an order object as Transak sends it on any of its three ways.
pub fn read(order: &RawValue) -> Result<Snapshot, Unreadable> {
    let fields: Fields<'_> = serde_json::from_str(order.get()).map_err(|_| Unreadable::NotAnObject)?;
    let id = text(fields.id).or_else(|| text(fields.underscore_id));
    let order_id = id.as_deref().and_then(OrderId::parse).ok_or(Unreadable::NoOrderId)?;
    let status = text(fields.status).as_deref().and_then(Status::parse).ok_or(Unreadable::NoStatus)?;
    let updated_at_text = text(fields.updated_at);
    Ok(Snapshot {
        order_id,
        status,
        partner_order_id: key(fields.partner_order_id),
        product: product(&fields),
        wallet_address: key(fields.wallet_address),
        fiat_currency: key(fields.fiat_currency),
        fiat_amount: amount(fields.fiat_amount),
        crypto_currency: key(fields.crypto_currency.or(fields.crypto_currency_old)),
        crypto_amount: amount(fields.crypto_amount),
        network: key(fields.network),
        created_at: time(fields.created_at),
        updated_at: updated_at_text.as_deref().and_then(parse_time),
        updated_at_text,
        completed_at: time(fields.completed_at),
        raw: Bytes::copy_from_slice(order.get().as_bytes()),
    })
}

fn product(fields: &Fields<'_>) -> Option<Product> {
    if fields.is_nft_order.is_some_and(|value| value.get() == "true") {
        return Some(Product::Nft);
    }
    match text(fields.is_buy_or_sell)?.to_ascii_uppercase().as_str() {
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
        assert_eq!(snapshot.product, Some(Product::Sell));
        assert_eq!(snapshot.fiat_amount.unwrap().as_json(), "0.10");
        assert_eq!(snapshot.crypto_amount.unwrap().as_json(), "\"1.03\"");
        assert_eq!(snapshot.raw, text.as_bytes());
    }

    #[test]
    fn drifting_types_cost_a_field_never_the_order() {
        let text = r#"{"_id":"o1","status":"X","walletAddress":false,"fiatAmount":{},"createdAt":5,"partnerOrderId":"a\u0000b"}"#;
        let snapshot = order(text).unwrap();
        assert_eq!(snapshot.wallet_address, None);
        assert_eq!(snapshot.fiat_amount, None);
        assert_eq!(snapshot.partner_order_id, None);
    }

    #[test]
    fn an_order_that_cannot_be_keyed_is_refused() {
        let long = format!(r#"{{"id":"{}","status":"X"}}"#, "x".repeat(10_000));
        for text in [
            r#"{"status":"X"}"#,
            r#"{"id":7,"status":"X"}"#,
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
