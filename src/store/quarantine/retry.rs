//! Taking messages out of quarantine to try them again.
//!
//! What a new access token could cure is known by two numbers: how often the partner was given a token, and with which
//! of these counts the message was last tried. Whoever puts a message aside writes the count it knew, so it does not
//! matter which comes first, the message or the token.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::event::Source;
use crate::model::id::{PartnerId, QuarantineId};
use crate::model::quarantine::{Reason, Refusal};
use crate::store::Result;

/// The most messages that are named at once.
const PAGE: i64 = 200;

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
                  q.form, q.channel, q.event, q.raw, q.received_at, q.hops,
                  exists (select from watch w where w.partner_id = q.partner_id and w.channel = q.channel) as "watched!"
           from quarantine q
           where q.quarantine_id = $1 and (q.partner_id = any($2::uuid[]) or ($3 and q.partner_id is null))"#,
        id as _,
        partners as _,
        of_nobody,
    );
    Ok(row.fetch_optional(conn).await?)
}

/// The next messages of a partner after `after`, oldest first.
pub async fn all(
    conn: &mut PgConnection,
    partner: PartnerId,
    after: Option<QuarantineId>,
) -> Result<Vec<QuarantineId>> {
    let ids = sqlx::query_scalar!(
        r#"select quarantine_id as "quarantine_id: QuarantineId" from quarantine
           where partner_id = $1 and ($2::uuid is null or quarantine_id > $2)
           order by quarantine_id
           limit $3"#,
        partner as _,
        after as _,
        PAGE,
    );
    Ok(ids.fetch_all(conn).await?)
}

/// The same of those only that another token could cure and that were last tried when the partner had been given fewer
/// than `generation`.
pub async fn untried(
    conn: &mut PgConnection,
    partner: PartnerId,
    generation: i64,
    after: Option<QuarantineId>,
) -> Result<Vec<QuarantineId>> {
    let ids = sqlx::query_scalar!(
        r#"select quarantine_id as "quarantine_id: QuarantineId" from quarantine
           where partner_id = $1 and tried_generation < $2 and code in ('no_token', 'no_token_fits')
             and ($3::uuid is null or quarantine_id > $3)
           order by quarantine_id
           limit $4"#,
        partner as _,
        generation,
        after as _,
        PAGE,
    );
    Ok(ids.fetch_all(conn).await?)
}

/// The partners that were given a token since one of their messages was last tried.
pub async fn partners_with_untried(conn: &mut PgConnection) -> Result<Vec<PartnerId>> {
    let ids = sqlx::query_scalar!(
        r#"select partner_id as "partner_id: PartnerId" from partner p
           where p.deleted_at is null and exists (
               select from quarantine q
               where q.partner_id = p.partner_id and q.tried_generation < p.token_generation
                 and q.code in ('no_token', 'no_token_fits'))
           order by p.partner_id"#
    );
    Ok(ids.fetch_all(conn).await?)
}

/// Writes down why messages stay and that this many tokens were tried. One that was tried with more meanwhile is left
/// as it is.
pub async fn stay(
    conn: &mut PgConnection,
    messages: &[(QuarantineId, Refusal)],
    generation: i64,
) -> Result<()> {
    sqlx::query!(
        "update quarantine set tried_generation = $4, code = given.code, reason = given.detail
         from unnest($1::uuid[], $2::quarantine_reason[], $3::text[]) as given (quarantine_id, code, detail)
         where quarantine.quarantine_id = given.quarantine_id and tried_generation < $4",
        &messages.iter().map(|(id, _)| id.uuid()).collect::<Vec<_>>(),
        &messages.iter().map(|(_, refusal)| refusal.reason).collect::<Vec<_>>() as &[Reason],
        &messages.iter().map(|(_, refusal)| refusal.detail.as_str()).collect::<Vec<_>>() as &[&str],
        generation,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets a message that is kept as an event now. `false`: somebody else did.
pub async fn delete(conn: &mut PgConnection, id: QuarantineId) -> Result<bool> {
    let done = sqlx::query!("delete from quarantine where quarantine_id = $1", id as _).execute(conn).await?;
    Ok(done.rows_affected() > 0)
}
