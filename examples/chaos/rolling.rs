//! A rolling restart: two processes, each stopped in order and replaced, again and again, under load.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::load::Load;
use crate::world::World;
use crate::{RATE, report};

const RESTARTS: usize = 10;

/// What one process hears and sends, the other one does too: nothing may be lost and nothing be sent twice, with no REST
/// API to repair with.
pub(crate) async fn restart(events: usize) -> anyhow::Result<()> {
    let world = World::new(1).await?;
    let mut relays = std::collections::VecDeque::new();
    for _ in 0..2 {
        relays.push_back(world.relay(2, false).await?);
    }
    world.heard_by(2).await;
    let mut load = Load::new(&world, events);
    load.play(events / 20, RATE).await?;
    let restarts = async {
        let (mut slowest_stop, mut slowest_start) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..RESTARTS {
            let Some(oldest) = relays.pop_front() else { break };
            let began = Instant::now();
            oldest.stop().await?;
            slowest_stop = slowest_stop.max(began.elapsed());
            let began = Instant::now();
            relays.push_back(world.relay(2, false).await?);
            world.heard_by(2).await;
            slowest_start = slowest_start.max(began.elapsed());
        }
        anyhow::Ok((slowest_stop, slowest_start, Instant::now()))
    };
    let all = load.play(events, RATE);
    let ((stop, start, over), ()) = tokio::try_join!(restarts, async {
        all.await?;
        anyhow::Ok(())
    })?;
    let under_load = over < Instant::now();
    let figures = world.settle(&load, (Duration::from_secs(90), false)).await?;
    let what = format!(
        "{RESTARTS} restarts of two processes under {RATE} events/s, no REST API: every exit code 0,\n\
         slowest stop {} ms, slowest start until ready and subscribed {} ms",
        stop.as_millis(),
        start.as_millis()
    );
    let repeats = report(&what, &world, &figures).await?.again;
    for relay in relays {
        relay.stop().await?;
    }
    world.end(&figures).await?;
    ensure!(under_load, "the load had ended before the last restart: give a larger number of events");
    ensure!(repeats == 0, "{repeats} deliveries were sent twice although nothing crashed");
    Ok(())
}
