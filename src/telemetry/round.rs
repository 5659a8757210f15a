//! The gauges of one look at how things are.
//!
//! Guarantees: a gauge is shown exactly as long as looks find what it is about: that of a partner that was deleted, or of a
//! table that is gone, is gone with the next look. Every gauge with a label is shown this way, which a test holds: one that
//! is set by whoever knows something stays until the process ends.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::names;

/// What one look found, by name.
#[derive(Debug, Clone, Default)]
pub struct Round(BTreeMap<&'static str, Vec<Sample>>);

#[derive(Debug, Clone)]
struct Sample {
    label: Option<(&'static str, String)>,
    value: f64,
}

impl Round {
    /// A gauge without a label.
    pub fn show(&mut self, name: &'static str, value: f64) {
        self.0.entry(name).or_default().push(Sample { label: None, value });
    }

    /// The same, if it is known.
    pub fn show_some(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            self.show(name, value);
        }
    }

    /// A gauge of one of several things.
    pub fn show_of(&mut self, name: &'static str, (label, thing): (&'static str, &str), value: f64) {
        let label = Some((label, thing.to_owned()));
        self.0.entry(name).or_default().push(Sample { label, value });
    }

    /// What both found. No name may be in both.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.0.extend(other.0.iter().map(|(name, samples)| (*name, samples.clone())));
        self
    }

    /// In Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (name, samples) in &self.0 {
            let help = names::help(name).unwrap_or_default();
            let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for Sample { label, value } in samples {
                let _ = match label {
                    None => writeln!(text, "{name} {value}"),
                    Some((label, thing)) => {
                        writeln!(text, "{name}{{{label}=\"{}\"}} {value}", escaped(thing))
                    }
                };
            }
            text.push('\n');
        }
        text
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_written_as_prometheus_reads_it() {
        let mut round = Round::default();
        round.show("relay_database_up", 1.0);
        round.show_of("relay_endpoints", ("state", "paused"), 2.0);
        round.show_of("relay_endpoints", ("state", "a\"b\\c\nd"), 0.5);
        let text = "# HELP relay_database_up 1: the database answered when it was last asked.\n\
                    # TYPE relay_database_up gauge\nrelay_database_up 1\n\n\
                    # HELP relay_endpoints Endpoints, by what they are doing.\n# TYPE relay_endpoints gauge\n\
                    relay_endpoints{state=\"paused\"} 2\nrelay_endpoints{state=\"a\\\"b\\\\c\\nd\"} 0.5\n\n";
        assert_eq!(round.render(), text);
    }

    #[test]
    fn two_looks_are_shown_together() {
        let (mut here, mut there) = (Round::default(), Round::default());
        here.show("relay_database_up", 0.0);
        there.show("relay_queue_due", 3.0);
        let text = here.and(&there).render();
        assert!(text.contains("\nrelay_database_up 0\n") && text.contains("\nrelay_queue_due 3\n"), "{text}");
    }
}
