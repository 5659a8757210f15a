//! Taking messages out of quarantine to try them again.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::event::Source;
use crate::model::id::{PartnerId, QuarantineId};
use crate::store::Result;

/// A message to be tried again.
#[derive(Debug)]
pub struct Retry {
    /// Which.
    pub quarantine_id: QuarantineId,
    /// Whose it seems to be.
    pub partner_id: Option<PartnerId>,
    /// Where it was heard.
    pub source: Source,
    /// The channel it came on.
    pub channel: Option<String>,
    /// How it was to be believed; `None`: that was not written down.
    pub form: Option<String>,
    /// That channel is, or was, a public one that the partner had watched.
    pub watched: bool,
    /// The event name it came under.
    pub event: Option<String>,
    /// Why it is here.
    pub reason: String,
    /// As it came.
    pub raw: Vec<u8>,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// How many relays it had come through.
    pub hops: i16,
}

/// One message of `partners`, and with `of_nobody` also one of no known partner.
pub async fn find(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    of_nobody: bool,
    id: QuarantineId,
) -> Result<Option<Retry>> {
    let row = sqlx::query_as!(
        Retry,
        r#"select q.quarantine_id as "quarantine_id: _", q.partner_id as "partner_id: _", q.source as "source: _",
                  q.form, q.channel, q.event, q.reason, q.raw, q.received_at, q.hops,
                  exists (select from watch w where w.partner_id = q.partner_id and w.channel = q.channel) as "watched!"
           from quarantine q
           where q.quarantine_id = $1 and (q.partner_id = any($2::uuid[]) or ($3 and q.partner_id is null))"#,
        id as _,
        partners as _,
        of_nobody,
    );
    Ok(row.fetch_optional(conn).await?)
}

/// The next messages of a partner after `after`, oldest first; with `reasons` only those that are here for one of them.
pub async fn ids(
    conn: &mut PgConnection,
    partner: PartnerId,
    after: Option<QuarantineId>,
    reasons: Option<&[String]>,
) -> Result<Vec<QuarantineId>> {
    let ids = sqlx::query_scalar!(
        r#"select quarantine_id as "quarantine_id: QuarantineId" from quarantine
           where partner_id = $1 and ($2::uuid is null or quarantine_id > $2)
             and ($3::text[] is null or reason = any($3))
           order by quarantine_id
           limit 200"#,
        partner as _,
        after as _,
        reasons,
    );
    Ok(ids.fetch_all(conn).await?)
}

/// Forgets a message that is kept as an event now. `false`: somebody else did.
pub async fn delete(conn: &mut PgConnection, id: QuarantineId) -> Result<bool> {
    let done = sqlx::query!("delete from quarantine where quarantine_id = $1", id as _).execute(conn).await?;
    Ok(done.rows_affected() > 0)
}
