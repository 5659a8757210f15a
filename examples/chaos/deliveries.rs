//! `kill -9` while deliveries are being sent: none may be left out, and each that came again must follow a request that
//! was under way when a process was killed: one that was answered just before a kill and is not written down.

use std::time::{Duration, Instant};

use anyhow::ensure;
use chrono::{DateTime, TimeDelta, Utc};

use crate::load::Load;
use crate::receiver::Arrivals;
use crate::world::World;

const ENDPOINTS: usize = 10;
const KILLS: usize = 20;

/// Events per second; each is ten deliveries.
const RATE: u32 = 200;

/// A delivery whose request died with its process waits for its lease at the longest.
const PATIENCE: Duration = Duration::from_mins(4);

/// Answers are written down in the order in which they came, give or take this much. So what is not written down at a
/// kill came after what is; anything older was lost without a crash.
const ORDER: TimeDelta = TimeDelta::milliseconds(500);

/// What a killed process had sent may be received so long after its end, on a machine that is busy.
const RECEIVED_LATE: TimeDelta = TimeDelta::seconds(1);

/// A delivery as the table shows it.
struct Row {
    endpoint: usize,
    message: String,
    /// Its requests that were written down: when they began and how long they took.
    written: Vec<(DateTime<Utc>, TimeDelta)>,
}

/// The same as columns: URL, message, and the beginnings and durations of its requests.
type Columns = (String, String, Vec<DateTime<Utc>>, Vec<i32>);

/// What was counted.
#[derive(Default)]
struct Count {
    never: usize,
    /// Requests beyond the first of a delivery.
    repeats: usize,
    /// Those of them that follow a request which is written down.
    needless: usize,
    /// Requests that are not written down although younger ones are.
    forgotten: usize,
    /// Requests that came and are not written down.
    unwritten: usize,
    /// The longest time from the arrival of such a request to the kill.
    longest: TimeDelta,
    most_times: usize,
}

/// A tenth of `deliveries` events to ten endpoints, and 20 kills at random moments.
pub(crate) async fn kill_during_deliveries(deliveries: usize) -> anyhow::Result<()> {
    let events = deliveries.div_ceil(ENDPOINTS);
    let world = World::new(ENDPOINTS).await?;
    let mut relay = world.relay(1, true).await?;
    let mut load = Load::new(&world, events);
    let mut moments = fastrand::Rng::with_seed(20);
    let mut kills = Vec::new();
    for kill in 0..KILLS {
        let until = events * (kill + 1) / (KILLS + 1);
        load.play(until.saturating_sub(moments.usize(0..events / (KILLS + 1))), RATE).await?;
        tokio::time::sleep(Duration::from_micros(moments.u64(0..20_000))).await;
        relay.kill().await?;
        kills.push(Utc::now());
        relay = world.relay(1, true).await?;
    }
    load.play(events, RATE).await?;
    let figures = world.settle(&load, (PATIENCE, false)).await?;
    let rows = all_ended(&world).await?;
    relay.stop().await?;
    let count = count(&rows, &world.receiver.arrivals(), &kills);
    report(rows.len(), &count);
    world.end(&figures).await?;
    ensure!(rows.len() >= events * ENDPOINTS, "{} of {} deliveries are owed", rows.len(), events * ENDPOINTS);
    ensure!(count.never == 0, "{} deliveries were never sent", count.never);
    let unexplained = count.needless + count.forgotten;
    ensure!(unexplained == 0, "{unexplained} requests were repeated without a crash");
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
    let rows: Vec<Columns> = sqlx::query_as(
        "select endpoint.url, 'evt_' || replace(event_id::text, '-', ''),
                array(select at from attempt where attempt.delivery_id = delivery.delivery_id order by at),
                array(select coalesce(total_ms, 0) from attempt
                      where attempt.delivery_id = delivery.delivery_id order by at)
         from delivery join endpoint using (partner_id, endpoint_id)",
    )
    .fetch_all(&world.pool)
    .await?;
    let rows = rows.into_iter().map(|(url, message, began, took)| {
        let endpoint = url.rsplit('/').next().unwrap_or_default().parse()?;
        let took = took.into_iter().map(|ms| TimeDelta::milliseconds(ms.into()));
        Ok(Row { endpoint, message, written: began.into_iter().zip(took).collect() })
    });
    rows.collect()
}

fn count(rows: &[Row], arrivals: &Arrivals, kills: &[DateTime<Utc>]) -> Count {
    let began = || rows.iter().flat_map(|row| row.written.iter().map(|(began, _)| *began));
    let crashes: Vec<_> = kills.iter().map(|kill| (*kill, began().filter(|at| at < kill).max())).collect();
    let mut count = Count::default();
    for row in rows {
        let Some(came) = arrivals.get(&(row.endpoint, row.message.clone())) else {
            count.never += 1;
            continue;
        };
        count.repeats += came.len() - 1;
        count.most_times = count.most_times.max(came.len());
        for (at, arrival) in came.iter().enumerate() {
            if is_written(row, *arrival) {
                // The answer was kept, so there was no reason to send again.
                count.needless += usize::from(at + 1 < came.len());
                continue;
            }
            count.unwritten += 1;
            // A kill before which nothing younger was written.
            let explains = |(kill, written): &&(DateTime<Utc>, Option<DateTime<Utc>>)| {
                *arrival <= *kill + RECEIVED_LATE && written.is_none_or(|written| *arrival + ORDER >= written)
            };
            match crashes.iter().find(explains) {
                Some((kill, _)) => count.longest = count.longest.max(*kill - *arrival),
                None => count.forgotten += 1,
            }
        }
    }
    count
}

/// Whether an arrival belongs to a request that was written down. Both times are of this machine's clock; a duration is
/// written in whole milliseconds.
fn is_written(row: &Row, arrival: DateTime<Utc>) -> bool {
    let belongs = |(began, took): &(DateTime<Utc>, TimeDelta)| {
        (*began..=*began + *took + TimeDelta::milliseconds(1)).contains(&arrival)
    };
    row.written.iter().any(belongs)
}

fn report(deliveries: usize, count: &Count) {
    println!("kill -9 at {KILLS} random moments during deliveries to {ENDPOINTS} endpoints");
    println!("  deliveries                                        {deliveries:>7}");
    println!("  never sent                                        {:>7}", count.never);
    println!("  sent again                                        {:>7}", count.repeats);
    println!("  of those, after an answer that is written down    {:>7}", count.needless);
    println!("  requests whose write-back died with the process   {:>7}", count.unwritten);
    println!("  requests forgotten without a kill                 {:>7}", count.forgotten);
    println!(
        "  from arrival to kill of those, at most             {:>6} ms",
        count.longest.num_milliseconds()
    );
    println!("  most times a delivery was sent                    {:>7}", count.most_times);
}
