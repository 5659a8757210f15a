//! Signing keys of endpoints: of each kind one is current, retired ones sign until their hour.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::endpoint::SignatureVersion;
use crate::model::id::{EndpointId, PartnerId};
use crate::model::queue::Place;
use crate::model::seal::MasterKey;
use crate::model::signing::{Ed25519Key, EndpointSecret};
use crate::store::Result;
use crate::store::partner::tell_others;

/// The most keys of a kind that an endpoint signs with at a time: each is one more signature in a header.
pub const MOST_AT_A_TIME: i64 = 5;

/// The context of an endpoint's sealed keys.
pub fn context(endpoint_id: EndpointId) -> String {
    format!("endpoint_secret/{}", endpoint_id.uuid())
}

/// A key that signs.
#[derive(Debug)]
pub enum SigningKey<'a> {
    /// For `v1`.
    Secret(&'a EndpointSecret),
    /// For `v1a`.
    Pair(&'a Ed25519Key),
}

impl SigningKey<'_> {
    const fn kind(&self) -> SignatureVersion {
        match self {
            Self::Secret(_) => SignatureVersion::V1,
            Self::Pair(_) => SignatureVersion::V1a,
        }
    }

    fn expose(&self) -> SecretString {
        match self {
            Self::Secret(secret) => secret.expose(),
            Self::Pair(pair) => pair.expose(),
        }
    }

    fn public(&self) -> Option<String> {
        match self {
            Self::Secret(_) => None,
            Self::Pair(pair) => Some(pair.public()),
        }
    }
}

/// Makes keys the current ones of their kinds. Whatever was current of a kind before signs until `retire_at`; what is
/// over, and the oldest beyond five of a kind, is forgotten. `false`: the endpoint is deleted, and nothing is written.
pub async fn rotate(
    conn: &mut PgConnection,
    key: &MasterKey,
    (place, new): (Place, &[SigningKey<'_>]),
    retire_at: DateTime<Utc>,
) -> Result<bool> {
    let revised = sqlx::query!(
        "update endpoint set revision = revision + 1, updated_at = now()
         where partner_id = $1 and endpoint_id = $2 and deleted_at is null",
        place.0 as _,
        place.1 as _,
    );
    if revised.execute(&mut *conn).await?.rows_affected() == 0 {
        return Ok(false);
    }
    for one in new {
        retire(conn, (place, one.kind()), retire_at).await?;
        add(conn, key, (place, one)).await?;
    }
    tell_others(conn).await?;
    Ok(true)
}

/// Adds the first key of its kind.
pub async fn add(
    conn: &mut PgConnection,
    key: &MasterKey,
    ((partner_id, endpoint_id), new): (Place, &SigningKey<'_>),
) -> Result<()> {
    let added = sqlx::query!(
        "insert into endpoint_secret (partner_id, endpoint_id, endpoint_secret_id, secret, kind, public_key)
         values ($1, $2, $3, $4, $5, $6)",
        partner_id as _,
        endpoint_id as _,
        Uuid::now_v7(),
        key.seal_text(&context(endpoint_id), &new.expose()),
        new.kind() as _,
        new.public(),
    );
    added.execute(conn).await?;
    Ok(())
}

/// Makes a key pair unless there is one. Whoever calls has written the endpoint's row, so that nobody else does the
/// same now.
pub async fn ensure_pair(conn: &mut PgConnection, key: &MasterKey, place: Place) -> Result<()> {
    let there = sqlx::query_scalar!(
        r#"select exists (select from endpoint_secret
                          where partner_id = $1 and endpoint_id = $2 and kind = 'v1a' and expires_at is null) as "there!""#,
        place.0 as _,
        place.1 as _,
    );
    if there.fetch_one(&mut *conn).await? {
        return Ok(());
    }
    add(conn, key, (place, &SigningKey::Pair(&Ed25519Key::generate()))).await
}

async fn retire(
    conn: &mut PgConnection,
    ((partner_id, endpoint_id), kind): ((PartnerId, EndpointId), SignatureVersion),
    retire_at: DateTime<Utc>,
) -> Result<()> {
    let retired = sqlx::query!(
        "update endpoint_secret set expires_at = $3
         where partner_id = $1 and endpoint_id = $2 and kind = $4 and expires_at is null",
        partner_id as _,
        endpoint_id as _,
        retire_at,
        kind as _,
    );
    retired.execute(&mut *conn).await?;
    let over = sqlx::query!(
        "delete from endpoint_secret s
         where partner_id = $1 and endpoint_id = $2 and kind = $4
           and (expires_at <= now() or endpoint_secret_id not in (
               select endpoint_secret_id from endpoint_secret
               where partner_id = $1 and endpoint_id = $2 and kind = $4
               order by endpoint_secret_id desc
               limit $3))",
        partner_id as _,
        endpoint_id as _,
        MOST_AT_A_TIME - 1,
        kind as _,
    );
    over.execute(conn).await?;
    Ok(())
}
