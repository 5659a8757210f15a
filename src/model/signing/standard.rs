//! Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, `webhook-signature` over `id.timestamp.body`.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderName, HeaderValue};

use super::{Ed25519Key, EndpointSecret, quoted, rfc3339};
use crate::model::id::EventId;

/// What is signed: one attempt to deliver one event.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The event, the same at every attempt. An id holds no full stop, so no two messages sign alike.
    pub id: EventId,
    /// The time of the attempt.
    pub at: DateTime<Utc>,
    /// The body as it is sent.
    pub body: &'a [u8],
}

/// A key that was replaced and still signs for a while, so that the receiver can change over.
#[derive(Debug, Clone)]
pub struct Retired<K> {
    /// The old key.
    pub key: K,
    /// From this moment on it signs no more.
    pub until: DateTime<Utc>,
}

/// The keys of one kind that an endpoint's callbacks are signed with.
#[derive(Debug, Clone)]
pub struct Keys<K> {
    /// The one in force.
    pub current: K,
    /// Its predecessors, newest first.
    pub retired: Vec<Retired<K>>,
}

impl<K> Keys<K> {
    /// Those that sign at a moment, newest first.
    fn at(&self, moment: DateTime<Utc>) -> impl Iterator<Item = &K> {
        let retired = self.retired.iter().filter(move |retired| moment < retired.until);
        std::iter::once(&self.current).chain(retired.map(|retired| &retired.key))
    }
}

/// Everything an endpoint's callbacks are signed with: `v1`, `v1a`, or both.
#[derive(Debug)]
pub struct Signer {
    /// Secrets, where the endpoint asked for `v1`.
    pub v1: Option<Keys<EndpointSecret>>,
    /// Key pairs, where the endpoint asked for `v1a`.
    pub v1a: Option<Keys<Ed25519Key>>,
}

impl Signer {
    /// The three headers of Standard Webhooks. The signatures stand `v1` first and of each
    /// kind newest first, with a space between.
    pub fn headers(&self, message: &Message<'_>) -> [(HeaderName, HeaderValue); 3] {
        let (id, timestamp) = (message.id.to_string(), message.at.timestamp().to_string());
        let prefix = format!("{id}.{timestamp}.");
        [
            (HeaderName::from_static("webhook-id"), printable(&id)),
            (HeaderName::from_static("webhook-timestamp"), printable(&timestamp)),
            (HeaderName::from_static("webhook-signature"), printable(&self.signatures(&prefix, message))),
        ]
    }

    fn signatures(&self, prefix: &str, message: &Message<'_>) -> String {
        let secrets = self.v1.iter().flat_map(|keys| keys.at(message.at));
        let pairs = self.v1a.iter().flat_map(|keys| keys.at(message.at));
        let symmetric = secrets.map(|secret| v1(secret, prefix, message.body));
        let asymmetric = pairs.map(|pair| v1a(pair, prefix, message.body));
        symmetric.chain(asymmetric).collect::<Vec<_>>().join(" ")
    }
}

fn v1(secret: &EndpointSecret, prefix: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(prefix.as_bytes());
    context.update(body);
    format!("v1,{}", STANDARD.encode(context.sign()))
}

fn v1a(key: &Ed25519Key, prefix: &str, body: &[u8]) -> String {
    let message = [prefix.as_bytes(), body].concat();
    format!("v1a,{}", STANDARD.encode(key.sign(&message)))
}

/// Ids, numbers and base64 are always header values.
fn printable(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ids, numbers and base64 are printable ASCII")
}

/// `{"type":…,"timestamp":…,"data":<order>}`, the order's bytes unchanged. `raw_order` must be one JSON value.
pub fn standard_body(event_type: &str, occurred_at: DateTime<Utc>, raw_order: &[u8]) -> Bytes {
    let head = format!(r#"{{"type":{},"timestamp":"{}","data":"#, quoted(event_type), rfc3339(occurred_at));
    [head.as_bytes(), raw_order, b"}"].concat().into()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    /// The prefix, secret, body and signature of the Standard Webhooks reference libraries' own tests.
    const PREFIX: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.";
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn signature(signer: &Signer, at: DateTime<Utc>) -> String {
        let message = Message { id: EventId::new(), at, body: b"{}" };
        signer.headers(&message)[2].1.to_str().unwrap().to_owned()
    }

    #[test]
    fn v1_is_what_the_reference_libraries_compute() {
        let secret = EndpointSecret::parse(SECRET).unwrap();
        let signature = v1(&secret, PREFIX, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn v1a_is_ed25519_over_the_same_text_and_deterministic() {
        let key = Ed25519Key::parse(
            "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
        );
        let key = key.unwrap();
        let signature = v1a(&key, PREFIX, br#"{"test": 2432232314}"#);
        assert_eq!(
            signature,
            "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
        );
        let public = STANDARD.decode(key.public().strip_prefix("whpk_").unwrap()).unwrap();
        let bytes = STANDARD.decode(signature.strip_prefix("v1a,").unwrap()).unwrap();
        let message = format!("{PREFIX}{{\"test\": 2432232314}}");
        UnparsedPublicKey::new(&ED25519, public).verify(message.as_bytes(), &bytes).unwrap();
    }

    #[test]
    fn the_headers_carry_the_id_the_second_and_the_signature_of_both() {
        let signer = Signer { v1: Some(only(EndpointSecret::parse(SECRET).unwrap())), v1a: None };
        let message = Message { id: EventId::new(), at: at(1_614_265_330), body: b"\xff\x00" };
        let headers = signer.headers(&message);
        let expected =
            v1(&signer.v1.as_ref().unwrap().current, &format!("{}.1614265330.", message.id), b"\xff\x00");
        let sent = headers.each_ref().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let id = message.id.to_string();
        assert_eq!(
            sent,
            [
                ("webhook-id", id.as_str()),
                ("webhook-timestamp", "1614265330"),
                ("webhook-signature", &expected)
            ]
        );
    }

    fn only<K>(current: K) -> Keys<K> {
        Keys { current, retired: vec![] }
    }

    fn rotated<K>(current: K, key: K, until: DateTime<Utc>) -> Keys<K> {
        Keys { current, retired: vec![Retired { key, until }] }
    }

    /// The versions in a header, in their order.
    fn versions(header: &str) -> Vec<&str> {
        header.split(' ').filter_map(|one| one.split_once(',')).map(|(version, _)| version).collect()
    }

    #[test]
    fn a_retired_key_signs_until_its_second_and_never_after() {
        let until = at(1_700_000_000);
        let signer = Signer {
            v1: Some(rotated(EndpointSecret::generate(), EndpointSecret::generate(), until)),
            v1a: Some(rotated(Ed25519Key::generate(), Ed25519Key::generate(), until)),
        };
        let (both, one) = (&["v1", "v1", "v1a", "v1a"][..], &["v1", "v1a"][..]);
        for (seconds, expected) in [(-1, both), (0, one), (1, one), (86_400, one)] {
            let header = signature(&signer, until + TimeDelta::seconds(seconds));
            assert_eq!(versions(&header), expected, "{seconds}");
        }
    }

    #[test]
    fn each_version_stands_where_it_was_asked_for_and_only_there() {
        let (secret, pair) = (EndpointSecret::generate(), Ed25519Key::generate());
        let mut signer = Signer { v1: Some(only(secret)), v1a: Some(only(pair)) };
        assert_eq!(versions(&signature(&signer, at(0))), ["v1", "v1a"]);
        let secret = signer.v1.take();
        assert_eq!(versions(&signature(&signer, at(0))), ["v1a"]);
        signer = Signer { v1: secret, v1a: None };
        assert_eq!(versions(&signature(&signer, at(0))), ["v1"]);
    }

    #[test]
    fn the_body_holds_the_order_byte_for_byte() {
        let order = br#"{ "amount" : 1.10, "big":123456789012345678901234567890, "a":1e-7,"a":2 }"#;
        let body = standard_body("ORDER_COMPLETED", at(1_697_123_456), order);
        let expected = [
            br#"{"type":"ORDER_COMPLETED","timestamp":"2023-10-12T15:10:56.000Z","data":"#,
            &order[..],
            b"}",
        ];
        assert_eq!(body, expected.concat());
    }

    proptest! {
        #[test]
        fn any_event_name_leaves_the_body_json(name in "\\PC*|[\\x00-\\x1f\"\\\\]*") {
            let body = standard_body(&name, at(0), b"{}");
            let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(read["type"].as_str(), Some(name.as_str()));
        }
    }
}
