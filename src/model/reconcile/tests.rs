//! When things are looked at again, and which days are asked for.

use super::*;

const BASE: Duration = Duration::from_mins(1);

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn wait(status: &str, age: TimeDelta) -> Option<i64> {
    let now = at("2025-01-31T00:00:00Z");
    let status = Status::parse(status).unwrap();
    next_reconcile(&status, now - age, now, BASE).map(|next| (next - now).num_seconds())
}

#[test]
fn an_order_under_way_is_looked_at_every_minute_and_more_rarely_once_it_lies() {
    for status in ["AWAITING_PAYMENT_FROM_USER", "PROCESSING", "SOMETHING_NEW"] {
        assert_eq!(wait(status, TimeDelta::zero()), Some(60));
        assert_eq!(wait(status, TimeDelta::hours(24)), Some(60));
        assert_eq!(wait(status, TimeDelta::days(10)), Some(600));
        assert_eq!(wait(status, TimeDelta::days(4000)), Some(6 * 3600));
        assert_eq!(wait(status, TimeDelta::days(-1)), Some(60), "a clock that is behind");
    }
}

#[test]
fn a_refund_is_waited_for_more_and_more_rarely_for_14_days() {
    for status in ["FAILED", "EXPIRED", "CANCELLED"] {
        assert_eq!(wait(status, TimeDelta::zero()), Some(60));
        assert_eq!(wait(status, TimeDelta::hours(8)), Some(3600));
        assert_eq!(wait(status, TimeDelta::days(13)), Some(6 * 3600));
        assert_eq!(wait(status, TimeDelta::days(14)), None);
    }
}

#[test]
fn what_is_over_is_never_looked_at() {
    assert_eq!(wait("COMPLETED", TimeDelta::zero()), None);
    assert_eq!(wait("REFUNDED", TimeDelta::zero()), None);
}

#[test]
fn an_order_is_believed_to_be_unknown_once_transak_has_said_so_for_an_hour() {
    let now = Utc::now();
    let believed = |minutes| is_believed_unknown(Some(now - TimeDelta::minutes(minutes)), now);
    assert_eq!((believed(0), believed(59), believed(60)), (false, false, true));
    assert!(!is_believed_unknown(None, now), "it has only now been asked");
}

#[test]
fn pauses_grow_up_to_a_bound_and_never_undercut_what_transak_asks_for() {
    let seconds = |times| repair_pause(times, Duration::ZERO).as_secs();
    assert_eq!([1, 2, 3, 7, 8, 99].map(seconds), [30, 60, 120, 1920, 3600, 3600]);
    let seconds = |times| partner_pause(times, Duration::ZERO).as_secs();
    assert_eq!([0, 1, 2, 6, 7, 99].map(seconds), [5, 5, 10, 160, 300, 300]);
    assert_eq!(partner_pause(1, Duration::from_hours(2)), Duration::from_hours(2));
}

#[test]
fn an_order_that_transak_does_not_know_is_asked_for_soon_and_then_more_and_more_rarely_for_14_days() {
    let now = at("2025-01-31T00:00:00Z");
    let wait = |since| next_for_unknown(now - since, now, BASE).map(|next| (next - now).num_seconds());
    assert_eq!(wait(TimeDelta::zero()), Some(60));
    assert_eq!(wait(TimeDelta::minutes(4)), Some(60));
    assert_eq!(wait(TimeDelta::hours(4)), Some(3600));
    assert_eq!(wait(TimeDelta::days(4)), Some(24 * 3600));
    assert_eq!(wait(TimeDelta::days(13)), Some(24 * 3600));
    assert_eq!(wait(TimeDelta::days(14)), None);
    assert_eq!(wait(TimeDelta::days(-1)), Some(60), "a clock that is behind");
}

#[test]
fn a_span_is_as_wide_as_by_either_clock_and_no_wider_than_an_hour_more() {
    let span = (at("2025-01-10T12:00:00Z"), at("2025-01-10T12:01:00Z"));
    let wide = |seconds| {
        let (from, to) = by_their_clock(span, TimeDelta::seconds(seconds));
        ((span.0 - from).num_seconds(), (to - span.1).num_seconds())
    };
    assert_eq!([0, 600, -600, 86_400, -86_400].map(wide), [(0, 0), (600, 0), (0, 600), (3600, 0), (0, 3600)]);
    let later = |seconds| (their_now(span.0, TimeDelta::seconds(seconds)) - span.0).num_seconds();
    assert_eq!([0, 600, -600, 86_400, -86_400].map(later), [0, -600, 600, -3600, 3600]);
}

fn shown(days: &[Dates]) -> Vec<String> {
    days.iter().map(|(from, to)| format!("{from}..{to}")).collect()
}

#[test]
fn the_days_of_a_gap_reach_a_day_further_on_either_side() {
    let gap = (at("2025-01-10T23:59:59Z"), at("2025-01-11T00:00:01Z"));
    assert_eq!(shown(&days_of(&[gap], 30)), ["2025-01-11..2025-01-12", "2025-01-09..2025-01-10"]);
}

#[test]
fn gaps_of_the_same_days_are_read_once_long_ones_in_parts_and_the_newest_days_first() {
    let day = |text: &str| at(&format!("2025-{text}T12:00:00Z"));
    let gaps = [(day("03-01"), day("03-01")), (day("01-05"), day("01-08")), (day("01-01"), day("01-03"))];
    assert_eq!(
        shown(&days_of(&gaps, 4)),
        [
            "2025-03-01..2025-03-02",
            "2025-02-28..2025-02-28",
            "2025-01-08..2025-01-09",
            "2025-01-04..2025-01-07",
            "2024-12-31..2025-01-03",
        ]
    );
}

#[test]
fn the_days_before_a_gap_are_the_ninety_before_its_own_and_the_newest_come_first() {
    let gap = (at("2025-06-30T12:00:00Z"), at("2025-07-01T12:00:00Z"));
    assert_eq!(
        shown(&days_before(&[gap], 30)),
        [
            "2025-06-27..2025-06-28",
            "2025-05-28..2025-06-26",
            "2025-04-28..2025-05-27",
            "2025-03-31..2025-04-27"
        ]
    );
    assert_eq!(days_of(&[gap], 30).last().unwrap().0, "2025-06-29".parse().unwrap());
}

#[test]
fn the_days_between_two_gaps_are_read_once() {
    let day = |text: &str| (at(&format!("2025-{text}T12:00:00Z")), at(&format!("2025-{text}T12:00:00Z")));
    let gaps = [day("07-10"), day("07-01")];
    let (near, far) = (days_of(&gaps, 30), days_before(&gaps, 30));
    let all: Vec<Dates> = near.iter().chain(&far).copied().collect();
    let days: i64 = all.iter().map(|(from, to)| (*to - *from).num_days() + 1).sum();
    let (first, last) = ("2025-04-01".parse().unwrap(), "2025-07-11".parse().unwrap());
    assert!(are_among((first, last), &all), "{all:?}");
    assert_eq!(days, (last - first).num_days() + 1, "none twice: {all:?}");
}

#[test]
fn days_are_among_others_if_each_of_them_is() {
    let days = |from: &str, to: &str| {
        let day = |text: &str| format!("2025-01-{text}").parse().unwrap();
        (day(from), day(to))
    };
    let those = [days("03", "04"), days("01", "02"), days("08", "09")];
    assert!(are_among(days("01", "04"), &those) && are_among(days("09", "09"), &those));
    assert!(!are_among(days("04", "05"), &those) && !are_among(days("05", "06"), &those));
    assert!(!are_among(days("04", "08"), &those) && !are_among(days("01", "01"), &[]));
}
