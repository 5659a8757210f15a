//! Events: one observed change of an order, and what makes two messages the same event.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::canonical;
use super::hops::Hops;
use super::id::{EventId, PartnerId};
use super::order::Snapshot;
use super::trace::TraceContext;

/// Where a message was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "event_source", rename_all = "lowercase")]
pub enum Source {
    /// Transak's Pusher stream.
    Stream,
    /// Transak's webhook.
    Webhook,
    /// Transak's REST API, asked by the relay.
    Reconcile,
}

impl Source {
    /// As it is written in the API, in logs and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Webhook => "webhook",
            Self::Reconcile => "reconcile",
        }
    }
}

/// Tells two messages of the same event from two events: 16 bytes of a SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(pub [u8; 16]);

impl Identity {
    /// The identity of an order event: `(orderId, status, updatedAt)`, the last as an instant, however it is written;
    /// where it is absent or no time, a hash of the payload stands in. The event name is no part of it: Transak's
    /// documents disagree on the name for `CANCELLED`.
    pub fn of_order(snapshot: &Snapshot) -> Self {
        let (id, status) = (snapshot.order_id.as_str().as_bytes(), snapshot.status.as_str().as_bytes());
        match snapshot.updated_at {
            Some(at) => hash(&[b"order", id, status, b"at", at.timestamp_micros().to_string().as_bytes()]),
            None => hash(&[b"order", id, status, b"payload", &canonical_bytes(&snapshot.raw)]),
        }
    }

    /// The identity of an event without an order: its name, its payload or whatever makes it one of a kind, and when
    /// Transak triggered it, where that is said: a user may be rejected twice in the same words.
    pub fn of_other(name: &str, payload: &[u8], triggered_at: Option<DateTime<Utc>>) -> Self {
        let told = hash(&[b"other", name.as_bytes(), &canonical_bytes(payload)]);
        match triggered_at {
            Some(at) => hash(&[b"other at", &told.0, at.timestamp_micros().to_string().as_bytes()]),
            None => told,
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn canonical_bytes(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    match serde_json::from_slice::<&RawValue>(raw) {
        Ok(value) => canonical::write(value, &mut out),
        Err(_) => out.extend_from_slice(raw),
    }
    out
}

fn hash(parts: &[&[u8]]) -> Identity {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut identity = [0; 16];
    identity.copy_from_slice(&context.finish().as_ref()[..16]);
    Identity(identity)
}

/// An event that was heard and read, ready to be kept.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Whose event it is.
    pub partner_id: PartnerId,
    /// The id it gets if it is new.
    pub event_id: EventId,
    /// The name that came, or the one Transak's tables give the status.
    pub event: String,
    /// The order, for events that belong to one.
    pub order: Option<Snapshot>,
    /// What is kept and re-sent, byte for byte: the order, or the event's own data.
    pub payload: Bytes,
    /// What makes it the same event.
    pub identity: Identity,
    /// Where it was heard.
    pub source: Source,
    /// Its source could be verified.
    pub verified: bool,
    /// Known only from a row of the order's history, not from a message of its own.
    pub from_history: bool,
    /// And the order was in that status more than once: it is one of those times, and no other.
    pub is_visit: bool,
    /// By Transak's clock where that is known, else when it was received.
    pub occurred_at: DateTime<Utc>,
    /// When the relay heard it.
    pub received_at: DateTime<Utc>,
    /// How many relays it had come through by then.
    pub hops: Hops,
    /// Where its trace stands, if it has one.
    pub trace: Option<TraceContext>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_time_is_told_apart_by_its_data_however_it_is_written() {
        let told = |payload: &str| Identity::of_other("KYC_REJECTED", payload.as_bytes(), None);
        assert_eq!(told(r#"{"a":1,"b":[2]}"#), told(r#" { "b" : [2], "a" : 1 } "#));
        assert_ne!(told(r#"{"a":1}"#), told(r#"{"a":2}"#));
        assert_ne!(told("no JSON"), told("other text"));
        assert_ne!(Identity::of_other("KYC_SUBMITTED", b"{}", None), told("{}"));
        assert_ne!(Identity::of_other("KYC_REJECTED", b"{}", Some(DateTime::UNIX_EPOCH)), told("{}"));
    }

    #[test]
    fn an_identity_is_shown_in_hexadecimal() {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&[0xab, 0x01]);
        assert_eq!(format!("{:?}", Identity(bytes)), format!("ab01{}", "0".repeat(28)));
    }

    #[test]
    fn a_source_has_one_word() {
        let words = [Source::Stream, Source::Webhook, Source::Reconcile].map(Source::as_str);
        assert_eq!(words, ["stream", "webhook", "reconcile"]);
    }
}
