//! Sending what waits for its retry at once: the endpoint answers again.

use std::time::Duration;

use sqlx::PgPool;

use crate::model::queue::Place;
use crate::store::{Result, due};

/// Rows of one statement: short enough to keep nobody waiting.
const BATCH: i64 = 1000;

/// Nothing waits for longer.
const LONGEST: Duration = Duration::from_hours(100 * 24);

/// Allows for a database whose clock is not quite that of this process.
const SLACK: Duration = Duration::from_secs(2);

/// Makes everything due that was tried `within` this time and failed because the endpoint was down, except what the
/// receiver asked to be spared. What had failed before, while the endpoint was up, waits for its own time.
/// Looks at no more than what waited when it began, so that it ends whatever fails meanwhile.
pub async fn hasten(pool: &PgPool, (partner, endpoint): Place, within: Duration) -> Result<()> {
    let waiting = sqlx::query_scalar!(
        r#"select count(*) as "count!" from delivery
           where partner_id = $1 and endpoint_id = $2 and state = 'pending'
             and next_attempt_at > now() and next_attempt_at < '9999-01-01Z'"#,
        partner.uuid(),
        endpoint.uuid(),
    );
    let rounds = waiting.fetch_one(pool).await? / BATCH + 1;
    for _ in 0..rounds {
        let mut tx = pool.begin().await?;
        due::note_now(&mut tx, [(partner, endpoint)]).await?;
        let hastened = sqlx::query!(
            "update delivery set next_attempt_at = now()
             from (select partner_id, delivery_id from delivery
                   where partner_id = $1 and endpoint_id = $2 and state = 'pending'
                     and next_attempt_at > now() and next_attempt_at < '9999-01-01Z'
                     and leased_at is null and (not_before is null or not_before <= now())
                     and exists (select from attempt
                                 where attempt.partner_id = delivery.partner_id and attempt.delivery_id = delivery.delivery_id
                                   and attempt.at >= now() - make_interval(secs => $4) offset 0)
                   order by next_attempt_at limit $3 for update skip locked) as waiting
             where delivery.partner_id = waiting.partner_id and delivery.delivery_id = waiting.delivery_id",
            partner.uuid(),
            endpoint.uuid(),
            BATCH,
            within.saturating_add(SLACK).min(LONGEST).as_secs_f64(),
        );
        let hastened = hastened.execute(&mut *tx).await?.rows_affected();
        tx.commit().await?;
        if hastened == 0 {
            break;
        }
    }
    Ok(())
}
