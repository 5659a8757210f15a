//! Reading what is in quarantine.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::event::Source;
use crate::model::id::{PartnerId, QuarantineId};
use crate::model::quarantine::Reason;
use crate::store::Result;
use crate::store::list::Page;

/// A message that could not be verified or read.
#[derive(Debug, Clone)]
pub struct Quarantined {
    pub quarantine_id: QuarantineId,
    pub partner_id: Option<PartnerId>,
    pub source: Source,
    pub channel: Option<String>,
    pub event: Option<String>,
    pub reason: Reason,
    /// The same in a sentence.
    pub detail: String,
    pub raw: Vec<u8>,
    pub received_at: DateTime<Utc>,
    /// How often the same message came.
    pub times: i32,
}

/// Which messages; what is absent filters nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    pub reason: Option<Reason>,
    pub source: Option<Source>,
    /// First came before.
    pub before: Option<DateTime<Utc>>,
}

/// The quarantined messages of `partners`, newest first, and with `of_nobody` those of no known partner too.
pub async fn list(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    of_nobody: bool,
    (filter, page): (&Filter, &Page<QuarantineId>),
) -> Result<Vec<Quarantined>> {
    let rows = sqlx::query_as!(
        Quarantined,
        r#"select q.quarantine_id as "quarantine_id!: _", q.partner_id as "partner_id: _", q.source as "source!: _",
                  q.channel, q.event, q.code as "reason!: _", q.reason as "detail!", q.raw as "raw!",
                  q.received_at as "received_at!", q.times as "times!"
           from (
               (select q.* from unnest($1::uuid[]) as p (id)
                cross join lateral (
                    select * from quarantine q
                    where q.partner_id = p.id and ($2::uuid is null or q.quarantine_id < $2)
                      and ($5::quarantine_reason is null or q.code = $5)
                      and ($6::event_source is null or q.source = $6)
                      and ($7::timestamptz is null or q.received_at < $7)
                    order by q.quarantine_id desc
                    limit $3
                ) as q)
               union all
               (select q.* from quarantine q
                where $4 and q.partner_id is null and ($2::uuid is null or q.quarantine_id < $2)
                  and ($5::quarantine_reason is null or q.code = $5)
                  and ($6::event_source is null or q.source = $6)
                  and ($7::timestamptz is null or q.received_at < $7)
                order by q.quarantine_id desc
                limit $3)
           ) as q
           order by q.quarantine_id desc
           limit $3"#,
        partners as _,
        page.after as _,
        page.limit,
        of_nobody,
        filter.reason as Option<Reason>,
        filter.source as Option<Source>,
        filter.before,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// One message of `partners`, and with `of_nobody` also one of no known partner.
pub async fn get(
    conn: &mut PgConnection,
    partners: &[PartnerId],
    of_nobody: bool,
    id: QuarantineId,
) -> Result<Option<Quarantined>> {
    let row = sqlx::query_as!(
        Quarantined,
        r#"select quarantine_id as "quarantine_id: _", partner_id as "partner_id: _", source as "source: _", channel, event,
                  code as "reason: _", reason as detail, raw, received_at, times
           from quarantine
           where quarantine_id = $1 and (partner_id = any($2::uuid[]) or ($3 and partner_id is null))"#,
        id as _,
        partners as _,
        of_nobody,
    );
    Ok(row.fetch_optional(conn).await?)
}
