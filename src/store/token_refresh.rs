//! The care of access tokens: who has which until when, and which process refreshes one now.
//!
//! The lease is the column `token_refresh_after`: a claim moves it, so that nobody else begins before.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Result;
use crate::model::id::PartnerId;
use crate::model::partner::Environment;
use crate::model::seal::MasterKey;
use crate::model::token_care::{Care, Keeping, Suspicion, Token};

/// A partner and its newest access token.
#[derive(Debug, Clone)]
pub struct TokenState {
    pub partner_id: PartnerId,
    pub environment: Environment,
    pub api_key: String,
    pub has_secret: bool,
    /// Names the newest token.
    pub token_id: Option<Uuid>,
    pub token_since: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub refreshed_at: Option<DateTime<Utc>>,
    pub refresh_after: Option<DateTime<Utc>>,
    /// Refreshes that failed in a row.
    pub failures: i32,
    /// Why the last one did.
    pub last_error: Option<String>,
    /// When a message last came that none of its tokens verifies, or Transak last refused the newest.
    pub suspected_at: Option<DateTime<Utc>>,
    /// Refreshes in a row, made on suspicion, that cured nothing.
    pub fruitless: i32,
}

impl TokenState {
    /// What speaks for another token.
    pub fn suspicion(&self) -> Option<Suspicion> {
        let fruitless = u32::try_from(self.fruitless).unwrap_or_default();
        self.suspected_at.map(|at| Suspicion { at, fruitless })
    }

    /// What decides when the token is replaced.
    pub fn care(&self) -> Care {
        let token = self.token_since.map(|since| Token { since, expires_at: self.expires_at });
        Care {
            has_secret: self.has_secret,
            token,
            refreshed_at: self.refreshed_at,
            refresh_after: self.refresh_after,
        }
    }
}

impl TokenState {
    /// What makes somebody look after the token.
    pub fn keeping(&self) -> Keeping<'_> {
        Keeping {
            has_secret: self.has_secret,
            has_token: self.token_id.is_some(),
            expires_at: self.expires_at,
            error: self.last_error.as_deref().filter(|_| self.failures > 0),
        }
    }
}

/// All partners that are not deleted, or the one.
///
/// A message that was not tried with all tokens yet speaks for nothing.
pub async fn states(conn: &mut PgConnection, only: Option<PartnerId>) -> Result<Vec<TokenState>> {
    let rows = sqlx::query_as!(
        TokenState,
        r#"select p.partner_id as "partner_id: _", p.environment as "environment: _", p.api_key,
                  p.api_secret is not null as "has_secret!", t.access_token_id as "token_id?",
                  t.created_at as "token_since?", t.expires_at as "expires_at?",
                  p.token_refreshed_at as refreshed_at, p.token_refresh_after as refresh_after,
                  p.token_refresh_failures as failures, p.token_last_error as last_error,
                  greatest(p.token_refused_at, (
                      select q.last_at from quarantine q
                      where q.partner_id = p.partner_id and q.code in ('no_token', 'no_token_fits')
                        and q.tried_generation >= p.token_generation
                      order by q.last_at desc
                      limit 1
                  )) as suspected_at,
                  p.token_fruitless as fruitless
           from partner p
           left join lateral (
               select * from access_token t
               where t.partner_id = p.partner_id
               order by t.access_token_id desc
               limit 1
           ) as t on true
           where p.deleted_at is null and ($1::uuid is null or p.partner_id = $1)
           order by p.partner_id"#,
        only as _,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Takes the lease until `until` and answers the sealed API secret. `None`: somebody else has it, or there is no secret.
pub async fn claim(
    conn: &mut PgConnection,
    id: PartnerId,
    (now, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Option<Vec<u8>>> {
    let secret = sqlx::query_scalar!(
        r#"update partner set token_refresh_after = $3
           where partner_id = $1 and deleted_at is null and api_secret is not null
             and (token_refresh_after is null or token_refresh_after <= $2)
           returning api_secret as "api_secret!""#,
        id as _,
        now,
        until,
    );
    Ok(secret.fetch_optional(conn).await?)
}

/// A token as Transak made it.
#[derive(Debug)]
pub struct NewToken<'a> {
    pub token: &'a SecretString,
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// Nobody refreshes again before.
    pub refresh_after: DateTime<Utc>,
    /// It was made because messages did not verify.
    pub suspected: bool,
}

/// Keeps a new token as the partner's newest. `false`: the partner is gone, and nothing was kept.
pub async fn succeeded(
    conn: &mut PgConnection,
    key: &MasterKey,
    id: PartnerId,
    new: &NewToken<'_>,
) -> Result<bool> {
    let done = sqlx::query!(
        "update partner set token_refreshed_at = $2, token_refresh_after = $3, token_refresh_failures = 0,
                            token_last_error = null, token_fruitless = token_fruitless + $4::boolean::integer
         where partner_id = $1 and deleted_at is null",
        id as _,
        new.at,
        new.refresh_after,
        new.suspected,
    );
    if done.execute(&mut *conn).await?.rows_affected() == 0 {
        return Ok(false);
    }
    super::access_token::add_expiring(conn, key, id, (new.token, new.expires_at)).await?;
    Ok(true)
}

/// Writes down that messages verified which had not before: the tokens made on suspicion were not for nothing.
pub async fn cured(conn: &mut PgConnection, id: PartnerId) -> Result<()> {
    sqlx::query!(
        "update partner set token_fruitless = 0 where partner_id = $1 and token_fruitless > 0",
        id as _
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes down that Transak's REST API did not accept the partner's access token.
pub async fn refused(conn: &mut PgConnection, id: PartnerId, at: DateTime<Utc>) -> Result<()> {
    sqlx::query!("update partner set token_refused_at = $2 where partner_id = $1", id as _, at)
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes down why a refresh failed, in a sentence, and when the next one may begin.
pub async fn failed(
    conn: &mut PgConnection,
    id: PartnerId,
    error: &str,
    refresh_after: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "update partner set token_refresh_after = $3, token_refresh_failures = token_refresh_failures + 1,
                            token_last_error = $2
         where partner_id = $1",
        id as _,
        error,
        refresh_after,
    )
    .execute(conn)
    .await?;
    Ok(())
}
