//! Breaks things around a real relay process and counts what is missing. On loopback only, bounded in count and time.
//!
//! `tests/chaos/*.sh` run it; `cargo run --release --example chaos -- NAME` does the same.

#![expect(clippy::print_stdout, reason = "its figures are what it is for")]

mod copies;
mod deliveries;
mod door;
mod hostile;
mod load;
mod misbehave;
mod receiver;
mod repeats;
mod rolling;
mod silent;
mod soak;
mod strangers;
mod world;

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use load::Load;
use repeats::Repeats;
use world::{Figures, World};

/// Events of one run, and how many a second.
const EVENTS: usize = 10_000;
const RATE: u32 = 200;

/// How often the only process is killed.
const KILLS: usize = 20;

/// How long repairs may take once the load has ended.
const REPAIR: Duration = Duration::from_mins(3);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let argument = std::env::args().nth(2);
    if name == "hostile-receivers" {
        return hostile::hostile_receivers(argument.as_deref()).await;
    }
    let events = match argument {
        Some(count) => count.parse().context("the second argument is a number of events")?,
        None => EVENTS,
    };
    match name.as_str() {
        "kill-the-only-process" => kill_the_only_process(events).await,
        "stop-postgres" => stop_postgres(events).await,
        "silent-postgres" => silent::silent_postgres(events).await,
        "kill-one-of-two" => kill_one_of_two(events).await,
        "stream-copies" => copies::copies(events).await,
        "kill-during-deliveries" => deliveries::kill_during_deliveries(events).await,
        "rolling-restart" => rolling::restart(events).await,
        "soak" => soak::soak(std::env::args().nth(2).map_or(Ok(15), |minutes| minutes.parse())?).await,
        "misbehaving-server" => misbehave::table().await,
        _ => bail!(
            "one of: kill-the-only-process, stop-postgres, kill-one-of-two, stream-copies, kill-during-deliveries, rolling-restart, soak, \
             misbehaving-server, hostile-receivers, silent-postgres"
        ),
    }
}

/// `kill -9` at 20 random moments, restarted each time, while the load goes on; the REST API repairs.
async fn kill_the_only_process(events: usize) -> anyhow::Result<()> {
    let world = World::new(1).await?;
    let mut relay = world.relay(1, true).await?;
    let mut load = Load::new(&world, events);
    let (moments, started) = (moments(events), Instant::now());
    let killing = async {
        for moment in &moments {
            tokio::time::sleep_until((started + *moment).into()).await;
            relay.kill().await?;
            relay = world.relay(1, true).await?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(load.play(events, RATE), killing)?;
    let figures = world.settle(&load, (REPAIR, true)).await?;
    report("kill -9 of the only process at 20 random moments under load", &world, &figures).await?;
    relay.stop().await?;
    ensure!(figures.repaired == figures.gaps, "a gap is not repaired");
    world.end(&figures).await
}

/// When to kill, from the beginning of the load on.
fn moments(events: usize) -> Vec<Duration> {
    let mut random = fastrand::Rng::with_seed(20);
    let length = u64::try_from(events).unwrap_or(u64::MAX) * 1000 / u64::from(RATE);
    let mut moments: Vec<_> = (0..KILLS).map(|_| Duration::from_millis(random.u64(..length))).collect();
    moments.sort_unstable();
    moments
}

/// Postgres stopped at once for 20 seconds under load, and the relay killed meanwhile.
async fn stop_postgres(events: usize) -> anyhow::Result<()> {
    let world = World::new(1).await?;
    let mut relay = world.relay(1, true).await?;
    let mut load = Load::new(&world, events);
    let mut spooled = 0;
    let breaking = async {
        tokio::time::sleep(Duration::from_secs(1) * u32::try_from(events / 4)? / RATE).await;
        world.stop_postgres().await?;
        let stopped = Instant::now();
        tokio::time::sleep(Duration::from_secs(6)).await;
        relay.kill().await?;
        spooled = world.spooled_bytes();
        tokio::time::sleep_until((stopped + Duration::from_secs(20)).into()).await;
        world.start_postgres().await?;
        relay = world.relay(1, true).await?;
        anyhow::Ok(())
    };
    tokio::try_join!(load.play(events, RATE), breaking)?;
    let figures = world.settle(&load, (REPAIR, true)).await?;
    println!("spooled when the relay was killed: {spooled} bytes");
    report("Postgres away for 20 s under load, the relay killed after 6 s", &world, &figures).await?;
    relay.stop().await?;
    ensure!(figures.repaired == figures.gaps, "a gap is not repaired");
    world.end(&figures).await
}

/// Two processes, one killed under load, and no REST API to repair with.
async fn kill_one_of_two(events: usize) -> anyhow::Result<()> {
    let world = World::new(1).await?;
    let mut first = world.relay(2, false).await?;
    let second = world.relay(2, false).await?;
    world.heard_by(2).await;
    let mut load = Load::new(&world, events);
    load.play(events / 2, RATE).await?;
    first.kill().await?;
    load.play(events, RATE).await?;
    let figures = world.settle(&load, (Duration::from_secs(90), false)).await?;
    report("two processes, one killed -9, no REST API", &world, &figures).await?;
    second.stop().await?;
    world.end(&figures).await
}

async fn report(what: &str, world: &World, figures: &Figures) -> anyhow::Result<Repeats> {
    let repeats = Repeats::count(world).await?;
    println!("{what}");
    println!("  (asking the loopback Transak up to {} times a second; the default is 10)", world::REST_RATE);
    println!("  events played                    {:>7}", figures.played);
    println!("  missing in Postgres              {:>7}", figures.missing);
    println!("  kept twice (by identity)         {:>7}", figures.duplicates);
    println!("  first learned from the REST API  {:>7}", figures.reconciled);
    println!("  gaps written down / repaired     {:>7} / {}", figures.gaps, figures.repaired);
    println!("  settled after the load's end     {:>7} s", figures.settled_after.as_secs());
    println!("  events never told                {:>7}", figures.untold);
    repeats.print();
    repeats.ensure_explained()?;
    Ok(repeats)
}
