//! A path to Postgres that falls silent under load.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::load::Load;
use crate::world::World;
use crate::{RATE, REPAIR, report};

/// How long nothing gets through at all.
const SILENCE: Duration = Duration::from_secs(15);

/// Within this long after new connections work everything has to flow again.
const BACK: Duration = Duration::from_secs(30);

/// Everything on the way to Postgres is swallowed, and no end is told, in the middle of the load. Then new connections
/// work, and those that there were stay silent.
pub(crate) async fn silent_postgres(events: usize) -> anyhow::Result<()> {
    let world = World::new(1).await?;
    let relay = world.relay(1, true).await?;
    let mut load = Load::new(&world, events);
    let mut back = Duration::MAX;
    let breaking = async {
        tokio::time::sleep(Duration::from_secs(1) * u32::try_from(events / 4)? / RATE).await;
        world.door().fall_silent();
        tokio::time::sleep(SILENCE).await;
        let told = world.receiver.told().len();
        world.door().let_new_ones_through();
        let (began, never) = (Instant::now(), tokio_util::sync::CancellationToken::new());
        while began.elapsed() < 4 * BACK {
            let ready = tokio::time::timeout(BACK, relay.api.ready(&never)).await;
            if ready == Ok(true) && world.receiver.told().len() > told {
                back = began.elapsed();
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(load.play(events, RATE), breaking)?;
    let figures = world.settle(&load, (REPAIR, true)).await?;
    println!("ready, and telling again, after new connections worked: {:.1} s", back.as_secs_f64());
    report("the path to Postgres silent for 15 s under load", &world, &figures).await?;
    relay.stop().await?;
    ensure!(back <= BACK, "it took longer than {} s", BACK.as_secs());
    ensure!(figures.repaired == figures.gaps, "a gap is not repaired");
    world.end(&figures).await
}
