//! Bringing what an endpoint is owed in line with what the endpoint is: held while it is disabled, pending while it is
//! enabled, in no lane unless it is ordered, cancelled when it is deleted. (What stands outside of the lanes of an ordered
//! endpoint enters them when it would be sent.)
//!
//! Guarantees: done in steps that are short whatever an endpoint is owed, so that nobody waits for them: the first one
//! together with the change of the endpoint, the others by the dispatchers, each a transaction of its own; what a crash
//! interrupts goes on with the next step, of whichever process comes first. Also found is what somebody wrote at the very
//! moment at which the endpoint changed, believing it to be as it was: for [`WATCHED`] a changed endpoint is looked at again
//! and again, and that is longer than anybody's transaction lasts and any lease.
//! Does not guarantee: that nothing is out of line between two looks. See ADR 8.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::delivery::LEASE;
use crate::model::id::{EndpointId, PartnerId};
use crate::model::queue::Place;
use crate::store::delivery::lane::{self, LaneKey};
use crate::store::{Result, due, wake};

/// Deliveries of one step: some milliseconds of work.
pub const STEP: i64 = 500;

/// How long an endpoint that changed is looked at.
const WATCHED: Duration = Duration::from_mins(3);
const _: () = assert!(WATCHED.as_secs() > 2 * LEASE.as_secs());

/// Notes that these endpoints changed in a way that what they are owed must follow, in the transaction that changes them.
pub async fn note_change(conn: &mut PgConnection, places: impl IntoIterator<Item = Place>) -> Result<()> {
    let (partners, endpoints): (Vec<Uuid>, Vec<Uuid>) =
        places.into_iter().map(|(partner, endpoint)| (partner.uuid(), endpoint.uuid())).unzip();
    if partners.is_empty() {
        return Ok(());
    }
    let noted = sqlx::query!(
        "insert into endpoint_change (partner_id, endpoint_id)
         select partner_id, endpoint_id from unnest($1::uuid[], $2::uuid[]) as given (partner_id, endpoint_id)
         order by partner_id, endpoint_id
         on conflict on constraint endpoint_change_pkey
         do update set changed_at = excluded.changed_at, looked_at = excluded.looked_at",
        &partners,
        &endpoints,
    );
    noted.execute(conn).await?;
    Ok(())
}

/// Brings some deliveries of one endpoint in line, of the one that was looked at longest ago. `false`: everything is.
pub async fn step(tx: &mut PgConnection) -> Result<bool> {
    let found = sqlx::query_file!("src/store/endpoint/in_line.sql");
    let Some(found) = found.fetch_optional(&mut *tx).await? else {
        forget_old_changes(tx).await?;
        return Ok(false);
    };
    let place = (found.partner_id, found.endpoint_id);
    bring(tx, place).await?;
    let looked = sqlx::query!(
        "update endpoint_change set looked_at = now() where partner_id = $1 and endpoint_id = $2",
        place.0 as _,
        place.1 as _,
    );
    looked.execute(&mut *tx).await?;
    wake::deliveries(tx).await?;
    Ok(true)
}

/// Everything is in line, and who wrote while an endpoint changed is done.
async fn forget_old_changes(tx: &mut PgConnection) -> Result<()> {
    let forgotten = sqlx::query!(
        "delete from endpoint_change using (
             select partner_id, endpoint_id from endpoint_change
             where changed_at < now() - make_interval(secs => $1) for update skip locked) as old
         where endpoint_change.partner_id = old.partner_id and endpoint_change.endpoint_id = old.endpoint_id",
        WATCHED.as_secs_f64(),
    );
    forgotten.execute(tx).await?;
    Ok(())
}

/// Brings some deliveries of this endpoint in line, unless somebody is at it.
pub async fn bring(tx: &mut PgConnection, place: Place) -> Result<()> {
    let endpoint = sqlx::query!(
        r#"select state = 'enabled' as "enabled!", deleted_at is not null as "deleted!", ordered from endpoint
           where partner_id = $1 and endpoint_id = $2 for no key update skip locked"#,
        place.0 as _,
        place.1 as _,
    );
    let Some(endpoint) = endpoint.fetch_optional(&mut *tx).await? else { return Ok(()) };
    if endpoint.deleted {
        return cancel(tx, place).await;
    }
    if endpoint.enabled {
        resume(tx, place, endpoint.ordered).await?;
    } else {
        hold(tx, place).await?;
    }
    if !endpoint.ordered {
        lane::dissolve(tx, place, STEP).await?;
    }
    Ok(())
}

/// What was held is pending, the oldest first, on a schedule that starts anew.
async fn resume(tx: &mut PgConnection, (partner, endpoint): Place, ordered: bool) -> Result<()> {
    due::note_now(tx, [(partner, endpoint)]).await?;
    let resumed = sqlx::query!(
        r#"update delivery
           set state = 'pending', schedule_start = attempts, not_before = null,
               next_attempt_at = case when $4 and order_id is not null then '9999-01-01Z' else now() end,
               position = case when $4 and order_id is not null
                              then coalesce(position, nextval('delivery_position')) end
           from (select delivery_id from delivery
                 where partner_id = $1 and endpoint_id = $2 and state = 'held'
                 order by delivery_id limit $3 for update skip locked) as held
           where delivery.partner_id = $1 and delivery.delivery_id = held.delivery_id
           returning delivery.order_id"#,
        partner as _,
        endpoint as _,
        STEP,
        ordered,
    );
    let resumed = resumed.fetch_all(&mut *tx).await?;
    if !ordered {
        return Ok(());
    }
    let orders = resumed.into_iter().filter_map(|row| row.order_id);
    let lanes = orders.map(|order_id| LaneKey { partner_id: partner, endpoint_id: endpoint, order_id });
    lane::advance(tx, &lanes.collect::<Vec<_>>()).await
}

/// What waits is held, a step of it; what is under way keeps its state, so that its answer still counts.
pub async fn hold(tx: &mut PgConnection, (partner, endpoint): (PartnerId, EndpointId)) -> Result<()> {
    let held = sqlx::query!(
        "update delivery set state = 'held', next_attempt_at = null, leased_at = null
         from (select delivery_id from delivery
               where partner_id = $1 and endpoint_id = $2 and state = 'pending'
                 and (leased_at is null or next_attempt_at <= now())
               limit $3 for update skip locked) as waiting
         where delivery.partner_id = $1 and delivery.delivery_id = waiting.delivery_id",
        partner as _,
        endpoint as _,
        STEP,
    );
    held.execute(tx).await?;
    Ok(())
}

async fn cancel(tx: &mut PgConnection, (partner, endpoint): (PartnerId, EndpointId)) -> Result<()> {
    let cancelled = sqlx::query!(
        "update delivery set state = 'cancelled', next_attempt_at = null, leased_at = null, finished_at = now()
         from (select delivery_id from delivery
               where partner_id = $1 and endpoint_id = $2 and state in ('pending', 'held')
               limit $3 for update skip locked) as owed
         where delivery.partner_id = $1 and delivery.delivery_id = owed.delivery_id",
        partner as _,
        endpoint as _,
        STEP,
    );
    cancelled.execute(tx).await?;
    Ok(())
}
