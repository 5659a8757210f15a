//! Tables `master_key_check` and `master_key_holder`: which keys the database is used with, and who has them.
//!
//! Guarantees: a process with another key notices at start and says so while it runs. Which key seals is one row's word
//! for all processes; each looks every few seconds.

pub mod reseal;
pub mod sealed;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Result;
use crate::model::seal::{KeyId, MasterKey, SealError};

const CONTEXT: &str = "master_key_check";

/// A process that has not shown itself for so many seconds is gone.
const GONE_AFTER: f64 = 60.0;

/// Whether this process has every key the database is used with. The first key that asks becomes that one. The key
/// that is to seal does from now on.
///
/// # Errors
/// [`SealError::OtherKey`] (as [`super::Error::Seal`]) if it has not.
pub async fn check(conn: &mut PgConnection, key: &MasterKey) -> Result<()> {
    sqlx::query!(
        "insert into master_key_check (key_id, sealed)
         select $1, $2 where not exists (select from master_key_check)
         on conflict do nothing",
        &key.id()[..],
        key.seal(CONTEXT, CONTEXT.as_bytes()),
    )
    .execute(&mut *conn)
    .await?;
    let kept = sqlx::query!("select sealed, seals from master_key_check").fetch_all(&mut *conn).await?;
    for check in kept {
        key.open(CONTEXT, &check.sealed)?;
    }
    if look(conn, key).await? { Ok(()) } else { Err(SealError::OtherKey.into()) }
}

/// Seals with the key that is to seal. `false`: this process lacks a key that the database is used with.
pub async fn look(conn: &mut PgConnection, key: &MasterKey) -> Result<bool> {
    let kept = sqlx::query!("select key_id, seals from master_key_check order by seals desc");
    let held = key.ids();
    let mut has_all = true;
    for one in kept.fetch_all(conn).await? {
        let id = KeyId::try_from(one.key_id.as_slice()).unwrap_or_default();
        has_all &= if one.seals { key.seal_with(id) } else { held.contains(&id) };
    }
    Ok(has_all)
}

/// Shows which keys a running process has. Answers as [`look`] does.
pub async fn hold(pool: &PgPool, holder: Uuid, key: &MasterKey) -> Result<bool> {
    let mut conn = pool.acquire().await?;
    let has_all = look(&mut conn, key).await?;
    sqlx::query!(
        "with gone as (
             delete from master_key_holder where heartbeat_at < now() - make_interval(secs => $4) and holder_id <> $1
         )
         insert into master_key_holder (holder_id, key_ids, seals_with) values ($1, $2, $3)
         on conflict on constraint master_key_holder_pkey
         do update set key_ids = excluded.key_ids, seals_with = excluded.seals_with, heartbeat_at = now()",
        holder,
        &key.ids().iter().map(|id| id.to_vec()).collect::<Vec<_>>(),
        &key.seals_with()[..],
        GONE_AFTER,
    )
    .execute(&mut *conn)
    .await?;
    Ok(has_all)
}

/// A process that ends has no keys any more.
pub async fn let_go(pool: &PgPool, holder: Uuid) -> Result<()> {
    sqlx::query!("delete from master_key_holder where holder_id = $1", holder).execute(pool).await?;
    Ok(())
}

/// How many running processes do not have a key.
pub async fn lacking(conn: &mut PgConnection, id: KeyId) -> Result<i64> {
    let lacking = sqlx::query_scalar!(
        r#"select count(*) as "count!" from master_key_holder
           where heartbeat_at > now() - make_interval(secs => $2) and not $1 = any (key_ids)"#,
        &id[..],
        GONE_AFTER,
    );
    Ok(lacking.fetch_one(conn).await?)
}

/// How many running processes still seal with another key.
pub async fn sealing_otherwise(conn: &mut PgConnection, id: KeyId) -> Result<i64> {
    let others = sqlx::query_scalar!(
        r#"select count(*) as "count!" from master_key_holder
           where heartbeat_at > now() - make_interval(secs => $2) and seals_with <> $1"#,
        &id[..],
        GONE_AFTER,
    );
    Ok(others.fetch_one(conn).await?)
}

/// From now on the newer of the two keys seals, in every process that has both.
pub async fn begin(conn: &mut PgConnection, key: &MasterKey) -> Result<()> {
    let id = key.id();
    sqlx::query!("update master_key_check set seals = false where key_id <> $1 and seals", &id[..])
        .execute(&mut *conn)
        .await?;
    key.seal_with(id);
    sqlx::query!(
        "insert into master_key_check (key_id, sealed) values ($1, $2)
         on conflict on constraint master_key_check_pkey do update set seals = true",
        &id[..],
        key.seal(CONTEXT, CONTEXT.as_bytes()),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets the keys that seal nothing any more. A process that has only those refuses to start.
pub async fn finish(conn: &mut PgConnection) -> Result<()> {
    sqlx::query!("delete from master_key_check where not seals").execute(conn).await?;
    Ok(())
}
