//! Logs, metrics and traces of the process. Log lines go to standard error; what is logged is decided where it happens.

pub mod logging;
pub mod names;
pub mod process;
pub mod round;
pub mod traces;

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Seconds; from half a millisecond, the best that is seen on loopback, to the longest deadline.
const LATENCY_BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0,
    60.0,
];

/// How many events one transaction takes.
const BATCH_BUCKETS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];

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
