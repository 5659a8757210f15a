//! What Transak says of partners' access tokens: which are to be shown to it, and what it said.
//!
//! The lease is the column `credentials_check_after`: a claim moves it, so that one process at a time asks.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Result;
use crate::model::credentials::Verdict;
use crate::model::id::PartnerId;
use crate::model::partner::Environment;

/// A partner whose newest token is to be shown to Transak.
#[derive(Debug, Clone)]
pub struct Due {
    pub partner_id: PartnerId,
    pub environment: Environment,
    pub api_key: String,
    pub token_id: Uuid,
    /// Opens with the context of the partner's access tokens.
    pub token: Vec<u8>,
}

/// Takes the lease of some partners whose token nobody has asked about, or of which Transak said nothing.
pub async fn claim(
    conn: &mut PgConnection,
    (now, until): (DateTime<Utc>, DateTime<Utc>),
    most: i64,
) -> Result<Vec<Due>> {
    let rows = sqlx::query_as!(
        Due,
        r#"with due as (
               select p.partner_id, t.access_token_id, t.token
               from partner p
               cross join lateral (
                   select access_token_id, token from access_token t
                   where t.partner_id = p.partner_id
                   order by t.access_token_id desc
                   limit 1
               ) as t
               where p.deleted_at is null
                 and (p.credentials_token_id is distinct from t.access_token_id or p.credentials_state = 'unchecked')
                 and (p.credentials_check_after is null or p.credentials_check_after <= $1)
               order by p.partner_id
               limit $3
               for no key update of p skip locked
           )
           update partner p set credentials_check_after = $2
           from due
           where p.partner_id = due.partner_id
           returning p.partner_id as "partner_id: _", p.environment as "environment: _", p.api_key,
                     due.access_token_id as token_id, due.token"#,
        now,
        until,
        most,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Keeps what was said of a token. `again`: not before then is Transak asked once more, should it have said nothing.
pub async fn keep(
    conn: &mut PgConnection,
    due: &Due,
    verdict: &Verdict,
    (at, again): (DateTime<Utc>, DateTime<Utc>),
) -> Result<()> {
    sqlx::query!(
        "update partner
         set credentials_state = $3, credentials_detail = $4, credentials_checked_at = $5,
             credentials_token_id = $2, credentials_check_after = $6
         where partner_id = $1 and deleted_at is null",
        due.partner_id as _,
        due.token_id,
        verdict.state as _,
        verdict.detail,
        at,
        again,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Has a partner's credentials looked at anew, with the commit of this transaction: they, or whose they are, changed.
pub async fn forget(conn: &mut PgConnection, id: PartnerId) -> Result<()> {
    sqlx::query!(
        "update partner set credentials_token_id = null, credentials_check_after = null where partner_id = $1",
        id as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
