//! A soak: a steady load for minutes with a short retention; the database and the process must stop growing.

use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::load::Load;
use crate::world::World;

const ENDPOINTS: usize = 5;

/// Events per second; each is five deliveries.
const RATE: u32 = 100;

/// Once what is deleted and what arrives are in balance, the largest may be this much of the smallest, in percent.
const FLAT: u64 = 125;

/// What is seen at the end of a minute.
struct Minute {
    database: u64,
    resident: u64,
}

/// 100 events/s to five endpoints for `minutes`, kept for two minutes each.
pub(crate) async fn soak(minutes: usize) -> anyhow::Result<()> {
    let mut world = World::new(ENDPOINTS).await?;
    world.set("RELAY_RETENTION_SECONDS", "120");
    let relay = world.relay(1, true).await?;
    let mut load = Load::new(&world, usize::MAX);
    let mut seen = Vec::new();
    println!("{RATE} events/s to {ENDPOINTS} endpoints for {minutes} minutes, kept for 2 minutes");
    println!(
        "minute  database MiB  resident MiB  events kept  attempts kept  partitions  dead rows  pending"
    );
    let began = Instant::now();
    for minute in 1..=minutes {
        load.play(minute * 60 * RATE as usize, RATE).await?;
        seen.push(look(&world, relay.pid()?, minute).await?);
    }
    println!("{} events in {:.0} s", load.played(), began.elapsed().as_secs_f64());
    let untold = load.untold(&world);
    relay.stop().await?;
    world.stop().await?;
    judge(&seen)?;
    ensure!(untold <= RATE as usize, "{untold} events were never told");
    Ok(())
}

async fn look(world: &World, pid: u32, minute: usize) -> anyhow::Result<Minute> {
    let count = |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(&world.pool);
    let database = u64::try_from(count("select pg_database_size(current_database())").await?)?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let resident: u64 = resident.trim().trim_end_matches(" kB").parse::<u64>()? * 1024;
    println!(
        "{minute:>6}  {:>12.1}  {:>12.1}  {:>11}  {:>13}  {:>10}  {:>9}  {:>7}",
        mebibytes(database),
        mebibytes(resident),
        count("select count(*) from event").await?,
        count("select count(*) from attempt").await?,
        count("select count(*) from pg_inherits").await?,
        count("select coalesce(sum(n_dead_tup), 0)::bigint from pg_stat_user_tables").await?,
        count("select count(*) from delivery where state = 'pending'").await?,
    );
    Ok(Minute { database, resident })
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// From the sixth minute on retention is in balance with what arrives.
fn judge(seen: &[Minute]) -> anyhow::Result<()> {
    let settled = seen.get(5..).unwrap_or_default();
    for (what, of) in
        [("the database", (|m| m.database) as fn(&Minute) -> u64), ("the resident memory", |m| m.resident)]
    {
        let (Some(least), Some(most)) = (settled.iter().map(of).min(), settled.iter().map(of).max()) else {
            println!("{what}: too short a run to say whether it is flat (7 minutes or more)");
            continue;
        };
        println!(
            "{what} from minute 6 on: {:.1} to {:.1} MiB, {} % of the least",
            mebibytes(least),
            mebibytes(most),
            most * 100 / least
        );
        ensure!(most * 100 <= least * FLAT, "{what} grows");
    }
    Ok(())
}
