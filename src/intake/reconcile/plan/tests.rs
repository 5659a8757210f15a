//! What is asked of Transak for an order, row by row.

use chrono::TimeDelta;
use serde_json::json;
use serde_json::value::RawValue;

use super::*;
use crate::transak::rest::history;

fn now() -> DateTime<Utc> {
    "2025-01-10T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

const AT_LARGE: Moment = Moment { now: DateTime::UNIX_EPOCH, settled: None };

fn moment() -> Moment {
    Moment { now: now(), ..AT_LARGE }
}

/// An order with this way (status, seconds ago); it stands where the last row says, or where told.
fn order(way: &[(&str, i64)], stands: (&str, Option<i64>)) -> RestOrder {
    let rows: Vec<_> = way
        .iter()
        .map(|(status, age)| json!({"status": status, "createdAt": ago(*age), "partnerEventId": "ORDER_X"}))
        .collect();
    let mut order = json!({"id": "o1", "status": stands.0, "statusHistories": rows});
    if let Some(age) = stands.1 {
        order["updatedAt"] = json!(ago(age));
    }
    history::read(RawValue::from_string(order.to_string()).unwrap()).unwrap()
}

fn kept(events: &[(&str, i64)], reconciled: bool) -> Vec<Kept> {
    let kept = |(status, age): &(&str, i64)| Kept {
        status: (*status).to_owned(),
        occurred_at: ago(*age),
        reconciled,
    };
    events.iter().map(kept).collect()
}

/// What is told, in short: a row's status, `=` for the newest state, with `+` as an event of its own.
fn told(order: &RestOrder, kept: &[Kept], moment: &Moment) -> Vec<String> {
    let short = |telling: Telling<'_>| match telling {
        Telling::Row(row) => row.status.as_str().to_owned(),
        Telling::Visit(row) => format!("{}+", row.status.as_str()),
        Telling::Newest { again: false, .. } => "=".to_owned(),
        Telling::Newest { again: true, .. } => "+".to_owned(),
    };
    tell(order, kept, moment).into_iter().map(short).collect()
}

const WAY: &[(&str, i64)] = &[("AWAITING", 90), ("PENDING", 60), ("COMPLETED", 30)];

#[test]
fn an_unknown_order_is_told_row_by_row_and_then_as_it_stands() {
    let order = order(WAY, ("COMPLETED", Some(29)));
    assert!(compare(&order, &[], &moment()).behind);
    assert_eq!(told(&order, &[], &moment()), ["AWAITING", "PENDING", "="]);
}

#[test]
fn a_missing_step_in_the_middle_is_told() {
    let order = order(WAY, ("COMPLETED", Some(30)));
    let kept = kept(&[("AWAITING", 90), ("COMPLETED", 30)], true);
    assert!(compare(&order, &kept, &moment()).behind);
    assert_eq!(told(&order, &kept, &moment()), ["PENDING"]);
}

#[test]
fn what_is_kept_is_told_once_by_rest_and_then_never_again() {
    let order = order(WAY, ("COMPLETED", Some(30)));
    let heard = kept(WAY, false);
    assert_eq!(compare(&order, &heard, &moment()), Comparison::default());
    assert_eq!(told(&order, &heard, &moment()), ["AWAITING", "PENDING", "="]);
    assert!(told(&order, &kept(WAY, true), &moment()).is_empty());
}

#[test]
fn a_newer_updated_at_alone_is_worth_a_call_but_no_event() {
    let order = order(WAY, ("COMPLETED", Some(12)));
    assert!(compare(&order, &kept(WAY, true), &moment()).behind);
    assert!(told(&order, &kept(WAY, true), &moment()).is_empty());
}

#[test]
fn a_status_that_came_back_is_another_event() {
    let way = [("PENDING", 90), ("ON_HOLD", 60), ("PENDING", 30)];
    let order = order(&way, ("PENDING", Some(30)));
    assert_eq!(told(&order, &kept(&[("PENDING", 90), ("ON_HOLD", 60)], true), &moment()), ["+"]);
    assert!(told(&order, &kept(&way, true), &moment()).is_empty());
    assert_eq!(told(&order, &[], &moment()), ["PENDING+", "ON_HOLD", "+"]);
}

#[test]
fn what_happened_just_now_is_left_to_the_other_sources() {
    let order = order(&[("AWAITING", 60), ("PENDING", 9)], ("PENDING", Some(9)));
    let kept = kept(&[("AWAITING", 60)], true);
    let comparison = compare(&order, &kept, &moment());
    assert_eq!((comparison.behind, comparison.young), (false, Some(TimeDelta::seconds(1))));
    assert!(told(&order, &kept, &moment()).is_empty());
}

#[test]
fn what_is_known_already_asks_for_no_second_look_however_young() {
    let order = order(&[("AWAITING", 60), ("PENDING", 9)], ("PENDING", Some(9)));
    assert_eq!(
        compare(&order, &kept(&[("AWAITING", 60), ("PENDING", 9)], true), &moment()),
        Comparison::default()
    );
}

#[test]
fn a_young_order_is_left_to_the_other_sources_by_whatever_time_is_known_of_it() {
    let young = Comparison { behind: false, young: Some(TimeDelta::seconds(4)) };
    let without_history = order(&[], ("PENDING", Some(6)));
    assert_eq!(compare(&without_history, &[], &moment()), young);
    let without_updated_at = order(&[("PENDING", 6)], ("PENDING", None));
    assert_eq!(compare(&without_updated_at, &[], &moment()), young);
}

#[test]
fn what_happened_in_a_gap_is_left_to_nobody() {
    let order = order(&[("AWAITING", 8), ("PENDING", 2)], ("PENDING", Some(2)));
    let gap = Moment { settled: Some(ago(5)), ..moment() };
    let comparison = compare(&order, &[], &gap);
    assert_eq!((comparison.behind, comparison.young), (true, Some(TimeDelta::seconds(8))));
    assert_eq!(told(&order, &[], &gap), ["AWAITING"]);
}

#[test]
fn an_updated_at_that_moves_all_the_time_does_not_hide_a_status() {
    let order = order(&[("AWAITING", 60)], ("AWAITING", Some(0)));
    assert_eq!(told(&order, &[], &moment()), ["="]);
}

#[test]
fn times_ahead_of_every_clock_are_told_at_once() {
    for ahead in [11, 361, 86_400] {
        let order = order(&[("AWAITING", 60), ("COMPLETED", -ahead)], ("COMPLETED", Some(-ahead)));
        let kept = kept(&[("AWAITING", 60)], true);
        assert_eq!(compare(&order, &kept, &moment()), Comparison { behind: true, young: None }, "{ahead}");
        assert_eq!(told(&order, &kept, &moment()), ["="], "{ahead}");
    }
    let only_updated_at = order(&[("AWAITING", 60), ("COMPLETED", 30)], ("COMPLETED", Some(-3600)));
    assert_eq!(told(&only_updated_at, &[], &moment()), ["AWAITING", "="]);
}

#[test]
fn what_happened_within_ten_seconds_by_either_clock_is_young() {
    let belief = |age| moment().judge(ago(age));
    assert_eq!([10, 9, 0, -10].map(belief), [Belief::Yes, Belief::Young, Belief::Young, Belief::Young]);
    assert_eq!(belief(-11), Belief::Yes);
    let gap = Moment { settled: Some(ago(5)), ..moment() };
    assert_eq!((gap.judge(ago(5)), gap.judge(ago(4))), (Belief::Yes, Belief::Young));
}

#[test]
fn an_order_without_history_is_told_as_it_stands() {
    for updated in [None, Some(30)] {
        let order = order(&[], ("COMPLETED", updated));
        assert!(compare(&order, &[], &moment()).behind);
        assert_eq!(told(&order, &[], &moment()), ["="]);
        assert!(told(&order, &kept(&[("COMPLETED", 30)], true), &moment()).is_empty());
    }
}

#[test]
fn a_repeated_row_that_is_missing_is_told_once() {
    let way = [("ON_HOLD", 90), ("ON_HOLD", 80), ("COMPLETED", 30)];
    let order = order(&way, ("COMPLETED", Some(30)));
    assert_eq!(told(&order, &kept(&[("COMPLETED", 30)], true), &moment()), ["ON_HOLD"]);
}

/// On hold and back, each row half a second after its message.
const BACK: &[(&str, i64)] = &[("PENDING", 300), ("ON_HOLD", 200), ("PENDING", 100)];

fn heard(places: &[usize]) -> Vec<Kept> {
    let half = TimeDelta::milliseconds(500);
    let event = |&at: &usize| Kept {
        status: BACK[at].0.to_owned(),
        occurred_at: ago(BACK[at].1) - half,
        reconciled: true,
    };
    places.iter().map(event).collect()
}

#[test]
fn of_a_status_that_came_back_the_visit_is_told_that_is_not_known_although_its_rows_have_other_times() {
    let order = order(BACK, ("PENDING", Some(100)));
    let is = |places: &[usize], expected: &[&str]| {
        assert_eq!(told(&order, &heard(places), &moment()), expected, "{places:?}");
        assert_eq!(compare(&order, &heard(places), &moment()).behind, !expected.is_empty(), "{places:?}");
    };
    is(&[], &["PENDING+", "ON_HOLD", "+"]);
    is(&[0], &["ON_HOLD", "+"]);
    is(&[1], &["PENDING+", "+"]);
    is(&[2], &["PENDING+", "ON_HOLD"]);
    is(&[0, 2], &["ON_HOLD"]);
    is(&[1, 2], &["PENDING+"]);
}

#[test]
fn what_stands_is_not_told_once_more_if_its_very_message_is_kept() {
    let order = order(BACK, ("PENDING", Some(250)));
    let kept = kept(&[("PENDING", 301), ("PENDING", 250), ("ON_HOLD", 201)], true);
    assert!(told(&order, &kept, &moment()).is_empty());
}

#[test]
fn a_status_that_came_back_has_two_visits() {
    let order = order(BACK, ("PENDING", Some(100)));
    let of = |status| visits(&order, &Status::parse(status).unwrap());
    assert_eq!([of("PENDING"), of("ON_HOLD"), of("COMPLETED")], [2, 1, 0]);
}

#[test]
fn an_earlier_visit_that_is_not_known_is_told_although_the_order_went_on() {
    let mut way = BACK.to_vec();
    way.push(("COMPLETED", 50));
    let order = order(&way, ("COMPLETED", Some(50)));
    let kept = [heard(&[1, 2]), kept(&[("COMPLETED", 50)], true)].concat();
    assert_eq!(told(&order, &kept, &moment()), ["PENDING+"]);
}

#[test]
fn two_messages_of_one_visit_leave_the_other_visit_unknown() {
    let order = order(BACK, ("PENDING", Some(100)));
    let kept = kept(&[("PENDING", 301), ("PENDING", 250), ("ON_HOLD", 201)], true);
    assert_eq!(told(&order, &kept, &moment()), ["+"]);
}

#[test]
fn rows_of_one_status_that_follow_each_other_are_one_visit_unless_they_are_far_apart() {
    let close = order(&[("ON_HOLD", 130), ("ON_HOLD", 70)], ("ON_HOLD", Some(70)));
    assert_eq!(told(&close, &[], &moment()), ["="]);
    let far = order(&[("ON_HOLD", 131), ("ON_HOLD", 70)], ("ON_HOLD", Some(70)));
    assert_eq!(told(&far, &[], &moment()), ["ON_HOLD+", "+"]);
    assert_eq!(told(&far, &kept(&[("ON_HOLD", 131)], true), &moment()), ["+"]);
    assert_eq!(told(&far, &kept(&[("ON_HOLD", 75)], true), &moment()), ["ON_HOLD+"]);
}
