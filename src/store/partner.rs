//! Partners: the holders of Transak API keys.
//!
//! Every change here tells the other processes, when its transaction commits, to read the partners again.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;
use uuid::Uuid;

use super::list::Page;
use super::{Error, Result};
use crate::model::change::Change;
use crate::model::credentials::CredentialsState;
use crate::model::id::PartnerId;
use crate::model::partner::Environment;
use crate::model::seal::MasterKey;

/// A partner without its secrets.
#[derive(Debug, Clone)]
pub struct Partner {
    pub partner_id: PartnerId,
    pub name: String,
    pub environment: Environment,
    pub api_key: String,
    pub has_api_secret: bool,
    pub has_access_token: bool,
    /// When the newest access token ends, where it says so.
    pub access_token_expires_at: Option<DateTime<Utc>>,
    /// Why the access token could not be replaced, if that failed the last time.
    pub refresh_error: Option<String>,
    /// How many endpoints it may have; `None`: as many as the installation says.
    pub max_endpoints: Option<i32>,
    /// Since when nobody hears its channel, if that is a gap.
    pub unheard_since: Option<DateTime<Utc>>,
    /// A process that lives is subscribed to its channel.
    pub is_heard: bool,
    /// Since when it is heard, or is to be heard, without a gap.
    pub since: DateTime<Utc>,
    /// The newest access token.
    pub token_id: Option<Uuid>,
    /// What Transak said of a token, of which one, and when.
    pub credentials_state: CredentialsState,
    pub credentials_detail: Option<String>,
    pub credentials_token_id: Option<Uuid>,
    pub credentials_checked_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A partner to be registered.
#[derive(Debug)]
pub struct NewPartner {
    pub name: String,
    pub environment: Environment,
    pub api_key: String,
    pub api_secret: Option<SecretString>,
}

/// What changes of a partner; what is absent stays.
#[derive(Debug, Default)]
pub struct PartnerChange {
    pub name: Option<String>,
    pub environment: Option<Environment>,
    pub api_key: Option<String>,
    pub api_secret: Change<SecretString>,
    pub max_endpoints: Change<i32>,
}

/// The context of a partner's sealed API secret.
pub fn api_secret_context(partner_id: PartnerId) -> String {
    format!("api_secret/{}", partner_id.uuid())
}

/// Registers a partner. `None`: its API key is already registered in that environment.
pub async fn insert(conn: &mut PgConnection, key: &MasterKey, new: &NewPartner) -> Result<Option<PartnerId>> {
    let id = PartnerId::new();
    let api_secret = new.api_secret.as_ref().map(|secret| key.seal_text(&api_secret_context(id), secret));
    let inserted = sqlx::query!(
        "insert into partner (partner_id, name, environment, api_key, api_secret) values ($1, $2, $3, $4, $5)
         on conflict (environment, api_key) where deleted_at is null do nothing",
        id as _,
        new.name,
        new.environment as _,
        new.api_key,
        api_secret,
    );
    let inserted = inserted.execute(&mut *conn).await?.rows_affected() > 0;
    if inserted {
        super::watch::end_on_key(conn, (id, &new.api_key)).await?;
    }
    tell_others(conn).await?;
    Ok(inserted.then_some(id))
}

/// One partner that is not deleted.
pub async fn find(conn: &mut PgConnection, id: PartnerId) -> Result<Option<Partner>> {
    let page = Page { after: None, limit: 1 };
    Ok(select(conn, Some(id), &page).await?.pop())
}

/// The partners that are not deleted, newest first.
pub async fn list(conn: &mut PgConnection, page: &Page<PartnerId>) -> Result<Vec<Partner>> {
    select(conn, None, page).await
}

async fn select(
    conn: &mut PgConnection,
    id: Option<PartnerId>,
    page: &Page<PartnerId>,
) -> Result<Vec<Partner>> {
    let rows = sqlx::query_as!(
        Partner,
        r#"select p.partner_id as "partner_id: _", p.name, p.environment as "environment: _", p.api_key,
                  p.api_secret is not null as "has_api_secret!", t.partner_id is not null as "has_access_token!",
                  t.expires_at as "access_token_expires_at?",
                  case when p.token_refresh_failures > 0 then p.token_last_error end as refresh_error,
                  open.started_at as "unheard_since?",
                  exists (select from stream_subscription s join stream_connection c using (stream_connection_id)
                          where s.partner_id = p.partner_id and s.channel = p.api_key
                            and s.ended_at is null and c.ended_at is null
                            and c.renewed_at > now() - interval '15 s') as "is_heard!",
                  greatest(term.began_at, last.ended_at, p.created_at) as "since!",
                  p.max_endpoints,
                  t.access_token_id as "token_id?", p.credentials_state as "credentials_state: _",
                  p.credentials_detail, p.credentials_token_id, p.credentials_checked_at,
                  p.created_at, p.updated_at
           from partner p
           left join stream_term term on term.partner_id = p.partner_id and term.ended_at is null
           left join gap open on open.partner_id = p.partner_id and open.ended_at is null
           left join lateral (
               select ended_at from gap where gap.partner_id = p.partner_id and ended_at is not null
               order by gap_id desc
               limit 1
           ) as last on true
           left join lateral (
               select partner_id, access_token_id, expires_at from access_token t
               where t.partner_id = p.partner_id
               order by t.access_token_id desc
               limit 1
           ) as t on true
           where p.deleted_at is null
             and ($1::uuid is null or p.partner_id = $1)
             and ($2::uuid is null or p.partner_id < $2)
           order by p.partner_id desc
           limit $3"#,
        id as _,
        page.after as _,
        page.limit,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Every partner that is not deleted.
pub async fn ids(conn: &mut PgConnection) -> Result<Vec<PartnerId>> {
    let ids = sqlx::query_scalar!(
        r#"select partner_id as "partner_id: PartnerId" from partner where deleted_at is null order by partner_id"#
    );
    Ok(ids.fetch_all(conn).await?)
}

/// The partner that registered this API key.
pub async fn by_api_key(
    conn: &mut PgConnection,
    environment: Environment,
    api_key: &str,
) -> Result<Option<PartnerId>> {
    let id = sqlx::query_scalar!(
        r#"select partner_id as "partner_id: PartnerId" from partner
           where environment = $1 and api_key = $2 and deleted_at is null"#,
        environment as _,
        api_key,
    );
    Ok(id.fetch_optional(conn).await?)
}

/// The API key of every partner that is not deleted.
pub async fn api_keys(conn: &mut PgConnection) -> Result<Vec<(PartnerId, String)>> {
    let rows = sqlx::query!(
        r#"select partner_id as "partner_id: PartnerId", api_key from partner where deleted_at is null
           order by partner_id"#
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.partner_id, row.api_key)).collect())
}

/// Keeps a partner from being deleted until the transaction ends. `None`: there is no such partner.
pub async fn lock(conn: &mut PgConnection, id: PartnerId) -> Result<Option<PartnerId>> {
    let locked = sqlx::query_scalar!(
        r#"select partner_id as "partner_id: PartnerId" from partner
           where partner_id = $1 and deleted_at is null
           for share"#,
        id as _,
    );
    Ok(locked.fetch_optional(conn).await?)
}

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    Yes,
    NoSuchPartner,
    /// Another partner has that API key in that environment.
    ApiKeyTaken,
}

/// Changes a partner.
pub async fn change(
    conn: &mut PgConnection,
    key: &MasterKey,
    id: PartnerId,
    change: &PartnerChange,
) -> Result<Changed> {
    let sealed = change.api_secret.value().map(|secret| key.seal_text(&api_secret_context(id), secret));
    let changed = sqlx::query!(
        "update partner
         set name = coalesce($2, name), environment = coalesce($3, environment), api_key = coalesce($4, api_key),
             api_secret = case when $5 then $6 else api_secret end,
             max_endpoints = case when $7 then $8 else max_endpoints end, updated_at = now()
         where partner_id = $1 and deleted_at is null",
        id as _,
        change.name,
        change.environment as _,
        change.api_key,
        change.api_secret.is_change(),
        sealed,
        change.max_endpoints.is_change(),
        change.max_endpoints.value().copied(),
    );
    let changed = match changed.execute(&mut *conn).await.map_err(Error::from) {
        Ok(done) if done.rows_affected() > 0 => Changed::Yes,
        Ok(_) => Changed::NoSuchPartner,
        Err(error) if error.constraint() == Some("partner_api_key_is_unique") => {
            return Ok(Changed::ApiKeyTaken);
        }
        Err(error) => return Err(error),
    };
    if let (Changed::Yes, Some(api_key)) = (changed, &change.api_key) {
        super::watch::end_on_key(conn, (id, api_key)).await?;
    }
    if change.api_key.is_some() || change.environment.is_some() {
        super::credentials::forget(conn, id).await?;
    }
    tell_others(conn).await?;
    Ok(changed)
}

/// Deletes a partner: forgets its secrets and tokens, and owes its endpoints nothing more. What was heard stays until
/// retention drops it. `false`: there is no such partner.
pub async fn delete(conn: &mut PgConnection, id: PartnerId) -> Result<bool> {
    let deleted = sqlx::query!(
        "update partner set deleted_at = now(), updated_at = now(), api_secret = null
         where partner_id = $1 and deleted_at is null",
        id as _,
    );
    if deleted.execute(&mut *conn).await?.rows_affected() == 0 {
        return Ok(false);
    }
    super::access_token::forget(conn, id).await?;
    sqlx::query!("delete from api_token where partner_id = $1", id as _).execute(&mut *conn).await?;
    super::wake::tokens(conn).await?;
    super::endpoint::switch::delete_all(conn, id).await?;
    super::watch::end_all(conn, id).await?;
    tell_others(conn).await?;
    Ok(true)
}

/// Tells every process, when the transaction commits, that partners or their tokens changed.
pub async fn tell_others(conn: &mut PgConnection) -> Result<()> {
    super::wake::partners(conn).await
}
