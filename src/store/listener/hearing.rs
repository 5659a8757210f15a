//! What is heard by whom, and the gaps in it. Each function is one step that all listeners take one after the other, so
//! that a span in which nobody heard a partner is always seen by somebody.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::SLOT_CLASS;
use crate::model::id::{GapId, PartnerId};
use crate::store::Result;

/// A listener whose last sign of life is older than this is not counted on.
const SILENCE_SECONDS: f64 = 8.0;

/// Begins to listen on a slot. What its predecessor heard and nobody else hears is a gap since the time until which
/// everything that it heard is known to be safe.
pub async fn begin(pool: &PgPool, slot: i32, now: DateTime<Utc>) -> Result<()> {
    let mut tx = pool.begin().await?;
    serialise(&mut tx).await?;
    let before = sqlx::query!("select partner_ids, proven_at from listener where slot = $1", slot);
    if let Some(before) = before.fetch_optional(&mut *tx).await? {
        let partners: Vec<PartnerId> = before.partner_ids.into_iter().map(PartnerId::from).collect();
        open_gaps(&mut tx, slot, (&partners, before.proven_at), "the listener ended without a word").await?;
    }
    sqlx::query!(
        "insert into listener (slot, proven_at) values ($1, $2)
         on conflict (slot) do update set partner_ids = '{}', heartbeat_at = now(), proven_at = excluded.proven_at",
        slot,
        now,
    )
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

/// A partner is heard on this slot from `at` on: its gap, if one is open, is over.
pub async fn confirmed(pool: &PgPool, slot: i32, (partner, at): (PartnerId, DateTime<Utc>)) -> Result<()> {
    let mut tx = pool.begin().await?;
    serialise(&mut tx).await?;
    sqlx::query!(
        "update listener set partner_ids = array_append(array_remove(partner_ids, $2), $2), heartbeat_at = now()
         where slot = $1",
        slot,
        partner.uuid(),
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update gap set ended_at = greatest(started_at, $2), next_repair_at = now()
         where partner_id = $1 and ended_at is null",
        partner.uuid(),
        at,
    )
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

/// A partner is not heard on this slot since `since`. A gap, unless another listener hears it.
pub async fn lost(
    pool: &PgPool,
    slot: i32,
    (partner, since): (PartnerId, DateTime<Utc>),
    reason: &str,
) -> Result<()> {
    let mut tx = pool.begin().await?;
    serialise(&mut tx).await?;
    sqlx::query!(
        "update listener set partner_ids = array_remove(partner_ids, $2), heartbeat_at = now() where slot = $1",
        slot,
        partner.uuid(),
    )
    .execute(&mut *tx)
    .await?;
    open_gaps(&mut tx, slot, (&[partner], since), reason).await?;
    Ok(tx.commit().await?)
}

/// A sign of life, and until when everything that was heard is safe; `None`: no further than before.
pub async fn beat(pool: &PgPool, slot: i32, proven: Option<DateTime<Utc>>) -> Result<()> {
    sqlx::query!(
        "update listener set heartbeat_at = now(), proven_at = greatest(proven_at, $2) where slot = $1",
        slot,
        proven,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// A span in which messages of a partner were heard and could not be kept: over already, to be repaired like any gap.
pub async fn dropped(
    conn: &mut PgConnection,
    partner: PartnerId,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
) -> Result<()> {
    sqlx::query!(
        "insert into gap (partner_id, gap_id, started_at, ended_at, reason)
         values ($1, $2, $3, $4, 'messages could be neither kept nor spooled')",
        partner.uuid(),
        GapId::new().uuid(),
        from,
        to,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn serialise(conn: &mut PgConnection) -> Result<()> {
    sqlx::query!("select pg_advisory_xact_lock($1, -1)", SLOT_CLASS).execute(conn).await?;
    Ok(())
}

async fn open_gaps(
    conn: &mut PgConnection,
    slot: i32,
    (partners, since): (&[PartnerId], DateTime<Utc>),
    reason: &str,
) -> Result<()> {
    sqlx::query!(
        "insert into gap (partner_id, gap_id, started_at, reason)
         select lost.partner_id, lost.gap_id, $3, $4
         from unnest($1::uuid[], $2::uuid[]) as lost (partner_id, gap_id)
         join partner on partner.partner_id = lost.partner_id and partner.deleted_at is null
         where not exists (
             select from listener as other
             join pg_locks on locktype = 'advisory' and granted and classid::bigint = $6 and objid::bigint = other.slot
              and database = (select oid from pg_database where datname = current_database())
             where other.slot <> $5 and lost.partner_id = any(other.partner_ids)
               and other.heartbeat_at > now() - make_interval(secs => $7))
         on conflict (partner_id) where ended_at is null do nothing",
        &partners.iter().map(|partner| partner.uuid()).collect::<Vec<Uuid>>(),
        &partners.iter().map(|_| GapId::new().uuid()).collect::<Vec<Uuid>>(),
        since,
        reason,
        slot,
        i64::from(SLOT_CLASS),
        SILENCE_SECONDS,
    )
    .execute(conn)
    .await?;
    Ok(())
}
