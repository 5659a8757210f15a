//! Recoveries: owing an endpoint again what it missed in a span of time.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is owed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "recovery_scope", rename_all = "lowercase")]
pub enum RecoveryScope {
    /// What was given up.
    Failed,
    /// What it asks for and was never owed, because it was registered or asked for it later.
    Missing,
    /// Everything it asks for or was ever owed, delivered or not.
    All,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "recovery_state", rename_all = "lowercase")]
pub enum RecoveryState {
    /// Under way.
    Running,
    /// Everything is owed. What becomes of the deliveries is shown by themselves.
    Finished,
    /// Somebody cancelled it, or its endpoint was deleted.
    Cancelled,
}

/// A message may wait in the spool for so long before it becomes an event: event ids are that much later than messages.
const LONGEST_SPOOLED: TimeDelta = TimeDelta::days(1);

/// The id of an event is made by another clock than its time of receipt if one process hears a message and another keeps
/// it: so much earlier than the message it may be.
const CLOCKS_APART: TimeDelta = TimeDelta::hours(1);

/// Between which event ids the events of a span lie. Ids begin with the milliseconds of their making (RFC 9562 §5.7). No
/// clock of today's takes part: that of the process that heard the events may have been ahead of it.
pub fn event_ids(since: DateTime<Utc>, until: DateTime<Utc>) -> (Uuid, Uuid) {
    let first = since.checked_sub_signed(CLOCKS_APART).unwrap_or(since);
    let last = until.checked_add_signed(LONGEST_SPOOLED).unwrap_or(until);
    (id_at(first.timestamp_millis() - 1), id_at(last.timestamp_millis() + 1))
}

fn id_at(milliseconds: i64) -> Uuid {
    Uuid::from_u128(u128::try_from(milliseconds.clamp(0, (1 << 48) - 1)).unwrap_or(0) << 80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::EventId;

    #[test]
    fn an_id_made_now_lies_in_a_span_around_now_whatever_clock_made_it_and_not_in_one_of_two_days_ago() {
        let (now, id) = (Utc::now(), EventId::new().uuid());
        let lies = |since, until| {
            let (first, last) = event_ids(now + since, now + until);
            first < id && id < last
        };
        assert!(lies(-TimeDelta::hours(1), TimeDelta::zero()));
        assert!(lies(-TimeDelta::hours(1), -TimeDelta::minutes(10)), "made by a clock that is ahead");
        assert!(lies(TimeDelta::minutes(10), TimeDelta::hours(1)), "made by a clock that is behind");
        assert!(!lies(-TimeDelta::days(3), -TimeDelta::days(2)));
        assert!(!lies(TimeDelta::hours(2), TimeDelta::hours(3)));
    }
}
