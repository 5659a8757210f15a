//! What one event costs the CPU before it is kept and when it is told: `cargo bench --bench micro`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot set up fails, and says where")]

use std::hint::black_box;

use bytes::Bytes;
use chrono::Utc;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use secrecy::SecretString;
use transak_relay::intake::decode::{Decoded, decode};
use transak_relay::intake::{Form, Heard};
use transak_relay::model::event::Source;
use transak_relay::model::hops::Hops;
use transak_relay::model::id::{EventId, PartnerId};
use transak_relay::model::signing::{EndpointSecret, Keys, Message, Signer, standard_body, transak_body};
use transak_relay::pusher::frame::Frame;
use transak_relay::sandbox::signing;
use transak_relay::transak::jws::VerifyingKey;

/// The order of docs.transak.com/features/websockets, shortened by its empty fields.
const ORDER: &str = r#"{"id":"aa39d8e1-0000-4000-8000-00000000ce7f","walletAddress":"0xD902BEFeE7C1F53a8D7Ed0bF5D5F1a9A1d9c4A11","createdAt":"2025-04-04T13:11:47.260Z","status":"AWAITING_PAYMENT_FROM_USER","fiatCurrency":"EUR","userId":"243a8ce2-b19a-4a3c-8f4b-0a51c9d1f3aa","cryptoCurrency":"ETH","isBuyOrSell":"BUY","fiatAmount":30.25,"amountPaid":0,"paymentOptionId":"sepa_bank_transfer","walletLink":"https://sepolia.etherscan.io/address/0xD902BEFeE7C1F53a8D7Ed0bF5D5F1a9A1d9c4A11","quoteId":"9291a8bc-04e8-4c57-9a3b-52f2c9f9d0aa","orderProcessingType":"NORMAL","addressAdditionalData":false,"network":"ethereum","conversionPrice":0.0006130127560164107,"cryptoAmount":0.01759347,"totalFeeInFiat":1.3,"fiatAmountInUsd":33.05,"countryCode":"IN","partnerOrderId":"partner-order-id","stateCode":"Karnataka","orderChannelType":"WIDGET","userKycType":"STANDARD","updatedAt":"2025-04-04T13:11:48.374Z","cardPaymentData":{},"partnerFeeInLocalCurrency":0.30,"statusHistories":[]}"#;

fn token() -> SecretString {
    signing::access_token("22222222-0000-4000-8000-000000000000", 1_750_000_000, 604_800).unwrap()
}

/// A frame of the stream as it comes from the socket, until it is an event that can be kept.
fn hearing(criterion: &mut Criterion) {
    let token = token();
    let jwt = signing::sign(&token, ORDER).unwrap();
    let frame =
        serde_json::json!({ "event": "ORDER_CREATED", "channel": "key", "data": format!("\"{jwt}\"") });
    let (frame, keys, partner) = (frame.to_string(), [VerifyingKey::new(&token)], PartnerId::new());
    let mut group = criterion.benchmark_group("hearing");
    group.throughput(Throughput::Elements(1));
    group.bench_function("frame to verified event", |bencher| {
        bencher.iter(|| {
            let Ok(Frame::Event { event, data, .. }) = Frame::parse(black_box(&frame)) else {
                panic!("no event")
            };
            let heard = Heard {
                partner_id: Some(partner),
                source: Source::Stream,
                form: Form::Signed,
                channel: None,
                event: Some(event.into_owned()),
                data: Bytes::copy_from_slice(data.as_str().as_bytes()),
                at: Utc::now(),
                hops: Hops::default(),
                trace: None,
            };
            let decoded = decode(&heard, &keys);
            assert!(matches!(decoded, Decoded::Event(_)));
            decoded
        });
    });
    group.finish();
}

/// What is made of an event for each endpoint.
fn telling(criterion: &mut Criterion) {
    let signer =
        Signer { v1: Some(Keys { current: EndpointSecret::generate(), retired: Vec::new() }), v1a: None };
    let (id, token, at) = (EventId::new(), token(), Utc::now());
    let body = standard_body("ORDER_CREATED", at, ORDER.as_bytes());
    let mut group = criterion.benchmark_group("telling");
    group.throughput(Throughput::Elements(1));
    group.bench_function("body of format standard", |bencher| {
        bencher.iter(|| standard_body("ORDER_CREATED", at, black_box(ORDER.as_bytes())));
    });
    group.bench_function("headers of Standard Webhooks", |bencher| {
        bencher.iter(|| signer.headers(&Message { id, at, body: black_box(&body) }));
    });
    group.bench_function("body of format transak", |bencher| {
        bencher.iter(|| transak_body(&token, "ORDER_CREATED", at, black_box(ORDER.as_bytes())));
    });
    group.finish();
}

criterion_group!(benches, hearing, telling);
criterion_main!(benches);
