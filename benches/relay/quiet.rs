//! Loads that are small: nothing at all, and one bad neighbour.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::receiver::Arrivals;
use crate::report::Run;
use crate::stage::{ADMIN, Bench, Stage};

/// How many clients follow the events.
const FOLLOWERS: usize = 1_000;
const HEALTHY: usize = 99;
/// Events a second: each is a hundred callbacks.
const RATE: u64 = 10;

/// What a relay takes that has nothing to do, and what a thousand followers add.
pub(crate) async fn idle(bench: &mut Bench, seconds: u64) -> anyhow::Result<Run> {
    let stage = bench.stage().await?;
    let mut run = BTreeMap::from([("idle_mib", stage.meter.memory("VmRSS:")?)]);
    let cost = pause(&stage, seconds).await?;
    run.insert("idle_cpu_percent", cost);
    let mut followers = JoinSet::new();
    if follow(&stage, &mut followers).await? {
        run.insert("followed_cpu_percent", pause(&stage, seconds).await?);
        run.insert("followed_mib", stage.meter.memory("VmRSS:")?);
    }
    followers.shutdown().await;
    bench.clear(stage).await?;
    Ok(run)
}

async fn pause(stage: &Stage, seconds: u64) -> anyhow::Result<f64> {
    let reading = stage.meter.read().await?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let cost = stage.meter.since(&reading).await?;
    Ok((cost.relay_cpu + cost.postgres_cpu) / cost.seconds * 100.0)
}

/// Connects the followers. `false`: this relay cannot be followed.
async fn follow(stage: &Stage, followers: &mut JoinSet<()>) -> anyhow::Result<bool> {
    let http = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(10)).build()?;
    for _ in 0..FOLLOWERS {
        let request = http.get(format!("{}/v1/events/stream", stage.url)).bearer_auth(ADMIN);
        let mut answer = request.header("accept", "text/event-stream").send().await?;
        if !answer.status().is_success() {
            return Ok(false);
        }
        followers.spawn(async move { while let Ok(Some(_)) = answer.chunk().await {} });
    }
    Ok(true)
}

/// The latency of healthy endpoints beside one that hangs, and without it.
pub(crate) async fn noisy(bench: &mut Bench, seconds: u64) -> anyhow::Result<Run> {
    let without = healthy_p95(bench, false, seconds).await?;
    let with = healthy_p95(bench, true, seconds).await?;
    Ok(BTreeMap::from([("p95_without_ms", without), ("p95_with_ms", with), ("ratio", with / without)]))
}

async fn healthy_p95(bench: &mut Bench, hung: bool, seconds: u64) -> anyhow::Result<f64> {
    let mut stage = bench.stage().await?;
    let receiver = bench.receiver.address.clone();
    let healthy = (0..HEALTHY).map(|n| format!("{receiver}/ok/{n}"));
    let other = if hung { format!("{receiver}/hang") } else { format!("{receiver}/ok/other") };
    stage.endpoints(healthy.chain([other])).await?;
    stage.source.ask(&format!("pace 0 {RATE} 1")).await?;
    let each = HEALTHY + usize::from(!hung);
    let expected = |events: u64| usize::try_from(events).map(|events| format!("expect {}", events * each));
    bench.receiver.ask(&expected(RATE)?).await?;
    bench.receiver.ask("reset").await?;
    stage.source.ask(&format!("pace {RATE} {RATE} {seconds}")).await?;
    bench.receiver.ask(&expected(RATE * seconds)?).await?;
    let arrivals = Arrivals::of(&mut bench.receiver).await?;
    bench.clear(stage).await?;
    Ok(arrivals.p95)
}
