//! API tokens: who may call the relay. Only their hashes are kept.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Result;
use super::list::Page;
use crate::model::id::{PartnerId, TokenId};
use crate::model::token::{Caller, Scope, TokenHash};

/// A token without what opens anything.
#[derive(Debug, Clone)]
pub struct ApiToken {
    pub token_id: TokenId,
    pub name: String,
    pub scope: Scope,
    pub partner_id: Option<PartnerId>,
    pub created_at: DateTime<Utc>,
}

/// A token to be made.
#[derive(Debug)]
pub struct NewApiToken {
    pub name: String,
    pub caller: Caller,
    pub hash: TokenHash,
}

/// Keeps a token. The partner must exist; lock it or insert in the transaction that found it.
pub async fn insert(conn: &mut PgConnection, new: &NewApiToken) -> Result<ApiToken> {
    let row = sqlx::query_as!(
        ApiToken,
        r#"insert into api_token (api_token_id, token_hash, name, scope, partner_id) values ($1, $2, $3, $4, $5)
           returning api_token_id as "token_id: _", name, scope as "scope: _", partner_id as "partner_id: _",
                     created_at"#,
        TokenId::new() as _,
        new.hash.0.as_slice(),
        new.name,
        new.caller.scope as _,
        new.caller.partner_id as _,
    );
    let token = row.fetch_one(&mut *conn).await?;
    super::partner::tell_others(conn).await?;
    Ok(token)
}

/// Who presents this token.
pub async fn find_caller(conn: &mut PgConnection, hash: TokenHash) -> Result<Option<Caller>> {
    let row = sqlx::query_as!(
        Caller,
        r#"select scope as "scope: _", partner_id as "partner_id: _" from api_token where token_hash = $1"#,
        hash.0.as_slice(),
    );
    Ok(row.fetch_optional(conn).await?)
}

/// All tokens, newest first; with `partner_id` that partner's.
pub async fn list(
    conn: &mut PgConnection,
    partner_id: Option<PartnerId>,
    page: &Page<TokenId>,
) -> Result<Vec<ApiToken>> {
    let rows = sqlx::query_as!(
        ApiToken,
        r#"select api_token_id as "token_id: _", name, scope as "scope: _", partner_id as "partner_id: _", created_at
           from api_token
           where ($1::uuid is null or partner_id = $1) and ($2::uuid is null or api_token_id < $2)
           order by api_token_id desc
           limit $3"#,
        partner_id as _,
        page.after as _,
        page.limit,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// The partner that a token belongs to; `None` also for one that is not there, or is an admin's.
pub async fn owner(conn: &mut PgConnection, id: TokenId) -> Result<Option<PartnerId>> {
    let owner = sqlx::query_scalar!(
        r#"select partner_id as "partner_id!: PartnerId" from api_token
           where api_token_id = $1 and partner_id is not null"#,
        id as _,
    );
    Ok(owner.fetch_optional(conn).await?)
}

/// Deletes a token: whoever has it is refused from then on. `false`: there is no such token.
pub async fn delete(conn: &mut PgConnection, id: TokenId) -> Result<bool> {
    let deleted = sqlx::query!("delete from api_token where api_token_id = $1", id as _);
    let deleted = deleted.execute(&mut *conn).await?.rows_affected() > 0;
    super::wake::tokens(conn).await?;
    Ok(deleted)
}
