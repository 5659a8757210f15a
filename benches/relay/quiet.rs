//! Loads that are none: nothing at all, and clients that only listen.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::report::Run;
use crate::stage::{ADMIN, Bench, Stage};

/// How many clients follow the events.
const FOLLOWERS: usize = 1_000;

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

/// The CPU that the relay and Postgres take for so long, in percent of one.
pub(crate) async fn pause(stage: &Stage, seconds: u64) -> anyhow::Result<f64> {
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
