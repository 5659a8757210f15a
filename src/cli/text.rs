//! Answers as text for people.

use std::io::Write;

use serde_json::Value;

/// Tells a person.
#[expect(clippy::print_stderr, reason = "what is printed for machines must not have it")]
pub(super) fn say(text: &str) {
    eprintln!("{text}");
}

/// A member as text; nothing for null.
pub(super) fn field(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        other => other.to_string(),
    }
}

/// What comes from outside must not steer the terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Rows as columns, each as wide as its widest cell.
pub(super) fn columns(rows: &[Vec<String>], out: &mut impl Write) -> anyhow::Result<()> {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|at| width(at).unwrap_or_default()).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Milliseconds as people say them, in the two largest units.
pub(super) fn duration(ms: i64) -> String {
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        86_400.. => format!("{days}d {}h", hours % 24),
        3_600.. => format!("{hours}h {}m", minutes % 60),
        60.. => format!("{minutes}m {}s", seconds % 60),
        _ => format!("{seconds}.{:03}s", ms.abs()),
    }
}

/// A time without what every line would repeat: `2026-04-04 13:11:48.374`.
pub(super) fn time(text: &str) -> String {
    plain(text).trim_end_matches('Z').replacen('T', " ", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_the_two_largest_units() {
        let said = [374, 61_000, 3_661_000, 90_061_000].map(duration);
        assert_eq!(said, ["0.374s", "1m 1s", "1h 1m", "1d 1h"]);
    }

    #[test]
    fn an_answer_cannot_steer_the_terminal() {
        assert_eq!(field(&serde_json::json!({"a": "x\u{1b}[31m\n"}), "a"), "x\u{fffd}[31m\u{fffd}");
    }

    #[test]
    fn columns_line_up() {
        let mut out = Vec::new();
        let rows = [["a", "bb"], ["ccc", ""]].map(|row| row.map(str::to_owned).to_vec());
        columns(&rows, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a    bb\nccc\n");
    }
}
