//! What a span of time cost: CPU and memory of the relay, CPU of Postgres, bytes of its log, commits. Linux only: the
//! figures are those of `/proc`.

use std::time::Instant;

use anyhow::Context as _;
use sqlx::PgPool;

use crate::statements;

/// Ticks of `/proc/…/stat` in a second; 100 on every Linux.
const TICKS: f64 = 100.0;

/// A reading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    at: Instant,
    relay_cpu: f64,
    postgres_cpu: f64,
    wal_bytes: f64,
    commits: f64,
}

/// The difference of two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) relay_cpu: f64,
    pub(crate) postgres_cpu: f64,
    pub(crate) wal_bytes: f64,
    pub(crate) commits: f64,
    /// The most memory the relay has had, in MiB.
    pub(crate) peak_mib: f64,
}

/// Reads.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    pub(crate) relay: u32,
    pub(crate) postgres: u32,
    pub(crate) pool: PgPool,
    pub(crate) counts_statements: bool,
}

impl Meter {
    /// The first reading of a span.
    pub(crate) async fn read(&self) -> anyhow::Result<Reading> {
        if self.counts_statements {
            statements::begin(&self.pool).await?;
        }
        self.reading().await
    }

    async fn reading(&self) -> anyhow::Result<Reading> {
        let (wal_bytes, commits): (f64, f64) = sqlx::query_as(
            "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8,
                    (select xact_commit::float8 from pg_stat_database where datname = current_database())",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Reading {
            at: Instant::now(),
            relay_cpu: cpu(self.relay)?.0,
            postgres_cpu: family_cpu(self.postgres)?,
            wal_bytes,
            commits,
        })
    }

    /// What it cost since `before`. Postgres tells of commits late: ask a second after the work is done.
    pub(crate) async fn since(&self, before: &Reading) -> anyhow::Result<Cost> {
        let now = self.reading().await?;
        Ok(Cost {
            seconds: (now.at - before.at).as_secs_f64(),
            relay_cpu: now.relay_cpu - before.relay_cpu,
            postgres_cpu: now.postgres_cpu - before.postgres_cpu,
            wal_bytes: now.wal_bytes - before.wal_bytes,
            commits: now.commits - before.commits,
            peak_mib: self.memory("VmHWM:")?,
        })
    }

    /// Memory of the relay in MiB: `VmRSS:` now, `VmHWM:` at most.
    pub(crate) fn memory(&self, line: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.relay))?;
        let value = status.lines().find_map(|text| text.strip_prefix(line)).context("no such line")?;
        let kib: f64 = value.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }
}

/// CPU seconds of a process: its own, and with those of its children that are over.
fn cpu(pid: u32) -> anyhow::Result<(f64, f64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The name may contain anything, but ends with the last parenthesis; user time is the 14th field.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    let own = (ticks(11) + ticks(12)) / TICKS;
    Ok((own, own + (ticks(13) + ticks(14)) / TICKS))
}

fn family_cpu(parent: u32) -> anyhow::Result<f64> {
    let mut sum = cpu(parent)?.1;
    for task in std::fs::read_dir(format!("/proc/{parent}/task"))? {
        let children = std::fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            // One that has just ended is counted with the parent next time.
            sum += cpu(child).map_or(0.0, |(own, _)| own);
        }
    }
    Ok(sum)
}
