//! Which of the messages that waited on disk are about orders that were erased since they were heard.
//!
//! Guarantees: a message that can be read is forgotten by the order it is about. One that cannot be believed or read would
//! be put aside after the quarantine was searched; it is forgotten by what that search looks for.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Heard;
use super::decode::Decoded;
use crate::model::id::PartnerId;
use crate::model::mention::speaks_of_any;
use crate::store::quarantine::write::Quarantined;
use crate::store::{self, erasure};

/// What was erased since the oldest of some messages, and when it last was.
pub(super) struct Erased {
    /// By order.
    orders: HashMap<String, Vec<(PartnerId, DateTime<Utc>)>>,
}

impl Erased {
    /// Asks the tables, about no more than these messages need.
    pub(super) async fn of(
        conn: &mut PgConnection,
        messages: &[Heard],
        decoded: &[Decoded],
    ) -> store::Result<Self> {
        let pairs = || messages.iter().zip(decoded);
        let about: Vec<_> = pairs().filter_map(|(heard, decoded)| about(heard, decoded)).collect();
        let mut erased = erasure::since(conn, &about).await?;
        let aside: Vec<&Quarantined> = decoded.iter().filter_map(put_aside).collect();
        if let Some(first) = aside.iter().map(|message| message.received_at).min() {
            // A message of nobody may be about an order of anybody.
            let partners: Option<Vec<PartnerId>> = aside.iter().map(|message| message.partner_id).collect();
            erased.extend(erasure::all_since(conn, partners.as_deref(), first).await?);
        }
        let mut orders: HashMap<String, Vec<_>> = HashMap::new();
        for (partner, order, at) in erased {
            orders.entry(order).or_default().push((partner, at));
        }
        Ok(Self { orders })
    }

    /// Whether a message is to be forgotten.
    pub(super) fn has(&self, heard: &Heard, decoded: &Decoded) -> bool {
        if let Some((partner, order, at)) = about(heard, decoded) {
            return self.since(order, Some(partner), at);
        }
        put_aside(decoded).is_some_and(|message| {
            let is_erased = |order: &str| self.since(order, message.partner_id, message.received_at);
            let named = [&message.channel, &message.event].into_iter().flatten();
            !self.orders.is_empty()
                && (named.into_iter().any(|name| is_erased(name)) || speaks_of_any(&message.raw, &is_erased))
        })
    }

    /// Whether an order of this partner, or of anybody, was erased then or later.
    fn since(&self, order: &str, partner: Option<PartnerId>, at: DateTime<Utc>) -> bool {
        let erased = self.orders.get(order).map_or(&[][..], Vec::as_slice);
        erased.iter().any(|(of, when)| partner.is_none_or(|partner| partner == *of) && *when >= at)
    }
}

/// Which order a message is about, and when it was heard.
fn about<'a>(heard: &Heard, decoded: &'a Decoded) -> Option<(PartnerId, &'a str, DateTime<Utc>)> {
    match decoded {
        Decoded::Event(event) => Some((event.partner_id, event.order.as_ref()?.order_id.as_str(), heard.at)),
        _ => None,
    }
}

fn put_aside(decoded: &Decoded) -> Option<&Quarantined> {
    match decoded {
        Decoded::Unverified(message) | Decoded::Quarantine(message) => Some(message),
        _ => None,
    }
}
