//! Logs, metrics and traces of the process. Log lines go to standard error; what is logged is decided where it happens.

pub mod names;
pub mod round;
pub mod traces;

use std::io::IsTerminal as _;

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Seconds; from half a millisecond, the best that is seen on loopback, to the longest deadline.
const LATENCY_BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0,
    60.0,
];

/// How many events one transaction takes.
const BATCH_BUCKETS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];

/// Starts logging. `filter` is in the form of `RUST_LOG`.
pub fn start_logging(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)
        .context("RUST_LOG is not a filter like `info` or `transak_relay=debug,warn`")?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A line that cannot be written would be told on the same stderr, by a macro that panics where that fails too: a full
    // disk or a reader that went away must not end the process.
    let builder = builder.log_internal_errors(false);
    let started = match format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).try_init(),
        LogFormat::Pretty => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging was started twice: {error}"))
}

/// Starts counting; the handle renders `/metrics`.
pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), LATENCY_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full("relay_intake_batch_events".to_owned()), BATCH_BUCKETS)?
        .install_recorder()
        .context("metrics were started twice")?;
    names::describe();
    names::begin();
    Ok(handle)
}
