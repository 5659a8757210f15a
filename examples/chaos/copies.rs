//! Two or three processes that are killed, go mute and change places under load, beside a REST API with small pages.

use std::time::{Duration, Instant};

use anyhow::ensure;
use chrono::{DateTime, Utc};
use fastrand::Rng;
use transak_relay::sandbox::rest::Fault;

use crate::load::Load;
use crate::world::{Process, World};
use crate::{RATE, REPAIR, report};

/// The most orders on a page, whatever is asked for.
const PAGE: usize = 50;

/// The longest pause between two mishaps.
const PAUSE: Duration = Duration::from_secs(5);

/// What happened to the processes.
#[derive(Debug, Default)]
struct Mishaps {
    kills: usize,
    mutes: usize,
    drops: usize,
    moves: usize,
}

/// Nothing may be missing, and each moment in which something was said and nobody heard lies in a gap.
pub(crate) async fn copies(events: usize) -> anyhow::Result<()> {
    let world = World::new(1).await?;
    world.upstream.rest().misbehave(Fault::SmallPages(PAGE));
    let mut relays = vec![world.relay(2, true).await?, world.relay(2, true).await?];
    world.heard_by(2).await;
    let mut load = Load::new(&world, events);
    let length = Duration::from_secs(u64::try_from(events)?) / RATE;
    let mishaps = async {
        let (mut random, mut mishaps, began) = (Rng::with_seed(13), Mishaps::default(), Instant::now());
        while began.elapsed() + PAUSE < length {
            tokio::time::sleep(PAUSE.mul_f64(random.f64())).await;
            befall(&world, &mut relays, (&mut random, &mut mishaps)).await?;
        }
        while relays.len() < 2 {
            relays.push(world.relay(2, true).await?);
        }
        anyhow::Ok(mishaps)
    };
    let (mishaps, ()) = tokio::try_join!(mishaps, load.play(events, RATE))?;
    let figures = world.settle(&load, (REPAIR, true)).await?;
    let outside = outside_of_gaps(&world, &load.unheard).await?;
    let what = format!(
        "two or three processes under {RATE} events/s: {} killed, {} connections mute, {} dropped, {} slots taken away; REST \
         pages of {PAGE} without a total",
        mishaps.kills, mishaps.mutes, mishaps.drops, mishaps.moves
    );
    report(&what, &world, &figures).await?;
    println!("  published while nobody heard     {:>7}", load.unheard.len());
    println!("  of these outside of every gap    {:>7}", outside.len());
    for relay in relays {
        relay.stop().await?;
    }
    ensure!(figures.repaired == figures.gaps, "a gap is not repaired");
    ensure!(outside.is_empty(), "nobody heard at {outside:?}, and no gap says so");
    ensure!(!load.unheard.is_empty(), "somebody always heard: nothing was shown");
    world.end(&figures).await
}

async fn befall(
    world: &World,
    relays: &mut Vec<Process>,
    (random, mishaps): (&mut Rng, &mut Mishaps),
) -> anyhow::Result<()> {
    match random.u32(0..10) {
        0..3 if !relays.is_empty() => {
            relays.swap_remove(random.usize(..relays.len())).kill().await?;
            mishaps.kills += 1;
        }
        3..5 => mishaps.mutes += usize::from(world.upstream.pusher().mute_oldest()),
        5 => mishaps.drops += world.upstream.pusher().disconnect(random.bool().then_some(4200)),
        6 => mishaps.moves += world.take_a_slot_away(random.i32(0..2)).await?,
        _ if relays.len() < 3 => relays.push(world.relay(2, true).await?),
        _ => {}
    }
    Ok(())
}

/// The moments of these that lie in no gap.
async fn outside_of_gaps(world: &World, moments: &[DateTime<Utc>]) -> anyhow::Result<Vec<DateTime<Utc>>> {
    let gaps: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> =
        sqlx::query_as("select started_at, ended_at from gap").fetch_all(&world.pool).await?;
    let lies_in =
        |at: &DateTime<Utc>| gaps.iter().any(|(from, to)| from <= at && to.is_none_or(|to| *at <= to));
    Ok(moments.iter().filter(|at| !lies_in(at)).copied().collect())
}
