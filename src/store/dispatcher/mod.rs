//! Tables `dispatcher` and `endpoint_lease`: which dispatchers are alive, and which endpoint is whose.
//!
//! Guarantees: an endpoint is leased to one dispatcher at a time, until that one lets go or is found dead. A dispatcher
//! is dead when its heartbeat is older than [`DEAD_AFTER`], or already after three seconds if the session that held its
//! lock has ended, as it does when a process is killed.
//! Does not guarantee: that a process which lost its database for longer than that has no request under way when
//! another begins; it starts none.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::model::delivery::LEASE;
use crate::model::id::{EndpointId, PartnerId};
use crate::model::queue::{Leased, Place};
use crate::store::Result;

/// A dispatcher whose heartbeat is older has died or hangs.
pub const DEAD_AFTER: Duration = Duration::from_secs(15);

/// One run of a dispatcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DispatcherId(pub Uuid);

impl DispatcherId {
    /// A new one.
    #[expect(clippy::new_without_default, reason = "every call answers another id")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

/// Takes the lock that says this dispatcher is alive, for as long as the session lasts. If a session of its own that was
/// lost still holds it, its heartbeat must do.
pub async fn take_lock(conn: &mut PgConnection, id: DispatcherId) -> Result<()> {
    sqlx::query_scalar!("select pg_try_advisory_lock(hashtextextended($1::uuid::text, 0))", id.0)
        .fetch_one(conn)
        .await?;
    Ok(())
}

/// Says that a dispatcher is alive.
pub async fn beat(conn: &mut PgConnection, id: DispatcherId) -> Result<()> {
    let beat = sqlx::query!(
        "insert into dispatcher (dispatcher_id) values ($1)
         on conflict on constraint dispatcher_pkey do update set heartbeat_at = now()",
        id.0
    );
    beat.execute(conn).await?;
    Ok(())
}

/// Frees the endpoints of dispatchers that died and makes due what they had begun. Answers how many had died.
///
/// After a restart of Postgres everybody's lock is gone for a moment, so locks count only some seconds later.
pub async fn bury_the_dead(conn: &mut PgConnection, id: DispatcherId) -> Result<u64> {
    let buried = sqlx::query_file_scalar!(
        "src/store/dispatcher/bury.sql",
        id.0,
        DEAD_AFTER.as_secs_f64(),
        LEASE.as_secs_f64()
    );
    Ok(u64::try_from(buried.fetch_one(conn).await?).unwrap_or_default())
}

/// The endpoints leased to a dispatcher.
pub async fn leases(conn: &mut PgConnection, id: DispatcherId) -> Result<Vec<Leased>> {
    let rows = sqlx::query!(
        r#"select partner_id as "partner_id: PartnerId", endpoint_id as "endpoint_id: EndpointId",
                  lost_at is not null as "lost!", revision,
                  endpoint.state = 'enabled' and endpoint.deleted_at is null as "enabled!"
           from endpoint_lease join endpoint using (partner_id, endpoint_id)
           where dispatcher_id = $1"#,
        id.0,
    );
    let rows = rows.fetch_all(conn).await?;
    let leased = rows.into_iter().map(|row| Leased {
        place: (row.partner_id, row.endpoint_id),
        lost: row.lost,
        enabled: row.enabled,
        revision: row.revision,
    });
    Ok(leased.collect())
}

/// Lets endpoints go whose tokens are all there.
pub async fn let_go(pool: &PgPool, id: DispatcherId, endpoints: &[Place]) -> Result<()> {
    let freed = sqlx::query!(
        "delete from endpoint_lease where dispatcher_id = $1 and endpoint_id = any ($2)",
        id.0,
        &endpoints.iter().map(|(_, endpoint)| endpoint.uuid()).collect::<Vec<Uuid>>(),
    );
    freed.execute(pool).await?;
    Ok(())
}

/// Ends a dispatcher: its endpoints are free at once. How many tokens they have is forgotten.
pub async fn leave(pool: &PgPool, id: DispatcherId) -> Result<()> {
    let left = sqlx::query!(
        "with freed as (
             update endpoint_lease set dispatcher_id = null, lost_at = now() where dispatcher_id = $1
         )
         delete from dispatcher where dispatcher_id = $1",
        id.0,
    );
    left.execute(pool).await?;
    Ok(())
}
