//! Putting messages aside.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::event::Source;
use crate::model::id::{PartnerId, QuarantineId};
use crate::store::Result;

/// A message nobody could make sense of, or believe.
#[derive(Debug, Clone)]
pub struct Quarantined {
    /// Whose it seems to be.
    pub partner_id: Option<PartnerId>,
    /// Where it was heard.
    pub source: Source,
    /// The channel it came on.
    pub channel: Option<String>,
    /// The event name it came under.
    pub event: Option<String>,
    /// Why it is here.
    pub reason: String,
    /// As it came.
    pub raw: Vec<u8>,
    /// When it came.
    pub received_at: DateTime<Utc>,
}

/// Keeps a message; one that is already here is only counted.
pub async fn insert(conn: &mut PgConnection, message: &Quarantined) -> Result<()> {
    let fingerprint = digest(&SHA256, &message.raw);
    sqlx::query!(
        "insert into quarantine (quarantine_id, partner_id, source, channel, event, reason, raw, fingerprint, received_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (partner_id, fingerprint) do update set times = quarantine.times + 1, reason = excluded.reason",
        QuarantineId::new().uuid(),
        message.partner_id.map(PartnerId::uuid),
        message.source as Source,
        message.channel.as_deref().map(without_nul),
        message.event.as_deref().map(without_nul),
        message.reason,
        message.raw,
        fingerprint.as_ref(),
        message.received_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
