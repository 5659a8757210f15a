//! Sending what waits for its retry at once: the endpoint answers again.

use sqlx::PgPool;

use crate::model::queue::Place;
use crate::store::{Result, due};

/// Rows of one statement: short enough to keep nobody waiting.
const BATCH: i64 = 1000;

/// Makes everything due that failed while an endpoint did not answer, except what the receiver asked to be spared.
/// Looks at no more than what waited when it began, so that it ends whatever fails meanwhile.
pub async fn hasten(pool: &PgPool, (partner, endpoint): Place) -> Result<()> {
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
                   order by next_attempt_at limit $3 for update skip locked) as waiting
             where delivery.partner_id = waiting.partner_id and delivery.delivery_id = waiting.delivery_id",
            partner.uuid(),
            endpoint.uuid(),
            BATCH,
        );
        let hastened = hastened.execute(&mut *tx).await?.rows_affected();
        tx.commit().await?;
        if hastened == 0 {
            break;
        }
    }
    Ok(())
}
