//! One bad neighbour beside 99 healthy endpoints: it never answers, or it is owed a backlog all at once.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;

use crate::receiver::Arrivals;
use crate::report::Run;
use crate::scenario::publish;
use crate::stage::{Bench, Stage};
use crate::statements;

const HEALTHY: usize = 99;
/// Events a second: each is a hundred callbacks.
const RATE: u64 = 10;

/// How often it is looked whether all of the backlog is due.
const ASK: Duration = Duration::from_millis(50);

/// What the hundredth endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Neighbour {
    /// As healthy as the others.
    Quiet,
    /// It holds each callback to its deadline.
    Hangs,
    /// It answers after 20 ms, and so many deliveries of the past are due to it. What is new stands behind them.
    Owed(usize),
}

/// The latency of the healthy ones beside an endpoint that hangs, and without it.
pub(crate) async fn hang(bench: &mut Bench, seconds: u64) -> anyhow::Result<Run> {
    compare(bench, Neighbour::Hangs, seconds).await
}

/// The same beside an endpoint with a backlog.
pub(crate) async fn backlog(bench: &mut Bench, deliveries: usize, seconds: u64) -> anyhow::Result<Run> {
    compare(bench, Neighbour::Owed(deliveries), seconds).await
}

async fn compare(bench: &mut Bench, neighbour: Neighbour, seconds: u64) -> anyhow::Result<Run> {
    let (without, _) = healthy(bench, Neighbour::Quiet, seconds).await?;
    let (with, left) = healthy(bench, neighbour, seconds).await?;
    let ratio = |of: fn(&Arrivals) -> f64| of(&with) / of(&without);
    let mut run = BTreeMap::from([
        ("p50_without_ms", without.p50),
        ("p50_with_ms", with.p50),
        ("p95_without_ms", without.p95),
        ("p95_with_ms", with.p95),
        ("ratio", ratio(|arrivals| arrivals.p95)),
        ("ratio_p50", ratio(|arrivals| arrivals.p50)),
    ]);
    if let Neighbour::Owed(_) = neighbour {
        run.insert("backlog_left", left);
    }
    Ok(run)
}

/// What the healthy ones saw, and what the neighbour was still owed at the end.
async fn healthy(bench: &mut Bench, neighbour: Neighbour, seconds: u64) -> anyhow::Result<(Arrivals, f64)> {
    let mut stage = bench.stage().await?;
    let receiver = bench.receiver.address.clone();
    let other = match neighbour {
        Neighbour::Quiet => stage.endpoints([format!("{receiver}/aside")]).await?,
        Neighbour::Hangs => stage.endpoints([format!("{receiver}/hang")]).await?,
        Neighbour::Owed(deliveries) => owed(&mut stage, &format!("{receiver}/late"), deliveries).await?,
    };
    stage.endpoints((0..HEALTHY).map(|n| format!("{receiver}/ok/{n}"))).await?;
    let first = match neighbour {
        Neighbour::Owed(deliveries) => deliveries,
        _ => 0,
    };
    let expected = |events: u64| usize::try_from(events).map(|events| format!("expect {}", events * HEALTHY));
    stage.source.ask(&format!("pace {first} {RATE} 1")).await?;
    bench.receiver.ask(&expected(RATE)?).await?;
    if let Neighbour::Owed(_) = neighbour {
        stage.call(Method::POST, &format!("/v1/endpoints/{}/enable", other[0]), None).await?;
        all_due(&stage).await?;
    }
    bench.receiver.ask("reset").await?;
    if stage.meter.counts_statements {
        statements::begin(&stage.meter.pool).await?;
    }
    stage.source.ask(&format!("pace {} {RATE} {seconds}", first + usize::try_from(RATE)?)).await?;
    bench.receiver.ask(&expected(RATE * seconds)?).await?;
    let arrivals = Arrivals::of(&mut bench.receiver).await?;
    if stage.meter.counts_statements {
        statements::print(&stage.meter.pool, usize::try_from(RATE * seconds)? * HEALTHY).await?;
    }
    let left: f64 = sqlx::query_scalar(
        "select count(*)::float8 from delivery join endpoint using (partner_id, endpoint_id)
         where delivery.state = 'pending' and endpoint.url like '%/late'",
    )
    .fetch_one(&stage.database.pool)
    .await?;
    bench.clear(stage).await?;
    Ok((arrivals, left))
}

/// Returns when nothing is held any more.
async fn all_due(stage: &Stage) -> anyhow::Result<()> {
    let held = "select exists (select from delivery where state = 'held')";
    while sqlx::query_scalar::<_, bool>(held).fetch_one(&stage.database.pool).await? {
        tokio::time::sleep(ASK).await;
    }
    Ok(())
}

/// An endpoint with so many deliveries that wait until it is enabled.
async fn owed(stage: &mut Stage, url: &str, deliveries: usize) -> anyhow::Result<Vec<String>> {
    let ids = stage.endpoints([url.to_owned()]).await?;
    stage.call(Method::POST, &format!("/v1/endpoints/{}/disable", ids[0]), None).await?;
    stage.source.ask(&format!("sign 0 {deliveries}")).await?;
    publish(stage, deliveries).await?;
    Ok(ids)
}
