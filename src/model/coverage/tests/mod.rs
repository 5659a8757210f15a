//! Coverage: each way in which nobody heard, one by one, and all of them at random beside an oracle.

mod logbook;
mod process;
mod schedule;
mod world;

use super::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

fn term(began: i64) -> Term {
    Term { began: at(began), ended: None, follows: false, decided: at(began) }
}

/// Heard from then to then, over at its end.
fn heard(from: i64, to: i64) -> Span {
    Span { from: at(from), proven: at(to), ended: Some(at(to)), may_grow: false }
}

/// Heard from then on, proven until then, and its owner lives.
fn hearing(from: i64, proven: i64) -> Span {
    Span { from: at(from), proven: at(proven), ended: None, may_grow: true }
}

/// The same, and its owner is dead.
fn left_behind(from: i64, proven: i64) -> Span {
    Span { may_grow: false, ..hearing(from, proven) }
}

fn holes(term: &Term, spans: &[Span], now: i64) -> Vec<(i64, Option<i64>)> {
    let second = |moment: DateTime<Utc>| moment.timestamp() - 1_700_000_000;
    let holes = judge(term, spans, at(now)).holes;
    holes.into_iter().map(|hole| (second(hole.from), hole.to.map(second))).collect()
}

#[test]
fn a_survivor_that_dies_leaves_a_gap_whoever_comes_next() {
    // Two heard; one stopped in order, the other was killed later, a third began on whatever slot.
    let spans = [heard(0, 10), left_behind(1, 20), hearing(42, 50)];
    assert_eq!(holes(&term(0), &spans, 51), [(20, Some(42))]);
}

#[test]
fn the_seconds_between_two_that_hear_are_a_gap_although_each_of_them_hears_again() {
    // B reconnects from 10 to 16, A is killed at 11, A is back at 18.
    let spans = [left_behind(0, 11), heard(1, 10), hearing(16, 30), hearing(18, 30)];
    assert_eq!(holes(&term(0), &spans, 31), [(11, Some(16))]);
}

#[test]
fn a_partner_that_is_not_heard_from_its_registration_on_is_in_a_gap() {
    assert_eq!(holes(&term(100), &[], 101), []);
    assert_eq!(holes(&term(100), &[], 103), [(100, None)]);
    assert_eq!(holes(&term(100), &[hearing(130, 140)], 141), [(100, Some(130))]);
    assert_eq!(holes(&term(100), &[hearing(101, 140)], 141), [], "subscribing takes a moment");
}

#[test]
fn a_partner_whose_channel_changed_is_in_a_gap_from_the_change_on() {
    let next = Term { follows: true, ..term(100) };
    assert_eq!(holes(&next, &[], 101), [(100, None)]);
    assert_eq!(holes(&next, &[hearing(101, 140)], 141), [(100, Some(101))]);
}

#[test]
fn what_lives_and_is_not_proven_yet_is_neither_heard_nor_a_gap() {
    let judgement = judge(&term(0), &[hearing(0, 10)], at(19));
    assert_eq!((judgement.holes.len(), judgement.decided), (0, at(10)));
    assert_eq!(holes(&term(0), &[left_behind(0, 10)], 19), [(10, None)], "and once its owner is dead it is");
}

#[test]
fn a_hole_says_which_span_it_comes_after() {
    // Neither the first, nor one that begins later, nor one that went on being heard.
    let spans = [heard(0, 4), heard(2, 10), hearing(42, 50)];
    let judgement = judge(&term(0), &spans, at(51));
    assert_eq!(judgement.holes, [Hole { from: at(10), to: Some(at(42)), after: Some(1) }]);
}

#[test]
fn a_span_of_no_length_covers_nothing_and_one_that_begins_now_is_judged_later() {
    assert_eq!(holes(&term(0), &[heard(0, 0)], 41), [(0, None)]);
    assert_eq!(holes(&term(0), &[left_behind(0, 20), hearing(42, 42)], 42), [(20, None)]);
}

#[test]
fn a_connection_that_went_mute_is_a_gap_from_its_last_sign_of_life_on() {
    let mute = Span { ended: Some(at(10)), ..hearing(0, 10) };
    assert_eq!(holes(&term(0), &[mute, hearing(31, 40)], 41), [(10, Some(31))]);
}

#[test]
fn what_was_heard_and_is_not_safe_when_its_process_dies_is_a_gap() {
    let unsafe_end = Span { proven: at(8), ..heard(0, 20) };
    assert_eq!(holes(&term(0), &[unsafe_end, hearing(19, 40)], 41), [(8, Some(19))]);
    let still_writing = Span { may_grow: true, ..unsafe_end };
    assert_eq!(holes(&term(0), &[still_writing, hearing(19, 40)], 41), [], "it may come yet");
}

#[test]
fn a_term_that_ended_is_judged_to_its_end_and_no_further() {
    let ended = Term { ended: Some(at(60)), ..term(0) };
    let judgement = judge(&ended, &[heard(0, 50)], at(100));
    assert_eq!(judgement.decided, at(60));
    assert_eq!(holes(&ended, &[heard(0, 50)], 100), [(50, Some(60))]);
}

#[test]
fn a_process_is_dead_when_it_is_silent_and_its_session_is_gone_or_it_is_silent_for_long() {
    let seconds = TimeDelta::seconds;
    assert!(is_alive(seconds(4), false, true), "it reconnects to Postgres");
    assert!(!is_alive(seconds(5), false, true));
    assert!(is_alive(seconds(14), true, true));
    assert!(!is_alive(seconds(15), true, true), "it hangs");
    assert!(is_alive(seconds(100), false, false), "Postgres was away for all of them");
}

#[test]
fn an_open_gap_is_closed_where_somebody_hears_again_and_is_not_written_twice() {
    let spans = [left_behind(0, 20), hearing(42, 42)];
    let judgement = judge(&term(0), &spans[..1], at(30));
    let opened = changes(&judgement, None);
    assert_eq!(opened.open_after(None), Some(at(20)));
    assert_eq!(changes(&judgement, Some(at(20))), Changes::default(), "it is written already");
    let closed = changes(&judge(&term(0), &spans, at(43)), Some(at(20)));
    assert_eq!(closed, Changes { close: Some((at(20), at(42))), ..Changes::default() });
}

#[test]
fn a_gap_that_turns_out_to_have_been_heard_is_closed_where_it_began() {
    // Cut off from Postgres, its owner heard all along.
    let judgement = judge(&Term { decided: at(20), ..term(0) }, &[hearing(0, 60)], at(61));
    assert_eq!(changes(&judgement, Some(at(20))).close, Some((at(20), at(20))));
}

#[test]
fn a_gap_that_began_earlier_than_is_written_is_widened() {
    let judgement = judge(&term(0), &[left_behind(0, 20)], at(40));
    assert_eq!(changes(&judgement, Some(at(25))).widen, Some(at(20)));
}

#[test]
fn a_hole_before_the_open_gap_is_a_gap_of_its_own() {
    let before = Hole { from: at(20), to: Some(at(30)), after: None };
    let open = Hole { from: at(50), to: None, after: None };
    let judgement = Judgement { holes: vec![before, open], decided: at(50) };
    let expected = Changes { add: vec![before], ..Changes::default() };
    assert_eq!(changes(&judgement, Some(at(50))), expected);
}

#[test]
fn an_open_gap_of_which_nothing_new_is_known_stays_open() {
    let judgement = Judgement { holes: Vec::new(), decided: at(20) };
    assert_eq!(changes(&judgement, Some(at(20))), Changes::default());
}
