//! The verdict as a table, and what holds for every schedule, draw and answer.

use proptest::prelude::*;

use super::*;

const HOUR: u64 = 3600;

fn now() -> DateTime<Utc> {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn exact() -> Moment {
    Moment { now: now(), jitter: Jitter::NONE }
}

fn answered(status: u16, retry_after: Option<&str>) -> Outcome {
    Outcome::Answered { status, retry_after: retry_after.and_then(RetryAfter::parse) }
}

fn retry(seconds: u64) -> Verdict {
    Verdict::Retry { after: Duration::from_secs(seconds) }
}

fn verdict(outcome: Outcome, tries: u32) -> Verdict {
    RetryPolicy::default().verdict(&outcome, tries, exact())
}

#[test]
fn only_2xx_is_success() {
    for status in 0..=999 {
        let succeeded = verdict(answered(status, None), 1) == Verdict::Succeeded;
        assert_eq!(succeeded, (200..300).contains(&status), "{status}");
    }
}

#[test]
fn only_410_means_gone_even_on_the_last_try() {
    for status in 0..=999 {
        assert_eq!(verdict(answered(status, None), 10) == Verdict::Gone, status == 410, "{status}");
    }
}

#[test]
fn only_no_answer_5xx_and_429_say_that_an_endpoint_is_down() {
    for status in 0..=599 {
        let expected = match status {
            429 => Found::Down,
            500.. => Found::Erring,
            _ => Found::Up,
        };
        assert_eq!(answered(status, None).found(), expected, "{status}");
    }
    assert_eq!(Outcome::Failed { kind: "connect" }.found(), Found::Silent);
    assert_eq!(Outcome::NotSent { kind: "no_access_token" }.found(), Found::Up);
}

#[test]
fn the_default_schedule_is_ten_tries_over_three_days() {
    let waits = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
    for (tries, wait) in (1..).zip(waits) {
        assert_eq!(verdict(Outcome::Failed { kind: "connect" }, tries), retry(wait));
        assert_eq!(verdict(answered(500, None), tries), retry(wait));
        assert_eq!(verdict(answered(301, None), tries), retry(wait));
        assert_eq!(verdict(answered(404, None), tries), retry(wait));
    }
    assert_eq!(verdict(Outcome::Failed { kind: "timeout" }, 10), Verdict::Exhausted);
    assert_eq!(verdict(answered(503, Some("1")), 10), Verdict::Exhausted);
    assert_eq!(verdict(answered(503, Some("1")), u32::MAX), Verdict::Exhausted);
}

#[test]
fn retry_after_postpones_and_never_hastens() {
    for (status, header, tries, expected) in [
        (429, "60", 1, 60),
        (503, "60", 1, 60),
        (503, " 60\t", 1, 60),
        (429, "0", 1, 5),
        (429, "1", 2, 300),
        (503, "3600", 2, HOUR),
        (503, "Sun, 22 Nov 2026 12:10:00 GMT", 1, 600),
        (503, "Sunday, 22-Nov-26 12:10:00 GMT", 1, 600),
        (503, "Sun Nov 22 12:10:00 2026", 1, 600),
        (429, "86400", 1, 24 * HOUR),
        (429, "86401", 1, 24 * HOUR),
        (429, "315360000", 1, 24 * HOUR),
        (429, "99999999999999999999999999", 1, 24 * HOUR),
        (429, "Fri, 31 Dec 9999 23:59:59 GMT", 1, 24 * HOUR),
        (429, "Sun, 22 Nov 2026 11:00:00 GMT", 1, 5),
        (429, "Thu, 01 Jan 1970 00:00:00 GMT", 1, 5),
    ] {
        assert_eq!(verdict(answered(status, Some(header)), tries), retry(expected), "{status} {header}");
    }
}

#[test]
fn retry_after_counts_on_429_and_503_only() {
    for status in (0..=999).filter(|status| ![410, 429, 503].contains(status) && !(200..300).contains(status))
    {
        assert_eq!(verdict(answered(status, Some("3600")), 1), retry(5), "{status}");
    }
}

#[test]
fn a_retry_after_that_cannot_be_read_is_ignored() {
    for header in [
        "",
        " ",
        "-1",
        "+1",
        "1.5",
        "1e3",
        "0x10",
        "soon",
        "60s",
        "1 2",
        "60;",
        "NaN",
        "inf",
        "\u{0661}",
        "Sun, 32 Nov 2026 12:10:00 GMT",
        "Sun, 22 Nov 2026 25:10:00 GMT",
        "2026-11-22T12:10:00Z",
        "Sun, 22 Nov 2026 12:10:00 +0100",
        "60, 120",
    ] {
        assert_eq!(RetryAfter::parse(header), None, "{header:?}");
        assert_eq!(verdict(answered(429, Some(header)), 1), retry(5), "{header:?}");
    }
}

#[test]
fn jitter_is_ten_per_cent_either_way() {
    let policy = RetryPolicy { schedule: RetrySchedule::parse(&[1000]).unwrap() };
    for (share, expected) in [(0, 900), (250, 950), (500, 1000), (750, 1050), (1000, 1100), (u16::MAX, 1100)]
    {
        let moment = Moment { now: now(), jitter: Jitter::per_mille(share) };
        assert_eq!(policy.verdict(&Outcome::Failed { kind: "dns" }, 1, moment), retry(expected), "{share}");
    }
}

#[test]
fn a_schedule_is_bounded_in_length_and_in_every_wait() {
    use InvalidRetrySchedule::{TooLong, Wait};
    let week = 7 * 24 * HOUR;
    for (seconds, expected) in [
        (vec![], Ok(())),
        (vec![1; MAX_ENTRIES], Ok(())),
        (vec![1; MAX_ENTRIES + 1], Err(TooLong)),
        (vec![1; 10_000], Err(TooLong)),
        (vec![0], Err(Wait)),
        (vec![5, week], Ok(())),
        (vec![5, week + 1], Err(Wait)),
        (vec![u64::MAX], Err(Wait)),
    ] {
        assert_eq!(RetrySchedule::parse(&seconds).map(|_| ()), expected, "{} entries", seconds.len());
    }
    let default: Vec<_> = RetrySchedule::default().seconds().collect();
    assert_eq!(RetrySchedule::parse(&default), Ok(RetrySchedule::default()));
}

#[test]
fn with_an_empty_schedule_the_first_failure_is_the_last() {
    let policy = RetryPolicy { schedule: RetrySchedule::parse(&[]).unwrap() };
    assert_eq!(policy.verdict(&answered(500, None), 1, exact()), Verdict::Exhausted);
    assert_eq!(policy.verdict(&answered(204, None), 1, exact()), Verdict::Succeeded);
}

fn any_moment() -> impl Strategy<Value = Moment> {
    (0_i64..4_000_000_000, any::<u16>()).prop_map(|(seconds, share)| Moment {
        now: DateTime::from_timestamp(seconds, 0).unwrap(),
        jitter: Jitter::per_mille(share),
    })
}

proptest! {
    #[test]
    fn every_failing_delivery_ends_after_exactly_its_schedule(
        waits in prop::collection::vec(WAIT_SECONDS, 0..=MAX_ENTRIES), status in 300_u16..410, moment in any_moment(),
    ) {
        let policy = RetryPolicy { schedule: RetrySchedule::parse(&waits).unwrap() };
        let failed = answered(status, None);
        let again = (1..=100).take_while(|tries| policy.verdict(&failed, *tries, moment) != Verdict::Exhausted).count();
        prop_assert_eq!(again, waits.len());
    }

    #[test]
    fn every_wait_keeps_to_its_bounds(
        wait in WAIT_SECONDS, header in "[0-9]{1,25}|[A-Za-z0-9, :+.-]{0,40}", status in prop::sample::select(vec![429, 503, 500]),
        moment in any_moment(),
    ) {
        let policy = RetryPolicy { schedule: RetrySchedule::parse(&[wait]).unwrap() };
        let Verdict::Retry { after } = policy.verdict(&answered(status, Some(&header)), 1, moment) else {
            return Err(TestCaseError::fail("not retried"));
        };
        let scheduled = Duration::from_secs(wait);
        prop_assert!(after >= scheduled * 9 / 10);
        prop_assert!(after <= (scheduled * 11 / 10).max(MAX_POSTPONEMENT));
        if status == 500 {
            prop_assert!(after <= scheduled * 11 / 10);
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC*") {
        let _ = RetryAfter::parse(&text);
    }
}
