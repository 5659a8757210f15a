//! Breaks things around a real relay process and counts what is missing. On loopback only, bounded in count and time.
//!
//! `tests/chaos/*.sh` run it; `cargo run --release --example chaos -- NAME` does the same.

#![expect(clippy::print_stdout, reason = "its figures are what it is for")]

mod deliveries;
mod hostile;
mod misbehave;
mod receiver;
mod rolling;
mod soak;
mod strangers;
mod world;

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use world::{Figures, Load, World};

/// Events of one run, and how many a second.
const EVENTS: usize = 10_000;
const RATE: u32 = 200;

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
        "kill-one-of-two" => kill_one_of_two(events).await,
        "kill-during-deliveries" => deliveries::kill_during_deliveries(events).await,
        "rolling-restart" => rolling::restart(events).await,
        "soak" => soak::soak(std::env::args().nth(2).map_or(Ok(15), |minutes| minutes.parse())?).await,
        "misbehaving-server" => misbehave::table().await,
        _ => bail!(
            "one of: kill-the-only-process, stop-postgres, kill-one-of-two, kill-during-deliveries, rolling-restart, soak, \
             misbehaving-server, hostile-receivers"
        ),
    }
}

/// `kill -9` at 20 random moments, restarted each time; the REST API repairs.
async fn kill_the_only_process(events: usize) -> anyhow::Result<()> {
    let world = World::new(1).await?;
    let mut relay = world.relay(1, true).await?;
    let mut load = Load::new(&world, events);
    let mut moments = fastrand::Rng::with_seed(20);
    let kills = 20;
    for kill in 0..kills {
        let until = events * (kill + 1) / (kills + 1);
        let jitter = moments.usize(0..events / (kills + 1));
        load.play(until.saturating_sub(jitter), RATE).await?;
        relay.kill().await?;
        relay = world.relay(1, true).await?;
    }
    load.play(events, RATE).await?;
    let figures = world.settle(&load, REPAIR).await?;
    report("kill -9 of the only process at 20 moments", &world, &figures);
    relay.stop().await?;
    world.end(&figures).await
}

/// Postgres stopped at once for 20 seconds under load, and the relay killed meanwhile.
async fn stop_postgres(events: usize) -> anyhow::Result<()> {
    let world = World::new(1).await?;
    let mut relay = world.relay(1, true).await?;
    let mut load = Load::new(&world, events);
    load.play(events / 4, RATE).await?;
    world.stop_postgres().await?;
    let stopped = Instant::now();
    load.play(events / 4 + events / 8, RATE).await?;
    relay.kill().await?;
    let spooled = world.spooled_bytes();
    while stopped.elapsed() < Duration::from_secs(20) {
        load.play(load.played() + 100, RATE).await?;
    }
    world.start_postgres().await?;
    relay = world.relay(1, true).await?;
    load.play(events, RATE).await?;
    let figures = world.settle(&load, REPAIR).await?;
    println!("spooled when the relay was killed: {spooled} bytes");
    report("Postgres away for 20 s, the relay killed meanwhile", &world, &figures);
    relay.stop().await?;
    world.end(&figures).await
}

/// Two processes, one killed under load, and no REST API to repair with.
async fn kill_one_of_two(events: usize) -> anyhow::Result<()> {
    let world = World::new(1).await?;
    let first = world.relay(2, false).await?;
    let second = world.relay(2, false).await?;
    world.heard_by(2).await;
    let mut load = Load::new(&world, events);
    load.play(events / 2, RATE).await?;
    first.kill().await?;
    load.play(events, RATE).await?;
    let figures = world.settle(&load, Duration::from_secs(90)).await?;
    report("two processes, one killed -9, no REST API", &world, &figures);
    second.stop().await?;
    world.end(&figures).await
}

fn report(what: &str, world: &World, figures: &Figures) {
    println!("{what}");
    println!("  events played                    {:>7}", figures.played);
    println!("  missing in Postgres              {:>7}", figures.missing);
    println!("  kept twice (by identity)         {:>7}", figures.duplicates);
    println!("  first learned from the REST API  {:>7}", figures.reconciled);
    println!("  gaps written down / repaired     {:>7} / {}", figures.gaps, figures.repaired);
    println!("  events never told                {:>7}", figures.untold);
    println!("  told more than once              {:>7}", world.told_twice());
}
