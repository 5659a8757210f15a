//! One callback as it arrived, and its one line.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde_json::Value;

use super::verify::Reading;

/// No text from outside is printed longer than this, in characters.
const WIDEST: usize = 40;

/// What arrived. It holds the partner's data: print [`Arrival::line`], not this.
#[derive(Clone)]
pub struct Arrival {
    /// When.
    pub at: DateTime<Utc>,
    /// `webhook-id`: the same at every attempt. Empty if absent.
    pub message_id: String,
    /// The how manieth time this message id was seen, from 1.
    pub attempt: u32,
    /// Whether the signature was right.
    pub verified: bool,
    /// The event's name.
    pub event: String,
    /// `BUY`, `SELL` or `NFT`; empty if it is about no order.
    pub product: &'static str,
    /// The order's id.
    pub order_id: String,
    /// The order's status.
    pub status: String,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The request's body.
    pub body: Bytes,
}

impl std::fmt::Debug for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.line())
    }
}

impl Arrival {
    pub(super) fn new(
        reading: Reading,
        (message_id, attempt): (String, u32),
        (headers, body): (HeaderMap, Bytes),
    ) -> Self {
        let Reading { event, order, verified } = reading;
        let text = |key: &str| order.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let product = product(&order);
        let (order_id, status) = (text("id"), text("status"));
        Self {
            at: Utc::now(),
            message_id,
            attempt,
            verified,
            event,
            product,
            order_id,
            status,
            headers,
            body,
        }
    }

    /// Time, event, product, order, status, verdict, attempt: in columns, without personal data.
    pub fn line(&self) -> String {
        format!(
            "{}  {:<23}  {:<4}  {:<13}  {:<37}  {:<12}  {}",
            self.at.format("%H:%M:%S%.3f"),
            harmless(&self.event),
            self.product,
            shortened(&self.order_id),
            harmless(&self.status),
            if self.verified { "verified" } else { "NOT VERIFIED" },
            ordinal(self.attempt),
        )
        .trim_end()
        .to_owned()
    }
}

fn product(order: &Value) -> &'static str {
    match (order.get("isNFTOrder"), order.get("isBuyOrSell").and_then(Value::as_str)) {
        (Some(Value::Bool(true)), _) => "NFT",
        (_, Some("SELL")) => "SELL",
        (_, Some("BUY")) => "BUY",
        _ => "",
    }
}

/// The text as far as a terminal can be trusted with it.
fn harmless(text: &str) -> String {
    let shown = text.chars().take(WIDEST);
    shown.map(|c| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '?' }).collect()
}

/// The first 8 and the last 4 characters.
fn shortened(id: &str) -> String {
    let id = harmless(id);
    match (id.get(..8), id.get(id.len().saturating_sub(4)..)) {
        (Some(head), Some(tail)) if id.len() > 13 => format!("{head}…{tail}"),
        _ => id,
    }
}

fn ordinal(n: u32) -> String {
    let suffix = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{suffix} time")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arrival(event: &str, order: Value, verified: bool) -> Arrival {
        let reading = Reading { event: event.to_owned(), order, verified };
        let mut arrival = Arrival::new(reading, ("evt_1".to_owned(), 2), (HeaderMap::new(), Bytes::new()));
        arrival.at = DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        arrival
    }

    #[test]
    fn the_line_says_what_happened_and_nothing_personal() {
        let order = json!({ "id": "aa39d8e1-0000-4000-8000-00000000ce7f", "status": "COMPLETED", "isBuyOrSell": "BUY",
            "walletAddress": "0xD902", "ipAddress": "203.0.113.7" });
        let line = arrival("ORDER_COMPLETED", order, true).line();
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "22:13:20.123",
                "ORDER_COMPLETED",
                "BUY",
                "aa39d8e1…ce7f",
                "COMPLETED",
                "verified",
                "2nd",
                "time"
            ]
        );
    }

    #[test]
    fn what_is_not_verified_says_so_and_control_characters_do_not_reach_the_terminal() {
        let line = arrival("\u{1b}[2J\n", json!({ "isNFTOrder": true, "isBuyOrSell": "BUY" }), false).line();
        assert!(line.contains("NOT VERIFIED") && line.contains("??2J?") && line.contains("NFT"), "{line}");
        assert!(!line.contains('\u{1b}') && !line.contains('\n'));
    }

    #[test]
    fn ordinals_are_english() {
        let all: Vec<_> = [1, 2, 3, 4, 11, 12, 13, 21, 111, 122].into_iter().map(ordinal).collect();
        let shown =
            "1st 2nd 3rd 4th 11th 12th 13th 21st 111th 122nd".split(' ').map(|one| format!("{one} time"));
        assert_eq!(all, shown.collect::<Vec<_>>());
    }
}
