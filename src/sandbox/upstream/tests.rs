//! The composition, heard over its three ways at once.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::sandbox::lifecycle::{Ending, Journey};
use crate::sandbox::receiver::Receiver;

const KEY: &str = "c4f1a5de-0000-4000-8000-5a6b7c8d9e0f";

fn settings() -> UpstreamSettings {
    UpstreamSettings::local(KEY, "token".into())
}

/// Subscribes to the channels and hands over their events.
async fn listen(upstream: &Upstream, channels: &[&str]) -> impl StreamExt<Item = Value> + Unpin + use<> {
    let url = format!("{}/app/{APP_KEY}?protocol=7", upstream.pusher().url());
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    for channel in channels {
        let frame = json!({ "event": "pusher:subscribe", "data": { "channel": channel } });
        socket.send(Message::text(frame.to_string())).await.unwrap();
    }
    let frames =
        socket.map(|frame| serde_json::from_str::<Value>(frame.unwrap().to_text().unwrap()).unwrap());
    frames.skip(1 + channels.len())
}

#[tokio::test]
async fn a_step_is_heard_on_all_channels_of_the_order_and_found_by_rest() {
    let upstream = Upstream::start_idle(settings()).await.unwrap();
    let mut life = Lifecycle::new(Plan::new(Journey::CardBuy, Ending::Completed), &mut fastrand::Rng::new());
    let by_reference = format!("{KEY}_{}", life.partner_order_id());
    let id = life.order_id().to_owned();
    let mut events = listen(&upstream, &[KEY, &id, &by_reference]).await;
    upstream.pusher().subscribed(&by_reference, 1).await;
    let (step, heard) = upstream.step(&mut life).await.unwrap().unwrap();
    assert_eq!((step.event, heard), ("ORDER_CREATED", 1));
    let private = events.next().await.unwrap();
    assert_eq!((&private["channel"], &private["event"]), (&json!(KEY), &json!("ORDER_CREATED")));
    assert_eq!(private["data"], signing::sign(&"token".into(), &step.order.to_json()).unwrap());
    for channel in [&id, &by_reference] {
        let public = events.next().await.unwrap();
        assert_eq!((&public["channel"], &public["data"]), (&json!(channel), &json!(step.order.to_json())));
    }
    assert!(upstream.book().order(&id).unwrap().contains("AWAITING_PAYMENT_FROM_USER"));
}

#[tokio::test]
async fn a_refund_is_known_to_rest_alone() {
    let upstream = Upstream::start_idle(settings()).await.unwrap();
    let _events = listen(&upstream, &[KEY]).await;
    upstream.pusher().subscribed(KEY, 1).await;
    let mut life = Lifecycle::new(Plan::new(Journey::BankBuy, Ending::Refunded), &mut fastrand::Rng::new());
    let mut heard = Vec::new();
    while let Some((step, listeners)) = upstream.step(&mut life).await.unwrap() {
        heard.push((step.status, listeners));
    }
    assert_eq!(heard[heard.len() - 2..], [("FAILED", 1), ("REFUNDED", 0)]);
    assert_eq!(upstream.book().webhooks(Some(life.order_id()), Some("ORDER_REFUNDED")).len(), 1);
}

#[tokio::test]
async fn webhooks_are_signed_like_transaks() {
    let receiver = Receiver::start(([127, 0, 0, 1], 0).into(), std::io::sink()).await.unwrap();
    receiver.trust_access_token("token".into());
    let webhook_url = Some(receiver.url().parse().unwrap());
    let upstream = Upstream::start_idle(UpstreamSettings { webhook_url, ..settings() }).await.unwrap();
    let mut life = Lifecycle::new(Plan::new(Journey::Sell, Ending::Completed), &mut fastrand::Rng::new());
    upstream.step(&mut life).await.unwrap();
    let arrival = receiver.arrivals().pop().unwrap();
    assert!(arrival.verified);
    assert_eq!((arrival.event.as_str(), arrival.product), ("ORDER_CREATED", "SELL"));
}

#[tokio::test]
async fn orders_never_stop_coming_and_all_products_complete() {
    let pace = Pace { new_order: Duration::from_millis(1), hurry: 100_000 };
    let upstream = Upstream::start(UpstreamSettings { pace, ..settings() }).await.unwrap();
    let mut events = listen(&upstream, &[KEY]).await;
    let mut wanted = vec!["NFT", "BUY", "SELL"];
    while !wanted.is_empty() {
        let event = events.next().await.unwrap();
        let token = event["data"].as_str().unwrap();
        let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(token).unwrap().claims;
        let nft = claims.get("isNFTOrder").is_some();
        let product = if nft { "NFT" } else { claims["isBuyOrSell"].as_str().unwrap() };
        if claims["status"] == "COMPLETED" {
            wanted.retain(|one| *one != product);
        }
    }
    upstream.stop().await;
}

#[tokio::test]
async fn stopping_frees_the_addresses() {
    let pace = Pace { new_order: Duration::from_millis(1), hurry: 1 };
    let upstream = Upstream::start(UpstreamSettings { pace, ..settings() }).await.unwrap();
    let mut events = listen(&upstream, &[KEY]).await;
    events.next().await.unwrap();
    let (pusher_listen, rest_listen) = (upstream.pusher().addr(), upstream.rest().addr());
    upstream.stop().await;
    let again = UpstreamSettings { pusher_listen, rest_listen, ..settings() };
    Upstream::start(again).await.unwrap();
}
