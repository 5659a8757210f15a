//! The same change told in several ways: one event, whoever told it and in which order.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::model::event::Source;
use crate::model::hops::Hops;
use crate::model::order::{Details, OrderId, Snapshot};
use crate::model::status::Status;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

/// A telling of a status at a second; `None`: it does not say when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Telling {
    status: &'static str,
    second: Option<i64>,
    is_row: bool,
    is_visit: bool,
    verified: bool,
}

fn message(second: i64) -> Telling {
    Telling { status: "PROCESSING", second: Some(second), is_row: false, is_visit: false, verified: true }
}

fn row(second: i64) -> Telling {
    Telling { is_row: true, ..message(second) }
}

fn visit(second: i64) -> Telling {
    Telling { is_visit: true, ..row(second) }
}

const HEARD: i64 = 1_000_000;

impl Telling {
    fn event(self) -> NewEvent {
        let order_id = OrderId::parse("o").unwrap();
        let status = Status::parse(self.status).unwrap();
        let occurred_at = at(self.second.unwrap_or(HEARD));
        let body = Bytes::from(format!("{} {:?} {}", self.status, self.second, self.is_row));
        let snapshot = Snapshot {
            order_id,
            status,
            details: Details::default(),
            created_at: None,
            updated_at: self.second.map(at),
            completed_at: None,
            raw: body.clone(),
        };
        NewEvent {
            partner_id: PartnerId::from(uuid::Uuid::nil()),
            event_id: EventId::new(),
            event: "ORDER_PROCESSING".to_owned(),
            identity: Identity::of_order(&snapshot),
            order: Some(snapshot),
            payload: body,
            source: if self.is_row { Source::Reconcile } else { Source::Stream },
            verified: self.verified,
            from_history: self.is_row,
            is_visit: self.is_visit,
            occurred_at,
            received_at: at(HEARD),
            hops: Hops::default(),
            trace: None,
        }
    }
}

/// Events as a table keeps them.
#[derive(Default)]
struct Table(Vec<(Kept, Status, Bytes)>);

impl Table {
    fn candidates(&self, told: &NewEvent) -> Vec<Kept> {
        let status = &told.order.as_ref().unwrap().status;
        let of_status = |one: &&(Kept, Status, Bytes)| one.1 == *status;
        let near = |one: &&(Kept, Status, Bytes)| {
            told.from_history
                && !one.0.is_row()
                && may_tell((one.0.occurred_at, one.0.received_at), told.occurred_at)
        };
        let own = self.0.iter().filter(|one| one.0.identity == told.identity);
        let rows = self.0.iter().filter(of_status).filter(|one| one.0.from_history);
        let near = self.0.iter().filter(of_status).filter(near);
        let near = near.min_by_key(|one| ((one.0.occurred_at - told.occurred_at).abs(), one.0.identity));
        own.chain(rows).chain(near).map(|one| one.0).collect()
    }

    /// Answers how many events are new.
    fn keep(&mut self, batch: &[Telling]) -> usize {
        let told: Vec<NewEvent> = batch.iter().map(|one| one.event()).collect();
        let mut distinct: BTreeMap<Key, &NewEvent> = BTreeMap::new();
        for event in &told {
            let chosen = distinct.entry(key(event)).or_insert(event);
            if event.verified && !chosen.verified {
                *chosen = event;
            }
        }
        let distinct: Vec<_> = distinct.into_values().collect();
        let kept = distinct.iter().map(|one| (key(one), self.candidates(one))).collect();
        let deduped = dedupe(&distinct, &kept);
        for one in &told {
            assert!(deduped.kept_as.contains_key(&key(one)), "each telling is kept somewhere");
        }
        for restated in deduped.restated {
            let kept = self.0.iter_mut().find(|one| one.0.event_id == restated.event.event_id).unwrap();
            kept.0 = restated.event;
            if let Some(said_by) = restated.said_by {
                kept.2 = said_by.payload.clone();
            }
        }
        let new = deduped.new.iter().map(|one| {
            let kept = Kept {
                event_id: one.event_id,
                identity: one.identity,
                occurred_at: one.occurred_at,
                received_at: one.received_at,
                verified: one.verified,
                from_history: one.from_history,
                is_visit: one.is_visit,
            };
            (kept, one.order.as_ref().unwrap().status.clone(), one.payload.clone())
        });
        self.0.extend(new);
        deduped.new.len()
    }

    /// What can be seen of it from outside, in no particular order.
    fn seen(&self) -> Vec<(Identity, DateTime<Utc>, bool, bool, Bytes)> {
        let mut seen: Vec<_> = self
            .0
            .iter()
            .map(|(kept, _, body)| {
                (kept.identity, kept.occurred_at, kept.verified, kept.from_history, body.clone())
            })
            .collect();
        seen.sort_unstable();
        seen
    }
}

/// How many events are new in each of these batches, and what is kept then.
fn keep(batches: &[&[Telling]]) -> (Vec<usize>, Vec<i64>) {
    let mut table = Table::default();
    let new = batches.iter().map(|batch| table.keep(batch)).collect();
    let mut seconds: Vec<_> = table.0.iter().map(|one| (one.0.occurred_at - at(0)).num_seconds()).collect();
    seconds.sort_unstable();
    (new, seconds)
}

#[test]
fn a_row_and_the_message_of_one_change_are_one_event_in_the_words_of_the_message() {
    let (message, row) = (message(20), row(21));
    assert_eq!(keep(&[&[message], &[row]]), (vec![1, 0], vec![20]));
    assert_eq!(keep(&[&[row], &[message]]), (vec![1, 0], vec![20]));
    assert_eq!(keep(&[&[row, message]]), (vec![1], vec![20]));
}

#[test]
fn a_message_long_after_a_row_is_another_visit_and_an_event_of_its_own() {
    let (row, later) = (row(20), message(3600));
    assert_eq!(keep(&[&[row], &[later]]), (vec![1, 1], vec![20, 3600]));
    assert_eq!(keep(&[&[later], &[row]]), (vec![1, 1], vec![20, 3600]));
    assert_eq!(keep(&[&[later, row]]), (vec![2], vec![20, 3600]));
}

#[test]
fn rows_alone_are_one_event_for_each_status() {
    assert_eq!(keep(&[&[row(90)], &[row(20)], &[row(90)]]), (vec![1, 0, 0], vec![20]));
    let other = Telling { status: "COMPLETED", ..row(90) };
    assert_eq!(keep(&[&[row(20), other]]), (vec![2], vec![20, 90]));
}

#[test]
fn a_message_that_does_not_say_when_may_be_that_of_any_row() {
    let undated = Telling { second: None, ..message(0) };
    assert_eq!(keep(&[&[row(20)], &[undated]]), (vec![1, 0], vec![HEARD]));
    assert_eq!(keep(&[&[undated], &[row(20)]]), (vec![1, 0], vec![HEARD]));
}

#[test]
fn a_row_makes_what_a_public_channel_said_certain() {
    let rumour = Telling { verified: false, ..message(20) };
    for batches in [&[&[rumour][..], &[row(21)]][..], &[&[row(21)], &[rumour]], &[&[rumour, row(21)]]] {
        let mut table = Table::default();
        let new: usize = batches.iter().map(|batch| table.keep(batch)).sum();
        assert_eq!((new, table.0.len()), (1, 1));
        assert!(table.0[0].0.verified && !table.0[0].0.from_history);
        assert_eq!(table.0[0].0.identity, rumour.event().identity, "it is known again");
        assert_eq!(table.0[0].2, row(21).event().payload);
    }
}

const STATUSES: [&str; 3] = ["PROCESSING", "PENDING_DELIVERY_FROM_TRANSAK", "COMPLETED"];

prop_compose! {
    /// Of what public channels say there is nothing here where there are rows: see the test above.
    fn any_telling(rumours: bool)(
        status in prop::sample::select(&STATUSES[..]),
        second in prop::option::weighted(0.9, prop::sample::select(&[0_i64, 20, 59, 60, 61, 100, 3600][..])),
        odd in prop::bool::weighted(0.4),
    ) -> Telling {
        let is_row = odd && !rumours;
        Telling { status, second: second.or(is_row.then_some(20)), verified: !(odd && rumours), ..if is_row { row(0) } else { message(0) } }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_same_events_are_kept_in_whatever_order_and_batches_they_are_told(
        (one, other) in any::<bool>()
            .prop_flat_map(|rumours| prop::collection::vec(any_telling(rumours), 1..8))
            .prop_flat_map(|tellings| (Just(tellings.clone()), Just(tellings).prop_shuffle())),
        sizes in prop::collection::vec(1_usize..4, 8),
    ) {
        let (mut expected, mut table, mut rest) = (Table::default(), Table::default(), &other[..]);
        expected.keep(&one);
        for size in sizes {
            let (batch, later) = rest.split_at(size.min(rest.len()));
            table.keep(batch);
            rest = later;
        }
        table.keep(rest);
        prop_assert_eq!(table.seen(), expected.seen());
        // Told once more, all of it is known.
        prop_assert_eq!(table.keep(&one), 0);
        prop_assert_eq!(table.seen(), expected.seen());
    }
}

#[test]
fn each_visit_to_a_status_is_one_event_whether_its_row_or_its_message_comes_first() {
    let tellings = [visit(1), visit(121), message(0), message(120)];
    for order in
        [[0, 1, 2, 3], [2, 3, 0, 1], [3, 0, 1, 2], [2, 0, 1, 3], [0, 3, 1, 2], [1, 0, 3, 2], [0, 2, 1, 3]]
    {
        let mut table = Table::default();
        for at in order {
            table.keep(&[tellings[at]]);
        }
        let mut times: Vec<_> = table.0.iter().map(|one| one.0.occurred_at).collect();
        times.sort();
        assert_eq!(times, [at(0), at(120)], "{order:?}");
        assert_eq!(table.keep(&tellings), 0, "{order:?}");
    }
}

#[test]
fn what_is_told_together_of_a_status_that_came_back_is_not_one_visit_however_near() {
    let mut table = Table::default();
    table.keep(&[message(6)]);
    assert_eq!(table.keep(&[visit(5), visit(6)]), 1);
    assert_eq!(table.0.len(), 2);
}
