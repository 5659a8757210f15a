//! `kill -9` while deliveries are being sent: none may be left out, and each that came again must follow a request that
//! was under way when a process was killed.

use std::time::Duration;

use anyhow::ensure;

use crate::load::Load;
use crate::world::World;
use crate::{KILLS, RATE, report};

const ENDPOINTS: usize = 10;

const PATIENCE: Duration = Duration::from_mins(4);

/// A tenth of `deliveries` events to ten endpoints, and 20 kills at random moments.
pub(crate) async fn kill_during_deliveries(deliveries: usize) -> anyhow::Result<()> {
    let events = deliveries.div_ceil(ENDPOINTS);
    let world = World::new(ENDPOINTS).await?;
    let mut relay = world.relay(1, true).await?;
    let mut load = Load::new(&world, events);
    let mut moments = fastrand::Rng::with_seed(20);
    for kill in 0..KILLS {
        let until = events * (kill + 1) / (KILLS + 1);
        load.play(until.saturating_sub(moments.usize(0..events / (KILLS + 1))), RATE).await?;
        tokio::time::sleep(Duration::from_micros(moments.u64(0..20_000))).await;
        relay.kill().await?;
        relay = world.relay(1, true).await?;
    }
    load.play(events, RATE).await?;
    let figures = world.settle(&load, (PATIENCE, false)).await?;
    let what = format!("kill -9 at {KILLS} random moments during deliveries to {ENDPOINTS} endpoints");
    let repeats = report(&what, &world, &figures).await?;
    relay.stop().await?;
    world.end(&figures).await?;
    ensure!(
        repeats.deliveries >= events * ENDPOINTS,
        "{} of {} deliveries are owed",
        repeats.deliveries,
        events * ENDPOINTS
    );
    Ok(())
}
