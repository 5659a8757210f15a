//! Loads that end: bursts, steady streams, backlogs, webhooks, reads.

use std::time::{Duration, Instant};

use reqwest::Method;
use tokio::task::JoinSet;

use crate::orders;
use crate::receiver::Arrivals;
use crate::report::{Run, run};
use crate::stage::{ADMIN, Bench, Stage};
use crate::statements;

/// How many events may be on their way into the relay: as fast as they are taken, and no faster.
const WINDOW: usize = 2_000;

/// How often the relay is asked how many it has taken.
const ASK: Duration = Duration::from_millis(5);

/// After this Postgres has told of every commit.
const SETTLE: Duration = Duration::from_millis(1_500);

const AT_ONCE: usize = 32;
const READERS: usize = 16;

/// Publishes `count` events as fast as they are taken, and returns when all are kept.
pub(crate) async fn publish(stage: &mut Stage, count: usize) -> anyhow::Result<()> {
    let (before, mut sent) = (stage.kept().await?, 0);
    loop {
        let kept = stage.kept().await? - before;
        if kept >= count {
            return Ok(());
        }
        let more = (kept + WINDOW).min(count).saturating_sub(sent);
        if more > 0 {
            stage.source.ask(&format!("send {more}")).await?;
            sent += more;
        }
        tokio::time::sleep(ASK).await;
    }
}

/// Everything to so many endpoints, until the last answer; without any, until the last commit.
pub(crate) async fn burst(bench: &mut Bench, endpoints: usize, events: usize) -> anyhow::Result<Run> {
    let mut stage = bench.stage().await?;
    let receiver = bench.receiver.address.clone();
    stage.endpoints((0..endpoints).map(|n| format!("{receiver}/ok/{n}"))).await?;
    stage.source.ask(&format!("sign 0 {events}")).await?;
    let (reading, began) = (stage.meter.read().await?, Instant::now());
    publish(&mut stage, events).await?;
    let count = if endpoints == 0 { events } else { events * endpoints };
    if endpoints > 0 {
        bench.receiver.ask(&format!("expect {count}")).await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    without_latency(finish(bench, stage, (count, seconds), &reading).await?)
}

/// So many events a second to one endpoint, and how long each takes.
pub(crate) async fn steady(bench: &mut Bench, rate: u64, seconds: u64) -> anyhow::Result<Run> {
    let mut stage = bench.stage().await?;
    let receiver = bench.receiver.address.clone();
    stage.endpoints([format!("{receiver}/ok")]).await?;
    // The first few pay for connections and caches.
    let warm = usize::try_from(rate)?;
    stage.source.ask(&format!("pace 0 {rate} 1")).await?;
    bench.receiver.ask(&format!("expect {warm}")).await?;
    bench.receiver.ask("reset").await?;
    let (reading, began) = (stage.meter.read().await?, Instant::now());
    stage.source.ask(&format!("pace {warm} {rate} {seconds}")).await?;
    let count = usize::try_from(rate * seconds)?;
    bench.receiver.ask(&format!("expect {count}")).await?;
    let took = began.elapsed().as_secs_f64();
    finish(bench, stage, (count, took), &reading).await
}

/// Deliveries that were held and become due at once.
pub(crate) async fn backlog(bench: &mut Bench, deliveries: usize) -> anyhow::Result<Run> {
    let mut stage = bench.stage().await?;
    let receiver = bench.receiver.address.clone();
    let ids = stage.endpoints((0..10).map(|n| format!("{receiver}/ok/{n}"))).await?;
    for id in &ids {
        stage.call(Method::POST, &format!("/v1/endpoints/{id}/disable"), None).await?;
    }
    let events = deliveries / ids.len();
    stage.source.ask(&format!("sign 0 {events}")).await?;
    publish(&mut stage, events).await?;
    let (reading, began) = (stage.meter.read().await?, Instant::now());
    for id in &ids {
        stage.call(Method::POST, &format!("/v1/endpoints/{id}/enable"), None).await?;
    }
    bench.receiver.ask(&format!("expect {}", events * ids.len())).await?;
    let seconds = began.elapsed().as_secs_f64();
    without_latency(finish(bench, stage, (events * ids.len(), seconds), &reading).await?)
}

/// Transak's webhooks, some at a time, without any endpoint.
pub(crate) async fn webhooks(bench: &mut Bench, events: usize) -> anyhow::Result<Run> {
    let stage = bench.stage().await?;
    let url = format!("{}/ingest/transak/{}", stage.url, stage.partner().await?);
    let bodies: Vec<String> =
        (0..events).map(|number| orders::webhook(number, &stage.token)).collect::<Result<_, _>>()?;
    let (reading, began) = (stage.meter.read().await?, Instant::now());
    let mut senders: JoinSet<anyhow::Result<()>> = JoinSet::new();
    for bodies in bodies.chunks(events.div_ceil(AT_ONCE)) {
        let (http, url, bodies) = (bench.http.clone(), url.clone(), bodies.to_vec());
        senders.spawn(async move {
            for body in bodies {
                let request = http.post(&url).header("content-type", "application/json").body(body);
                request.send().await?.error_for_status()?;
            }
            Ok(())
        });
    }
    senders.join_all().await.into_iter().collect::<anyhow::Result<Vec<()>>>()?;
    let seconds = began.elapsed().as_secs_f64();
    finish(bench, stage, (events, seconds), &reading).await
}

/// Timelines of orders that have been told.
pub(crate) async fn reads(bench: &mut Bench, events: usize) -> anyhow::Result<Run> {
    let mut stage = bench.stage().await?;
    let receiver = bench.receiver.address.clone();
    stage.endpoints([format!("{receiver}/ok")]).await?;
    stage.source.ask(&format!("sign 0 {events}")).await?;
    publish(&mut stage, events).await?;
    bench.receiver.ask(&format!("expect {events}")).await?;
    let (reading, began) = (stage.meter.read().await?, Instant::now());
    let mut readers: JoinSet<anyhow::Result<()>> = JoinSet::new();
    for reader in 0..READERS {
        let (http, base) = (bench.http.clone(), stage.url.clone());
        readers.spawn(async move {
            for number in (reader..events).step_by(READERS) {
                let url = format!("{base}/v1/orders/{}/timeline", orders::order_id(number));
                http.get(url).bearer_auth(ADMIN).send().await?.error_for_status()?.bytes().await?;
            }
            Ok(())
        });
    }
    readers.join_all().await.into_iter().collect::<anyhow::Result<Vec<()>>>()?;
    let seconds = began.elapsed().as_secs_f64();
    without_latency(finish(bench, stage, (events, seconds), &reading).await?)
}

/// What was signed long before it was published has no latency worth telling.
#[expect(clippy::unnecessary_wraps, reason = "the last step of a scenario")]
fn without_latency(mut run: Run) -> anyhow::Result<Run> {
    run.retain(|key, _| !key.ends_with("_ms"));
    Ok(run)
}

/// Reads the meters, and what arrived.
pub(crate) async fn finish(
    bench: &mut Bench,
    stage: Stage,
    (count, seconds): (usize, f64),
    reading: &crate::meter::Reading,
) -> anyhow::Result<Run> {
    tokio::time::sleep(SETTLE).await;
    if stage.meter.counts_statements {
        statements::print(&stage.meter.pool, count).await?;
    }
    let mut run = run(count, seconds, &stage.meter.since(reading).await?);
    let arrivals = Arrivals::of(&mut bench.receiver).await?;
    if arrivals.received > 0 {
        #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark")]
        run.extend([("sent_again", arrivals.again as f64)]);
        run.extend([("p50_ms", arrivals.p50), ("p99_ms", arrivals.p99), ("p999_ms", arrivals.p999)]);
    }
    bench.clear(stage).await?;
    Ok(run)
}
