//! Times as Transak writes them, and as other writers of JSON do: one instant however it is spelled.

use chrono::{DateTime, Datelike as _, NaiveDateTime, SubsecRound as _, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::text;

/// Times are kept in microseconds.
const MICROS: u16 = 6;

/// A time as text, as a number, or as `MongoDB` wraps either in JSON; `None` for anything else.
pub(super) fn time(value: Option<&RawValue>) -> Option<DateTime<Utc>> {
    let value = unwrapped(value?);
    match text(Some(value)) {
        Some(text) => parse(&text),
        None => of_number(value.get()),
    }
}

/// What is inside of `{"$date": …}` and `{"$numberLong": …}`, or the value itself.
fn unwrapped(mut value: &RawValue) -> &RawValue {
    #[derive(Deserialize)]
    struct Wrapped<'a> {
        #[serde(borrow, rename = "$date", alias = "$numberLong")]
        inside: &'a RawValue,
    }
    while value.get().starts_with('{') {
        let Ok(Wrapped { inside }) = serde_json::from_str(value.get()) else { break };
        value = inside;
    }
    value
}

/// The forms of RFC 3339 and ISO 8601 that writers of JSON use, `%.f` being a fraction or none.
const FORMS: [&str; 4] =
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y%m%dT%H%M%S%.f"];

/// Reads a time: RFC 3339 in any precision and offset, with or without the colon in it; without an offset it is UTC.
/// A comma before the fraction, the words UTC and GMT, and RFC 2822 are read as well. Or a number: of seconds,
/// milliseconds or microseconds since 1970. Years outside 2000 to 2200 are no times of orders.
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let at = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc2822(text)).ok();
    let at = at.map(|at| at.to_utc()).or_else(|| spelled(text)).or_else(|| of_number(text));
    plausible(at?)
}

fn spelled(text: &str) -> Option<DateTime<Utc>> {
    let text = text.replace(',', ".");
    let local = [" UTC", " GMT", "Z", "z"].iter().find_map(|utc| text.strip_suffix(utc)).unwrap_or(&text);
    FORMS.iter().find_map(|form| {
        let without_offset = NaiveDateTime::parse_from_str(local, form).map(|at| at.and_utc());
        let with_offset = |_| {
            [format!("{form}%#z"), format!("{form} %#z")]
                .iter()
                .find_map(|form| DateTime::parse_from_str(&text, form).ok())
                .map(|at| at.to_utc())
                .ok_or(())
        };
        without_offset.or_else(with_offset).ok()
    })
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
            "2026-11-27 10:00:00.120 UTC",
            "2026-11-27T10:00:00,120Z",
            "2026-11-27T10:00:00,12+00:00",
            "2026-11-27 03:00:00.120 -0700",
            "20261127T100000.120Z",
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
    fn whole_seconds_and_minutes_are_read_as_mail_and_shells_write_them() {
        for spelling in [
            "2026-11-27T10:00Z",
            "2026-11-27T10:00:00Z",
            "2026-11-27 10:00:00 UTC",
            "20261127T100000Z",
            "Fri, 27 Nov 2026 10:00:00 GMT",
            "Fri, 27 Nov 2026 03:00:00 -0700",
        ] {
            assert_eq!(parse(spelling), parse("2026-11-27T10:00:00.000Z"), "{spelling}");
        }
    }

    #[test]
    fn a_time_that_mongodb_wraps_is_the_same_time() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        for wrapped in [
            r#"{"$date":"2026-11-27T10:00:00.120Z"}"#,
            r#"{"$date":1795773600120}"#,
            r#"{"$date":{"$numberLong":"1795773600120"}}"#,
        ] {
            assert_eq!(time(Some(&raw(wrapped))), parse(INSTANT), "{wrapped}");
        }
        assert_eq!(time(Some(&raw(r#"{"$date":{}}"#))), None);
        assert_eq!(time(Some(&raw(r#"{"date":1795773600120}"#))), None);
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
