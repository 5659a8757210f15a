//! Transak's access tokens: the newest of a partner signs and calls, the older ones still verify.
//!
//! They are sealed at rest. The fingerprint (SHA-256 of the token) keeps each once and finds the partner of one that a
//! caller presents.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Result;
use crate::model::id::PartnerId;
use crate::model::partner::access_token_expiry;
use crate::model::seal::MasterKey;
use crate::model::token_owner::{Holder, owner};

/// An access token as it is stored.
#[derive(Debug, Clone)]
pub struct SealedToken {
    pub partner_id: PartnerId,
    pub api_key: String,
    /// Opens with the context [`context`] of its partner.
    pub token: Vec<u8>,
    pub fingerprint: Vec<u8>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// The context of a partner's sealed access tokens.
pub fn context(partner_id: PartnerId) -> String {
    format!("access_token/{}", partner_id.uuid())
}

/// Adds a token and makes it the partner's newest, also if it was known before: callbacks of the format `transak` are
/// signed with it from the next claim on. Other processes are told when the transaction commits.
pub async fn add(
    conn: &mut PgConnection,
    key: &MasterKey,
    id: PartnerId,
    token: &SecretString,
) -> Result<()> {
    add_expiring(conn, key, id, (token, access_token_expiry(token.expose_secret()))).await
}

/// As [`add`], with the end that Transak told for the token.
pub async fn add_expiring(
    conn: &mut PgConnection,
    key: &MasterKey,
    id: PartnerId,
    (token, expires_at): (&SecretString, Option<DateTime<Utc>>),
) -> Result<()> {
    let added = sqlx::query!(
        "insert into access_token (partner_id, access_token_id, token, fingerprint, expires_at)
         values ($1, $2, $3, $4, $5)
         on conflict on constraint access_token_is_kept_once
         do update set access_token_id = excluded.access_token_id, created_at = now()",
        id as _,
        Uuid::now_v7(),
        key.seal_text(&context(id), token),
        fingerprint(token.expose_secret()),
        expires_at,
    );
    added.execute(&mut *conn).await?;
    super::credentials::forget(conn, id).await?;
    super::endpoint::write::note_new_token(conn, id).await?;
    super::partner::tell_others(conn).await
}

/// How often each partner was given a token.
pub async fn generations(conn: &mut PgConnection) -> Result<Vec<(PartnerId, i64)>> {
    let rows = sqlx::query!(
        r#"select partner_id as "partner_id: PartnerId", token_generation from partner where deleted_at is null"#
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.partner_id, row.token_generation)).collect())
}

/// Whether a partner has, or had, this token.
pub async fn is_known(conn: &mut PgConnection, id: PartnerId, token: &SecretString) -> Result<bool> {
    let known = sqlx::query_scalar!(
        r#"select exists (select from access_token where partner_id = $1 and fingerprint = $2) as "known!""#,
        id as _,
        fingerprint(token.expose_secret()),
    );
    Ok(known.fetch_one(conn).await?)
}

/// Whether a token that a partner has is its own and nobody else's.
pub async fn is_own(conn: &mut PgConnection, id: PartnerId, token: &SecretString) -> Result<bool> {
    let holders = holders(conn, token.expose_secret()).await?;
    Ok(owner(token.expose_secret(), &holders).is_some_and(|owner| owner.partner_id == id))
}

/// Every partner's newest five tokens, newest first.
pub async fn recent_of_all(conn: &mut PgConnection) -> Result<Vec<SealedToken>> {
    let rows = sqlx::query_as!(
        SealedToken,
        r#"select p.partner_id as "partner_id: _", p.api_key, t.token, t.fingerprint, t.expires_at
           from partner p
           cross join lateral (
               select * from access_token t
               where t.partner_id = p.partner_id
               order by t.access_token_id desc
               limit 5
           ) as t
           where p.deleted_at is null
           order by p.partner_id, t.access_token_id desc"#,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// The partners that have this token among their newest five. Whose it is, if they are several, decides
/// [`token_owner`](crate::model::token_owner).
pub async fn holders(conn: &mut PgConnection, token: &str) -> Result<Vec<Holder>> {
    let holders = sqlx::query_as!(
        Holder,
        r#"select p.partner_id as "partner_id: _", p.api_key,
                  (t.expires_at is null or t.expires_at > now()) and newer.count = 0 as "is_current!"
           from access_token t
           join partner p on p.partner_id = t.partner_id and p.deleted_at is null
           cross join lateral (
               select count(*) from access_token newer
               where newer.partner_id = t.partner_id and newer.access_token_id > t.access_token_id
           ) as newer
           where t.fingerprint = $1 and newer.count < 5
           order by p.partner_id"#,
        fingerprint(token),
    );
    Ok(holders.fetch_all(conn).await?)
}

/// Forgets every token of a partner. For others that have the same ones it is as if they were given them now: what only
/// that was in the way of is tried again.
pub async fn forget(conn: &mut PgConnection, id: PartnerId) -> Result<()> {
    let others = sqlx::query!(
        "update partner set token_generation = token_generation + 1
         from (select partner_id from access_token
               where fingerprint in (select fingerprint from access_token where partner_id = $1)) as holder
         where partner.partner_id = holder.partner_id and partner.partner_id <> $1",
        id as _,
    );
    others.execute(&mut *conn).await?;
    sqlx::query!("delete from access_token where partner_id = $1", id as _).execute(&mut *conn).await?;
    super::partner::tell_others(conn).await
}

fn fingerprint(token: &str) -> Vec<u8> {
    digest(&SHA256, token.as_bytes()).as_ref().to_vec()
}
