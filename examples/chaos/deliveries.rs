//! `kill -9` while deliveries are being sent: none may be left out, and each that came twice must have been under way
//! when a process was killed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::world::{Load, World};

const ENDPOINTS: usize = 10;
const KILLS: usize = 20;

/// Events per second; each is ten deliveries.
const RATE: u32 = 200;

/// A delivery whose request died with its process waits for its lease at the longest.
const PATIENCE: Duration = Duration::from_mins(4);

/// A delivery as the table shows it.
struct Row {
    endpoint: usize,
    message: String,
    /// How many of its requests were written down.
    written: usize,
}

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
    let figures = world.settle(&load, PATIENCE).await?;
    let rows = all_ended(&world).await?;
    relay.stop().await?;
    let came = world.receiver.times();
    let never = rows.iter().filter(|row| !came.contains_key(&(row.endpoint, row.message.clone()))).count();
    let twice = report(&rows, &came, never);
    world.end(&figures).await?;
    ensure!(rows.len() >= events * ENDPOINTS, "{} of {} deliveries are owed", rows.len(), events * ENDPOINTS);
    ensure!(never == 0, "{never} deliveries were never sent");
    ensure!(twice == 0, "{twice} deliveries were sent twice without a crash");
    Ok(())
}

/// Waits until nothing is pending, then reads every delivery.
async fn all_ended(world: &World) -> anyhow::Result<Vec<Row>> {
    let until = Instant::now() + PATIENCE;
    loop {
        let pending: i64 = sqlx::query_scalar("select count(*) from delivery where state = 'pending'")
            .fetch_one(&world.pool)
            .await?;
        if pending == 0 || Instant::now() > until {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "select endpoint.url, 'evt_' || replace(event_id::text, '-', ''),
                (select count(*) from attempt where attempt.delivery_id = delivery.delivery_id)
         from delivery join endpoint using (partner_id, endpoint_id)",
    )
    .fetch_all(&world.pool)
    .await?;
    let rows = rows.into_iter().map(|(url, message, written)| {
        let endpoint = url.rsplit('/').next().unwrap_or_default().parse()?;
        Ok(Row { endpoint, message, written: usize::try_from(written)? })
    });
    rows.collect()
}

/// Prints what was counted. Answers how many deliveries came more often than crashes explain: a request that came and
/// was not written down died with its process between the answer and the write-back, everything else is written down.
fn report(rows: &[Row], came: &HashMap<(usize, String), usize>, never: usize) -> usize {
    let (mut twice, mut explained, mut lost) = (0, 0, 0);
    for row in rows {
        let times = came.get(&(row.endpoint, row.message.clone())).copied().unwrap_or_default();
        twice += usize::from(times > 1);
        explained += usize::from(times > 1 && row.written < times);
        lost += times.saturating_sub(row.written);
    }
    println!("kill -9 at {KILLS} random moments during deliveries to {ENDPOINTS} endpoints");
    println!("  deliveries                                        {:>7}", rows.len());
    println!("  never sent                                        {never:>7}");
    println!("  sent more than once                               {twice:>7}");
    println!("  of those, killed between answer and write-back    {explained:>7}");
    println!("  requests whose write-back died with the process   {lost:>7}");
    twice - explained
}
