//! Idempotency keys: a request that creates something creates it once, however often it is sent.
//!
//! Guarantees: the key, the thing and the answer commit together. A second request with the same key waits for the
//! first one's transaction and then sees its answer, or, if that failed, takes its place. Keys are good for 24 hours.

use sqlx::PgConnection;

use super::Result;
use crate::model::token::TokenHash;

/// A key and what was asked for with it.
#[derive(Debug, Clone)]
pub struct Request {
    pub caller: TokenHash,
    pub key: String,
    /// SHA-256 over what was asked for.
    pub fingerprint: [u8; 32],
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It is new: go on, and [`keep`] the answer in the same transaction.
    New,
    /// It was answered: the sealed answer.
    Answered(Vec<u8>),
    /// It was used for something else.
    OtherRequest,
}

/// Claims a key for the caller's transaction; waits while another one has it.
pub async fn claim(conn: &mut PgConnection, request: &Request) -> Result<Claim> {
    forget_one_if_old(conn, request).await?;
    let claimed = sqlx::query!(
        "insert into idempotency_key (token_hash, idempotency_key, fingerprint) values ($1, $2, $3)
         on conflict do nothing",
        request.caller.0.as_slice(),
        request.key,
        request.fingerprint.as_slice(),
    );
    if claimed.execute(&mut *conn).await?.rows_affected() > 0 {
        return Ok(Claim::New);
    }
    let known = sqlx::query!(
        "select fingerprint, answer from idempotency_key where token_hash = $1 and idempotency_key = $2",
        request.caller.0.as_slice(),
        request.key,
    );
    Ok(match known.fetch_optional(conn).await? {
        Some(row) if row.fingerprint != request.fingerprint => Claim::OtherRequest,
        Some(row) => row.answer.map_or(Claim::New, Claim::Answered),
        None => Claim::New,
    })
}

async fn forget_one_if_old(conn: &mut PgConnection, request: &Request) -> Result<()> {
    let forgotten = sqlx::query!(
        "delete from idempotency_key
         where token_hash = $1 and idempotency_key = $2 and created_at < now() - interval '24 hours'",
        request.caller.0.as_slice(),
        request.key,
    );
    forgotten.execute(conn).await?;
    Ok(())
}

/// Keeps the answer to a claimed request.
pub async fn keep(conn: &mut PgConnection, request: &Request, answer: &[u8]) -> Result<()> {
    let kept = sqlx::query!(
        "update idempotency_key set answer = $3 where token_hash = $1 and idempotency_key = $2",
        request.caller.0.as_slice(),
        request.key,
        answer,
    );
    kept.execute(conn).await?;
    Ok(())
}

/// Forgets up to 10 000 keys that are older than 24 hours; answers how many. Call it now and then.
pub async fn forget_old(conn: &mut PgConnection) -> Result<u64> {
    let forgotten = sqlx::query!(
        "delete from idempotency_key
         where (token_hash, idempotency_key) in (
             select token_hash, idempotency_key from idempotency_key
             where created_at < now() - interval '24 hours'
             limit 10000)",
    );
    Ok(forgotten.execute(conn).await?.rows_affected())
}
