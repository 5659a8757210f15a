//! Medians, ratios, a table, and the same as JSON.

use std::collections::BTreeMap;

use clap::ValueEnum as _;
use serde::Serialize;

use crate::Name;
use crate::limits::Limits;
use crate::meter::Cost;

/// The figures of one run, by name.
pub(crate) type Run = BTreeMap<&'static str, f64>;

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    limits: Limits,
    /// Medians.
    scenarios: BTreeMap<String, Run>,
}

/// A run that handled `count` things.
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark")]
pub(crate) fn run(count: usize, seconds: f64, cost: &Cost) -> Run {
    let count = count as f64;
    BTreeMap::from([
        ("per_second", count / seconds),
        ("cpu_s_per_1000", (cost.relay_cpu + cost.postgres_cpu) / count * 1e3),
        ("cpu_s_per_1000_relay", cost.relay_cpu / count * 1e3),
        ("cpu_s_per_1000_postgres", cost.postgres_cpu / count * 1e3),
        ("wal_bytes_each", cost.wal_bytes / count),
        ("commits_each", cost.commits / count),
        ("peak_mib", cost.peak_mib),
    ])
}

impl Report {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, scenarios: BTreeMap::new() }
    }

    pub(crate) fn limits_text(&self) -> String {
        let Limits { posts, rows, commits, fsyncs, cpus } = &self.limits;
        format!(
            "this machine: {cpus} CPUs, {posts:.0} bare POSTs/s, {rows:.0} durable rows/s in batches of 100, \
             {commits:.0} commits/s, {fsyncs:.0} fsyncs/s"
        )
    }

    /// Takes the runs of a scenario; answers its line of the table.
    pub(crate) fn add(&mut self, name: Name, runs: &[Run]) -> String {
        let mut medians = Run::new();
        for key in runs.iter().flat_map(BTreeMap::keys) {
            let mut values: Vec<f64> = runs.iter().filter_map(|run| run.get(key).copied()).collect();
            values.sort_by(f64::total_cmp);
            medians.insert(key, values[values.len() / 2]);
        }
        let ratio = match name {
            Name::Intake | Name::Webhook => Some(("ratio_to_durable_rows", self.limits.rows)),
            Name::One | Name::Ten | Name::Backlog => Some(("ratio_to_bare_posts", self.limits.posts)),
            _ => None,
        };
        if let (Some((key, limit)), Some(rate)) = (ratio, medians.get("per_second").copied()) {
            medians.insert(key, rate / limit);
        }
        let title = name.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let line = medians.iter().map(|(key, value)| format!("  {key:<28}{value:>14.3}")).collect::<Vec<_>>();
        let text = format!("\n{title} (median of {})\n{}", runs.len(), line.join("\n"));
        self.scenarios.insert(title, medians);
        text
    }

    pub(crate) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
