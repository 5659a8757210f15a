//! A breaker on a clock that the tests turn.

use super::*;

/// `+` up, `!` an answer that is an error, `-` no answer; each of another delivery, a millisecond after the other.
fn feed(breaker: &mut Breaker, outcomes: &str, now: &mut Instant) -> Vec<Option<Change>> {
    let note = |outcome| {
        *now += Duration::from_millis(1);
        breaker.note(found(outcome), DeliveryId::new(), *now, *now)
    };
    outcomes.chars().map(note).collect()
}

fn found(outcome: char) -> Found {
    match outcome {
        '+' => Found::Up,
        '!' => Found::Erring,
        _ => Found::Silent,
    }
}

fn opened(trips: u16, seconds: u64) -> Change {
    Change::Opened { trips, pause: Duration::from_secs(seconds) }
}

#[test]
fn ten_failures_in_a_row_open_it_and_nine_do_not() {
    let (mut breaker, mut now) = (Breaker::after(0), Instant::now());
    assert!(feed(&mut breaker, "++++++++++---------", &mut now).iter().all(Option::is_none));
    let mut breaker = Breaker::after(0);
    assert_eq!(feed(&mut breaker, "----------", &mut now).last().unwrap(), &Some(opened(1, 10)));
}

#[test]
fn seven_in_ten_without_an_answer_open_it_and_six_do_not() {
    let mut now = Instant::now();
    assert_eq!(feed(&mut Breaker::after(0), "+-+-+-----", &mut now).last().unwrap(), &Some(opened(1, 1)));
    assert!(feed(&mut Breaker::after(0), "+-+-+-+---", &mut now).iter().all(Option::is_none));
}

#[test]
fn an_endpoint_that_answers_some_events_with_errors_is_never_paused_while_it_takes_others() {
    let (mut breaker, mut now) = (Breaker::after(0), Instant::now());
    for _ in 0..20 {
        assert!(feed(&mut breaker, "!!!!!!!!!!!!+", &mut now).iter().all(Option::is_none));
    }
}

#[test]
fn ten_errors_in_a_row_have_it_sounded_out_one_at_a_time_from_elsewhere_and_five_more_open_it() {
    let (mut breaker, mut now) = (Breaker::after(0), Instant::now());
    feed(&mut breaker, "!!!!!!!!!", &mut now);
    assert_eq!((breaker.is_probing(), breaker.pick()), (false, Pick::InTurn));
    let mut picks = Vec::new();
    for outcome in ["!"; 6] {
        assert_eq!(breaker.trips, 0);
        picks.push(feed(&mut breaker, outcome, &mut now)[0].map_or(Ok(breaker.pick()), Err));
        assert!(breaker.is_probing());
    }
    assert_eq!(picks[..2], [Ok(Pick::Newest), Ok(Pick::Anywhere)]);
    assert_eq!(picks[4..], [Ok(Pick::Anywhere), Err(opened(1, 10))]);
}

#[test]
fn no_answer_to_a_sounding_opens_it() {
    let (mut breaker, mut now) = (Breaker::after(0), Instant::now());
    assert_eq!(feed(&mut breaker, "!!!!!!!!!!-", &mut now).last().unwrap(), &Some(opened(1, 10)));
}

#[test]
fn what_was_under_way_when_a_sounding_began_is_none_unless_it_finds_it_up() {
    let (mut breaker, mut now) = (Breaker::after(0), Instant::now());
    let began = now;
    feed(&mut breaker, "!!!!!!!!!!", &mut now);
    for _ in 0..5 {
        assert_eq!(breaker.note(Found::Erring, DeliveryId::new(), began, now), None);
    }
    assert_eq!(breaker.pick(), Pick::Newest);
    assert_eq!(breaker.note(Found::Up, DeliveryId::new(), began, now), None);
    assert!(!breaker.is_probing());
}

#[test]
fn one_delivery_that_fails_again_and_again_does_not_open_it() {
    let (mut breaker, now, poison) = (Breaker::after(0), Instant::now(), DeliveryId::new());
    for _ in 0..100 {
        assert_eq!(breaker.note(Found::Silent, poison, now, now), None);
    }
}

#[test]
fn failures_a_minute_apart_are_not_added_up() {
    let (mut breaker, mut now) = (Breaker::after(0), Instant::now());
    for _ in 0..30 {
        assert_eq!(feed(&mut breaker, "-", &mut now), [None]);
        now += Duration::from_secs(61);
    }
}

#[test]
fn a_failed_probe_doubles_the_pause_up_to_fifteen_minutes_and_a_success_closes() {
    let (mut breaker, mut now) = (Breaker::after(0), Instant::now());
    feed(&mut breaker, "----------", &mut now);
    for (trips, seconds) in [(2, 20), (3, 40), (4, 80), (5, 160), (6, 320), (7, 640), (8, 900), (9, 900)] {
        now += Duration::from_secs(1000);
        assert_eq!(feed(&mut breaker, "-", &mut now), [Some(opened(trips, seconds))]);
    }
    now += Duration::from_secs(1000);
    assert!(matches!(feed(&mut breaker, "+", &mut now)[0], Some(Change::Closed { .. })));
    assert!(!breaker.is_probing());
}

#[test]
fn no_pause_is_longer_than_the_endpoint_has_been_down() {
    let (mut breaker, mut now) = (Breaker::after(0), Instant::now());
    feed(&mut breaker, "+", &mut now);
    let up = now;
    let mut change = *feed(&mut breaker, "----------", &mut now).last().unwrap();
    let mut probes = 0;
    while let Some(Change::Opened { pause, .. }) = change
        && now.duration_since(up) < Duration::from_hours(1)
    {
        assert!(pause <= now.duration_since(up).max(SHORTEST_PAUSE), "{pause:?}");
        now += pause;
        probes += 1;
        change = feed(&mut breaker, "-", &mut now)[0];
    }
    assert!((9..=15).contains(&probes), "{probes} probes in an hour");
}

#[test]
fn what_failed_in_a_long_outage_is_tried_again_at_once_and_after_a_short_one_nothing_is() {
    let (mut breaker, mut now) = (Breaker::after(0), Instant::now());
    feed(&mut breaker, "+----------", &mut now);
    now += Duration::from_secs(2);
    assert_eq!(feed(&mut breaker, "+", &mut now), [Some(Change::Closed { within: Duration::ZERO })]);
    feed(&mut breaker, "-", &mut now);
    let began = now;
    feed(&mut breaker, "---------", &mut now);
    for _ in 0..4 {
        now += Duration::from_secs(20);
        feed(&mut breaker, "-", &mut now);
    }
    let closed = feed(&mut breaker, "+", &mut now);
    assert_eq!(closed, [Some(Change::Closed { within: now - began })]);
    let after_a_restart = feed(&mut Breaker::after(3), "+", &mut now);
    assert_eq!(after_a_restart, [Some(Change::Closed { within: Duration::MAX })]);
}

#[test]
fn requests_that_were_under_way_when_it_opened_decide_nothing() {
    let (mut breaker, began) = (Breaker::after(0), Instant::now());
    let mut now = began + Duration::from_secs(1);
    feed(&mut breaker, "----------", &mut now);
    assert_eq!(breaker.note(Found::Silent, DeliveryId::new(), began, now), None);
    assert_eq!(breaker.note(Found::Up, DeliveryId::new(), began, now), None);
    assert!(breaker.is_probing());
}
