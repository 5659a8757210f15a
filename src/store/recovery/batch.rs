//! The work of a recovery, one batch at a time.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::id::{DeliveryId, EndpointId, EventId, PartnerId, RecoveryId};
use crate::model::recovery::{RecoveryScope, event_ids};
use crate::store::delivery::by_hand::{self, Owed};
use crate::store::{Result, wake};

/// Fewest and most deliveries of a batch, if the endpoint's cap does not say.
const BATCH: std::ops::RangeInclusive<i64> = 16..=500;

/// What there was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A batch was owed, or a recovery ended.
    Worked,
    /// All recoveries wait until their last batch has been sent.
    Waits,
    /// There are none.
    Nothing,
}

struct Running {
    partner_id: PartnerId,
    recovery_id: RecoveryId,
    endpoint_id: EndpointId,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    scope: RecoveryScope,
    after_event_id: Uuid,
    /// `None`: the endpoint is deleted.
    max_in_flight: Option<i32>,
}

/// Owes the next batch of a recovery that nobody else works on.
pub async fn step(tx: &mut PgConnection) -> Result<Step> {
    let Some(running) = lock_one(tx).await? else {
        let any =
            sqlx::query_scalar!(r#"select exists (select from recovery where state = 'running') as "any!""#);
        return Ok(if any.fetch_one(tx).await? { Step::Waits } else { Step::Nothing });
    };
    let Some(cap) = running.max_in_flight else {
        end(tx, &running, "cancelled").await?;
        return Ok(Step::Worked);
    };
    let most = (4 * i64::from(cap)).clamp(*BATCH.start(), *BATCH.end());
    let (owed, last) = next(tx, &running, most).await?;
    let deliveries: Vec<Owed> = owed
        .iter()
        .map(|(event_id, order_id)| Owed {
            event_id: *event_id,
            order_id: order_id.clone(),
            endpoint_id: running.endpoint_id,
            delivery_id: DeliveryId::new(),
        })
        .collect();
    let batch = by_hand::owe(tx, running.partner_id, &deliveries).await?;
    progress(tx, &running, (deliveries.len(), &batch), last.or(owed.last().map(|(id, _)| *id))).await?;
    let is_over = last.is_none() && i64::try_from(owed.len()).is_ok_and(|count| count < most);
    if is_over {
        end(tx, &running, "finished").await?;
    }
    if !batch.is_empty() {
        wake::deliveries(tx).await?;
    }
    Ok(Step::Worked)
}

async fn lock_one(tx: &mut PgConnection) -> Result<Option<Running>> {
    let running = sqlx::query_as!(
        Running,
        r#"select r.partner_id as "partner_id: _", r.recovery_id as "recovery_id: _", r.endpoint_id as "endpoint_id: _",
                  r.since, r.until, r.scope as "scope: _", r.after_event_id,
                  (select max_in_flight from endpoint e
                   where e.partner_id = r.partner_id and e.endpoint_id = r.endpoint_id and e.deleted_at is null)
           from recovery r
           where state = 'running'
             and 2 * (select count(*) from delivery d
                      where d.partner_id = r.partner_id and d.delivery_id = any (r.batch)
                        and d.state = 'pending' and d.attempts = d.schedule_start) <= cardinality(r.batch)
           limit 1
           for update of r skip locked"#,
    );
    Ok(running.fetch_optional(tx).await?)
}

/// The next events to be owed, and, if there were fewer than a batch but more to look at, the last one looked at.
async fn next(
    tx: &mut PgConnection,
    running: &Running,
    most: i64,
) -> Result<(Vec<(EventId, Option<String>)>, Option<EventId>)> {
    let (_, until_id) = event_ids(running.since, running.until);
    let rows = sqlx::query_file!(
        "src/store/recovery/next.sql",
        running.partner_id.uuid(),
        running.endpoint_id.uuid(),
        running.after_event_id,
        until_id,
        running.since,
        running.until,
        running.scope as _,
        most,
    );
    let (mut owed, mut last) = (Vec::new(), None);
    for row in rows.fetch_all(tx).await? {
        if row.owed {
            owed.push((row.event_id, row.order_id));
        } else {
            last = Some(row.event_id);
        }
    }
    Ok((owed, last))
}

async fn progress(
    tx: &mut PgConnection,
    running: &Running,
    (count, batch): (usize, &[DeliveryId]),
    last: Option<EventId>,
) -> Result<()> {
    let noted = sqlx::query!(
        "update recovery set done = done + $3, batch = $4, after_event_id = coalesce($5, after_event_id)
         where partner_id = $1 and recovery_id = $2",
        running.partner_id.uuid(),
        running.recovery_id.uuid(),
        i64::try_from(count).unwrap_or(0),
        &batch.iter().map(|id| id.uuid()).collect::<Vec<Uuid>>(),
        last.map(EventId::uuid),
    );
    noted.execute(tx).await?;
    Ok(())
}

async fn end(tx: &mut PgConnection, running: &Running, state: &str) -> Result<()> {
    let ended = sqlx::query!(
        "update recovery set state = $3::text::recovery_state, finished_at = now(),
             total = case when total_is_at_least and $3 = 'finished' then done else total end,
             total_is_at_least = total_is_at_least and $3 <> 'finished'
         where partner_id = $1 and recovery_id = $2",
        running.partner_id.uuid(),
        running.recovery_id.uuid(),
        state,
    );
    ended.execute(tx).await?;
    Ok(())
}
