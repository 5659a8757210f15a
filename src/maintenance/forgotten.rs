//! Giving up what is held for endpoints that were disabled and forgotten.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection as _, PgConnection};

use super::{BATCH, BATCHES};
use crate::model::announcement::{Announcement, is_own, is_test};
use crate::store;
use crate::store::delivery::held;
use crate::store::event::announce::announce;

/// Gives up what has been held for longer than `bound`, and tells of each as of any other that is given up. Answers how
/// many; what is left is given up by the next runs.
pub(super) async fn give_up(
    conn: &mut PgConnection,
    bound: Duration,
    now: DateTime<Utc>,
) -> store::Result<u64> {
    held::note_disabled(conn, now).await?;
    let bound = TimeDelta::from_std(bound).unwrap_or(TimeDelta::MAX);
    let Some(cutoff) = now.checked_sub_signed(bound) else { return Ok(0) };
    let reason = format!("its endpoint has been disabled, and this delivery held, for {}", in_words(bound));
    let (mut given_up, mut tests) = (0, 0);
    for _ in 0..BATCHES {
        let mut tx = conn.begin().await?;
        let Some(place) = held::find_forgotten(&mut tx, cutoff).await? else { break };
        let batch = held::give_up(&mut tx, place, (cutoff, &reason), BATCH).await?;
        let told = batch.iter().filter(|one| !is_own(&one.event)).map(Announcement::exhausted);
        announce(&mut tx, &told.collect::<Vec<_>>()).await?;
        tx.commit().await?;
        tracing::warn!(
            partner.id = %place.0, endpoint.id = %place.1, deliveries = batch.len(),
            "deliveries that were held for a disabled endpoint for too long are given up"
        );
        given_up += batch.len() as u64;
        tests += batch.iter().filter(|one| is_test(&one.event)).count() as u64;
    }
    metrics::counter!("relay_deliveries_total", "outcome" => "exhausted").increment(given_up - tests);
    Ok(given_up)
}

fn in_words(bound: TimeDelta) -> String {
    match bound.num_days() {
        1 => "a day".to_owned(),
        days => format!("{days} days"),
    }
}
