//! Any bytes as a `Retry-After` header.
//!
//! Holds: nothing panics; only whole seconds and HTTP dates are read; a date that was read, written again and read again
//! is the same; the wait is never longer than the cap and never negative; the verdict keeps to the schedule's bounds,
//! and whatever a receiver writes, its deliveries end after exactly as many tries.
#![no_main]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use transak_relay::model::retry::{
    Jitter, MAX_POSTPONEMENT, Moment, Outcome, RetryAfter, RetryPolicy, RetrySchedule, Verdict, WAIT_SECONDS,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        read(text);
        judged(text);
    }
    // As the sender reads it.
    if let Ok(header) = HeaderValue::from_bytes(bytes)
        && let Ok(text) = header.to_str()
    {
        read(text);
    }
});

fn read(text: &str) {
    let trimmed = text.trim_matches([' ', '\t']);
    let digits = !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit());
    match RetryAfter::parse(text) {
        Some(RetryAfter::Wait(wait)) => {
            assert!(digits, "{text:?} is no number of seconds");
            assert_eq!(wait.as_secs(), trimmed.parse().unwrap_or(u64::MAX));
        }
        Some(RetryAfter::At(at)) => {
            assert!(!digits && trimmed.contains(':'), "{text:?} is no date");
            let again = httpdate::fmt_http_date(SystemTime::from(at));
            assert_eq!(RetryAfter::parse(&again), Some(RetryAfter::At(at)), "{text:?} became {again:?}");
        }
        None => assert!(!digits, "{text:?} was not read"),
    }
}

fn judged(text: &str) {
    let Some(asked) = RetryAfter::parse(text) else { return };
    let draw = draw(text);
    for seconds in [0, i64::from(draw), 1_795_000_000, 253_402_300_799, -62_135_596_800] {
        let now = DateTime::<Utc>::from_timestamp(seconds, draw % 1_000_000_000).expect("a time");
        let wait = asked.wait(now);
        assert!(wait <= MAX_POSTPONEMENT, "{text:?} postpones for {wait:?}");
        let expected = match asked {
            RetryAfter::Wait(wait) => wait.min(MAX_POSTPONEMENT),
            RetryAfter::At(at) if at <= now => Duration::ZERO,
            RetryAfter::At(at) => {
                SystemTime::from(at).duration_since(now.into()).expect("it is later").min(MAX_POSTPONEMENT)
            }
        };
        assert_eq!(wait, expected);
        verdicts(asked, Moment { now, jitter: Jitter::per_mille(draw as u16) }, draw);
    }
}

fn verdicts(asked: RetryAfter, moment: Moment, draw: u32) {
    let scheduled = WAIT_SECONDS.start() + u64::from(draw) % (WAIT_SECONDS.end() - WAIT_SECONDS.start() + 1);
    let tries = draw % 4;
    let schedule = RetrySchedule::parse(&vec![scheduled; tries as usize]).expect("a schedule");
    let policy = RetryPolicy { schedule };
    let (scheduled, asked_wait) = (Duration::from_secs(scheduled), asked.wait(moment.now));
    for status in [200, 301, 410, 429, 500, 503] {
        let outcome = Outcome::Answered { status, retry_after: Some(asked) };
        for made in [1, 2, 3, 4, 5, u32::MAX] {
            let verdict = policy.verdict(&outcome, made, moment);
            match (status, verdict) {
                (200, Verdict::Succeeded) | (410, Verdict::Gone) => {}
                (200 | 410, _) => panic!("{status} became {verdict:?}"),
                (_, Verdict::Exhausted) => assert!(made > tries, "given up after {made} of {tries} tries"),
                (429 | 503, Verdict::Retry { after }) => {
                    assert!(made <= tries, "tried again after {made} of {tries} tries");
                    assert!(after >= asked_wait && after >= scheduled * 9 / 10, "hastened to {after:?}");
                    assert!(after <= (scheduled * 11 / 10).max(MAX_POSTPONEMENT), "postponed to {after:?}");
                }
                (_, Verdict::Retry { after }) => {
                    assert!(made <= tries && after >= scheduled * 9 / 10 && after <= scheduled * 11 / 10);
                }
                (_, verdict) => panic!("{status} became {verdict:?}"),
            }
        }
    }
}

/// A number that the text decides.
fn draw(text: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    (hasher.finish() >> 32) as u32
}
