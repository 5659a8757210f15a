//! Putting messages aside.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::event::Source;
use crate::model::hops::Hops;
use crate::model::id::{PartnerId, QuarantineId};
use crate::model::quarantine::{Reason, Refusal};
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

/// The most messages of one partner that are kept aside, and the most bytes of them.
const MOST: (i64, i64) = (10_000, 64 << 20);

/// Keeps a message; one that is already here is only counted.
///
/// Beyond 10,000 messages or 64 MiB of a partner the newest are refused, loudly: what a stranger sends must neither fill
/// the disk nor push out what was here before. The bound is read from `quarantine_usage`, one row a partner that a
/// trigger keeps, so an insert counts nothing. Writers at the same instant may go over it by a message each.
pub async fn insert(conn: &mut PgConnection, message: &Quarantined) -> Result<()> {
    if !insert_within(conn, message, MOST).await? {
        metrics::counter!("relay_quarantine_refused_total", "source" => message.source.as_str()).increment(1);
        tracing::warn!(source = message.source.as_str(), "the quarantine is full: a message is refused");
    }
    Ok(())
}

/// `false`: there is no room for it.
async fn insert_within(conn: &mut PgConnection, message: &Quarantined, most: (i64, i64)) -> Result<bool> {
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
        most.0,
        most.1,
        message.hops.count(),
        message.refusal.reason as Reason,
        message.generation,
    );
    Ok(done.execute(conn).await?.rows_affected() > 0)
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use sqlx::PgPool;

    use super::*;

    fn message(raw: &str) -> Quarantined {
        Quarantined {
            partner_id: None,
            source: Source::Webhook,
            form: "signed",
            channel: None,
            event: None,
            refusal: Refusal::new(Reason::NotSigned, "x"),
            generation: 0,
            raw: raw.as_bytes().to_vec(),
            received_at: DateTime::UNIX_EPOCH,
            hops: Hops::default(),
        }
    }

    async fn kept(conn: &mut PgConnection) -> Vec<(String, i32)> {
        let rows =
            sqlx::query_as("select convert_from(raw, 'UTF8'), times from quarantine order by quarantine_id");
        rows.fetch_all(conn).await.unwrap()
    }

    #[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
    async fn what_came_first_stays_and_what_is_too_much_is_refused(pool: PgPool) {
        let mut conn = pool.acquire().await.unwrap();
        for (raw, fits) in [("a", true), ("b", true), ("c", false), ("a", true)] {
            assert_eq!(insert_within(&mut conn, &message(raw), (2, 100)).await.unwrap(), fits, "{raw}");
        }
        assert_eq!(kept(&mut conn).await, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
        let of_somebody = Quarantined { partner_id: Some(PartnerId::new()), ..message("c") };
        assert!(insert_within(&mut conn, &of_somebody, (2, 100)).await.unwrap(), "each has its own room");
    }

    #[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
    async fn bytes_count_too_and_what_is_deleted_makes_room(pool: PgPool) {
        let mut conn = pool.acquire().await.unwrap();
        assert!(insert_within(&mut conn, &message("12345678"), (9, 10)).await.unwrap());
        assert!(!insert_within(&mut conn, &message("123"), (9, 10)).await.unwrap());
        sqlx::query("delete from quarantine").execute(&mut *conn).await.unwrap();
        assert!(insert_within(&mut conn, &message("123"), (9, 10)).await.unwrap());
    }
}
