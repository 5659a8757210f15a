//! Signing secrets of endpoints: one is current, retired ones sign until their hour.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::id::{EndpointId, PartnerId};
use crate::model::seal::MasterKey;
use crate::store::Result;
use crate::store::partner::tell_others;

/// The most secrets an endpoint signs with at a time: each is one more signature in a header.
pub const MOST_AT_A_TIME: i64 = 5;

/// The context of an endpoint's sealed secrets.
pub fn context(endpoint_id: EndpointId) -> String {
    format!("endpoint_secret/{}", endpoint_id.uuid())
}

/// A secret to be added.
#[derive(Debug)]
pub struct NewSecret<'a> {
    pub partner_id: PartnerId,
    pub endpoint_id: EndpointId,
    pub secret: &'a SecretString,
}

/// Makes a secret the current one. Whatever was current before signs until `retire_at`; what is over, and the oldest
/// beyond five, is forgotten.
pub async fn rotate(
    conn: &mut PgConnection,
    key: &MasterKey,
    new: &NewSecret<'_>,
    retire_at: DateTime<Utc>,
) -> Result<()> {
    let revised = sqlx::query!(
        "update endpoint set revision = revision + 1, updated_at = now() where partner_id = $1 and endpoint_id = $2",
        new.partner_id as _,
        new.endpoint_id as _,
    );
    revised.execute(&mut *conn).await?;
    retire(conn, new, retire_at).await?;
    add(conn, key, new).await?;
    tell_others(conn).await
}

/// Adds the first secret of a new endpoint.
pub async fn add(conn: &mut PgConnection, key: &MasterKey, new: &NewSecret<'_>) -> Result<()> {
    let added = sqlx::query!(
        "insert into endpoint_secret (partner_id, endpoint_id, endpoint_secret_id, secret) values ($1, $2, $3, $4)",
        new.partner_id as _,
        new.endpoint_id as _,
        Uuid::now_v7(),
        key.seal_text(&context(new.endpoint_id), new.secret),
    );
    added.execute(conn).await?;
    Ok(())
}

async fn retire(conn: &mut PgConnection, new: &NewSecret<'_>, retire_at: DateTime<Utc>) -> Result<()> {
    let retired = sqlx::query!(
        "update endpoint_secret set expires_at = $3
         where partner_id = $1 and endpoint_id = $2 and expires_at is null",
        new.partner_id as _,
        new.endpoint_id as _,
        retire_at,
    );
    retired.execute(&mut *conn).await?;
    let over = sqlx::query!(
        "delete from endpoint_secret s
         where partner_id = $1 and endpoint_id = $2
           and (expires_at <= now() or endpoint_secret_id not in (
               select endpoint_secret_id from endpoint_secret
               where partner_id = $1 and endpoint_id = $2
               order by endpoint_secret_id desc
               limit $3))",
        new.partner_id as _,
        new.endpoint_id as _,
        MOST_AT_A_TIME - 1,
    );
    over.execute(conn).await?;
    Ok(())
}
