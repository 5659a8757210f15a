//! Times as Transak writes them, and as other writers of JSON do: one instant however it is spelled.

use chrono::{DateTime, Datelike as _, NaiveDateTime, SubsecRound as _, Utc};
use serde_json::value::RawValue;

use super::json::text;

/// Times are kept in microseconds.
const MICROS: u16 = 6;

/// A time as text or as a number; `None` for anything else.
pub(super) fn time(value: Option<&RawValue>) -> Option<DateTime<Utc>> {
    match text(value) {
        Some(text) => parse(&text),
        None => of_number(value?.get()),
    }
}

/// Reads a time: RFC 3339 in any precision and offset, with or without the colon in it; without an offset it is UTC. Or a
/// number: of seconds, milliseconds or microseconds since 1970. Years outside 2000 to 2200 are no times of orders.
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let at = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%#z"))
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z"));
    let at = at.map(|at| at.to_utc()).ok().or_else(|| without_offset(text)).or_else(|| of_number(text));
    plausible(at?)
}

fn without_offset(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim_end_matches(['Z', 'z']);
    let read = |form| NaiveDateTime::parse_from_str(text, form).map(|at| at.and_utc());
    read("%Y-%m-%dT%H:%M:%S%.f").or_else(|_| read("%Y-%m-%d %H:%M:%S%.f")).ok()
}

/// The unit follows from the size: no time of an order is one in two units.
fn of_number(text: &str) -> Option<DateTime<Utc>> {
    // A time, not an amount: a binary float holds microseconds of this century.
    let number: f64 = text.parse().ok()?;
    [1e6, 1e3, 1.0].into_iter().find_map(|to_micros| {
        let micros = (number * to_micros).round();
        #[expect(clippy::cast_possible_truncation, reason = "what does not fit is no plausible time")]
        plausible(DateTime::from_timestamp_micros(micros as i64)?)
    })
}

fn plausible(at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (2000..=2200).contains(&at.year()).then(|| at.trunc_subsecs(MICROS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANT: &str = "2026-11-27T10:00:00.120Z";

    #[test]
    fn one_instant_is_one_time_however_it_is_written() {
        for spelling in [
            "2026-11-27T10:00:00.12Z",
            "2026-11-27T10:00:00.120000Z",
            "2026-11-27T10:00:00.1200001Z",
            "2026-11-27t10:00:00.120z",
            "2026-11-27 10:00:00.120Z",
            "2026-11-27 10:00:00.120",
            "2026-11-27T10:00:00.120",
            "2026-11-27T10:00:00.120+0000",
            "2026-11-27T10:00:00.120+00:00",
            "2026-11-27T10:00:00.120+00",
            "2026-11-27 10:00:00.120+0000",
            "2026-11-27T03:00:00.120-07:00",
            "2026-11-27T03:00:00.120-0700",
            "2026-11-27T15:30:00.120+05:30",
            " 2026-11-27T10:00:00.120Z ",
            "1795773600120",
            "1795773600.12",
            "1795773600120000",
            "1.79577360012e12",
        ] {
            assert_eq!(parse(spelling), parse(INSTANT), "{spelling}");
        }
        assert!(parse(INSTANT).is_some());
    }

    #[test]
    fn a_number_is_the_same_time_quoted_or_not() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        for number in ["1795773600120", "1795773600.12", "1795773600120.0"] {
            assert_eq!(time(Some(&raw(number))), parse(INSTANT), "{number}");
            assert_eq!(time(Some(&raw(&format!("\"{number}\"")))), parse(INSTANT), "{number}");
        }
    }

    #[test]
    fn seconds_without_a_fraction_are_whole() {
        assert_eq!(parse("1795773600"), parse("2026-11-27T10:00:00Z"));
    }

    #[test]
    fn nonsense_is_no_time() {
        for text in [
            "",
            "Invalid date",
            "yesterday",
            "null",
            "0",
            "-1",
            "NaN",
            "inf",
            "9999-12-31T00:00:00Z",
            "1999-12-31T23:59:59Z",
            "2026-13-01T00:00:00Z",
            "2026-11-27",
            "20261127",
            "1e300",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
