//! The order in which an order's events are told, and how long each status lasted.

use chrono::{DateTime, Utc};

use super::id::EventId;
use super::status::Status;

/// Where an event stands among the events of its order: by when it occurred; at the same instant the further status is
/// the later one, and of equally far ones the order of their words decides, as it does where the order stands
/// (`model::standing`); then by when it was heard.
pub fn place(
    occurred_at: DateTime<Utc>,
    status: Option<&str>,
    received_at: DateTime<Utc>,
    id: EventId,
) -> impl Ord + use<> {
    let rank = status.and_then(Status::parse).map_or(0, |status| status.rank());
    (occurred_at, rank, status.map(str::to_owned), received_at, id)
}

/// The milliseconds from each time to the next; `None` for the last, which nothing has ended.
pub fn durations_ms(times: &[DateTime<Utc>]) -> Vec<Option<i64>> {
    let ends = times.iter().skip(1).map(Some).chain([None]);
    times.iter().zip(ends).map(|(from, to)| to.map(|to| (*to - *from).num_milliseconds())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    #[test]
    fn at_the_same_instant_the_further_status_is_later() {
        let id = EventId::new();
        let created = place(at(0), Some("AWAITING_PAYMENT_FROM_USER"), at(9), id);
        assert!(created < place(at(0), Some("COMPLETED"), at(1), id));
        assert!(place(at(0), Some("COMPLETED"), at(1), id) < place(at(1), Some("PROCESSING"), at(1), id));
    }

    #[test]
    fn at_the_same_instant_statuses_of_one_rank_stand_alike_whichever_was_heard_first() {
        let [one, other] = [EventId::new(), EventId::new()];
        for (first, second) in [(at(1), at(9)), (at(9), at(1))] {
            assert!(place(at(0), Some("NEW_A"), first, one) < place(at(0), Some("NEW_B"), second, other));
        }
    }

    #[test]
    fn a_duration_lasts_until_the_next_one_begins() {
        assert_eq!(durations_ms(&[at(0), at(5), at(5), at(65)]), [Some(5000), Some(0), Some(60_000), None]);
        assert_eq!(durations_ms(&[]), []);
    }
}
