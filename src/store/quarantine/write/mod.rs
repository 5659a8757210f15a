//! Putting messages aside.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::event::Source;
use crate::model::hops::Hops;
use crate::model::id::{PartnerId, QuarantineId};
use crate::model::quarantine::{Reason, Refusal, is_of_a_stranger};
use crate::store::Result;

/// A message nobody could make sense of, or believe.
#[derive(Debug, Clone)]
pub struct Quarantined {
    /// Whose it seems to be.
    pub partner_id: Option<PartnerId>,
    /// Where it was heard.
    pub source: Source,
    /// How it was to be believed: trying it again does the same.
    pub form: &'static str,
    /// The channel it came on.
    pub channel: Option<String>,
    /// The event name it came under.
    pub event: Option<String>,
    /// Why it is here.
    pub refusal: Refusal,
    /// How often the partner had been given an access token when it was tried with all of them.
    pub generation: i64,
    /// As it came.
    pub raw: Vec<u8>,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// How many relays it had come through. Of the same message again the most is kept.
    pub hops: Hops,
}

/// The most messages of one room, and the most bytes of them.
#[derive(Debug, Clone, Copy)]
struct Room {
    messages: i64,
    bytes: i64,
}

/// Each partner has two of these, one for strangers and one for all others.
const ROOM: Room = Room { messages: 10_000, bytes: 64 << 20 };

impl Room {
    /// What stays when room is made for so many bytes: a tenth goes at once, so that a flood is not sorted out with each of
    /// its messages.
    fn after_eviction(self, bytes: usize) -> Self {
        let needed = i64::try_from(bytes).unwrap_or(i64::MAX);
        Self {
            messages: self.messages - (self.messages / 10).max(1),
            bytes: (self.bytes - self.bytes / 10).min(self.bytes - needed),
        }
    }
}

impl Quarantined {
    fn is_of_a_stranger(&self) -> bool {
        is_of_a_stranger(self.source, self.refusal.reason)
    }
}

/// Keeps a message; one that is already here is only counted. `false`: there is no room for it, and it is nowhere.
///
/// What strangers sent and everything else are bounded apart, 10,000 messages and 64 MiB of a partner each. In the
/// strangers' room the newest takes the place of the oldest, so that a stranger's message is always kept and costs only
/// other strangers. In the other room what is there stays. The bound is read from `quarantine_usage`, one row a room that
/// triggers keep, so an insert counts nothing. Writers at the same instant may go over it by a message each.
pub async fn insert(conn: &mut PgConnection, message: &Quarantined) -> Result<bool> {
    insert_into(conn, message, ROOM).await
}

async fn insert_into(conn: &mut PgConnection, message: &Quarantined, room: Room) -> Result<bool> {
    let source = message.source.as_str();
    if insert_within(conn, message, room).await? {
        return Ok(true);
    }
    if message.is_of_a_stranger() {
        let evicted = evict(conn, message.partner_id, room.after_eviction(message.raw.len())).await?;
        metrics::counter!("relay_quarantine_evicted_total").increment(evicted);
        tracing::warn!(evicted, "the quarantine is full of what strangers sent: the oldest is forgotten");
        if insert_within(conn, message, room).await? {
            return Ok(true);
        }
    }
    metrics::counter!("relay_quarantine_refused_total", "source" => source).increment(1);
    tracing::error!(
        source,
        "the quarantine is full: a message is refused; empty it with DELETE /v1/quarantine"
    );
    Ok(false)
}

/// `false`: there is no room for it.
async fn insert_within(conn: &mut PgConnection, message: &Quarantined, room: Room) -> Result<bool> {
    let fingerprint = digest(&SHA256, &message.raw);
    let done = sqlx::query_file!(
        "src/store/quarantine/insert.sql",
        QuarantineId::new().uuid(),
        message.partner_id.map(PartnerId::uuid),
        message.source as Source,
        message.channel.as_deref().map(without_nul),
        message.event.as_deref().map(without_nul),
        message.refusal.detail,
        message.raw,
        fingerprint.as_ref(),
        message.received_at,
        message.form,
        room.messages,
        room.bytes,
        message.hops.count(),
        message.refusal.reason as Reason,
        message.generation,
        message.is_of_a_stranger(),
    );
    Ok(done.execute(conn).await?.rows_affected() > 0)
}

/// Forgets what strangers sent until only so much is left. Answers how many messages.
async fn evict(conn: &mut PgConnection, partner: Option<PartnerId>, left: Room) -> Result<u64> {
    let done = sqlx::query_file!(
        "src/store/quarantine/evict.sql",
        partner.map(PartnerId::uuid),
        left.messages,
        left.bytes,
    );
    Ok(done.execute(conn).await?.rows_affected())
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests;
