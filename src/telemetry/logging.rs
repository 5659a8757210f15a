//! The log: what is in it, in which form, and the switch that changes it while the process runs.

use std::fmt;
use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt as lines, reload};

use crate::config::LogFormat;

/// Whose lines a level without a name is about.
const OURS: &str = env!("CARGO_CRATE_NAME");

/// Turns debug lines of this program on and off while it runs.
pub struct DebugSwitch {
    filter: reload::Handle<EnvFilter, Registry>,
    given: Filter,
    is_on: bool,
}

impl fmt::Debug for DebugSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugSwitch")
            .field("given", &self.given)
            .field("is_on", &self.is_on)
            .finish_non_exhaustive()
    }
}

impl DebugSwitch {
    /// Turns it the other way, and says so.
    pub fn turn(&mut self) {
        let on = !self.is_on;
        let turned = self.given.turned(on).parse().map(|filter| self.filter.reload(filter));
        if !matches!(turned, Ok(Ok(()))) {
            return tracing::warn!("debug logging cannot be turned on or off");
        }
        self.is_on = on;
        if on {
            tracing::info!("debug logging is on: SIGUSR1 turns it off");
        } else {
            tracing::info!("debug logging is off: SIGUSR1 turns it on");
        }
    }
}

/// Starts logging. `filter` is in the form of `RUST_LOG`.
///
/// # Errors
/// The filter cannot be read.
pub fn start_logging(filter: &str, format: LogFormat) -> anyhow::Result<DebugSwitch> {
    let given = Filter::of(filter);
    let parsed =
        given.parse().context("RUST_LOG is not a filter like `info` or `transak_relay=debug,warn`")?;
    let is_on = parsed.max_level_hint().is_none_or(|level| level >= LevelFilter::DEBUG);
    let (filter, handle) = reload::Layer::new(parsed);
    let registry = tracing_subscriber::registry().with(filter);
    // A line that cannot be written would be told on the same stderr, by a macro that panics where that fails too: a full
    // disk or a reader that went away must not end the process.
    let lines = lines::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let started = match format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_current_span(true)).try_init(),
        LogFormat::Pretty => registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging was started twice: {error}"))?;
    Ok(DebugSwitch { filter: handle, given, is_on })
}

/// A filter in which a level without a name is about this program: the libraries below it would write a line for each
/// statement and each packet. They are asked by name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Filter(String);

impl Filter {
    fn of(text: &str) -> Self {
        let part = |part: &str| match part.trim().parse::<LevelFilter>() {
            Ok(level) if level > LevelFilter::INFO && !part.contains('=') => format!("info,{OURS}={level}"),
            _ => part.to_owned(),
        };
        Self(text.split(',').map(part).collect::<Vec<_>>().join(","))
    }

    /// The same, with debug lines of this program or without.
    fn turned(&self, on: bool) -> Self {
        let already = self.parse().is_ok_and(|filter| {
            filter.max_level_hint().is_none_or(|level| level >= LevelFilter::DEBUG) == on
        });
        let level = if on { LevelFilter::DEBUG } else { LevelFilter::INFO };
        if already { self.clone() } else { Self(format!("{},{OURS}={level}", self.0)) }
    }

    fn parse(&self) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
        EnvFilter::try_new(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_without_a_name_is_about_this_program() {
        let filter = |text: &str| Filter::of(text).0;
        assert_eq!(filter("debug"), "info,transak_relay=debug");
        assert_eq!(filter("TRACE,sqlx=debug"), "info,transak_relay=trace,sqlx=debug");
        for same in ["info", "warn", "off", "transak_relay=debug,warn", "sqlx=trace", "[span]=debug", ""] {
            assert_eq!(filter(same), same);
        }
    }

    #[test]
    fn the_switch_changes_the_lines_of_this_program_and_back_again() {
        for given in ["info", "warn,sqlx=info", "transak_relay=warn"] {
            let given = Filter::of(given);
            assert_eq!(given.turned(false), given);
            let on = given.turned(true).parse().unwrap().to_string();
            assert!(on.contains("transak_relay=debug") && !on.contains("transak_relay=warn"), "{on}");
        }
        let given = Filter::of("debug");
        assert_eq!(given.turned(true), given);
        let off = given.turned(false).parse().unwrap().to_string();
        assert!(off.contains("transak_relay=info") && !off.contains("debug"), "{off}");
    }
}
