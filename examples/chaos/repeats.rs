//! Requests that came more than once, and whether a crash explains each: one that was answered just before a process was
//! killed and is not written down.

use std::time::{Duration, Instant};

use anyhow::ensure;
use chrono::{DateTime, TimeDelta, Utc};

use crate::receiver::Arrivals;
use crate::world::World;

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
    /// When those of its requests began that were answered and written down, oldest first.
    written: Vec<DateTime<Utc>>,
}

/// A kill, and the beginning of the youngest request before it that is written down.
type Crash = (DateTime<Utc>, Option<DateTime<Utc>>);

/// What was counted.
#[derive(Default)]
pub(crate) struct Repeats {
    pub(crate) deliveries: usize,
    pub(crate) never: usize,
    /// Requests beyond the first of a delivery.
    pub(crate) again: usize,
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

impl Repeats {
    /// Waits until nothing is pending, then compares every delivery with what the receiver saw.
    pub(crate) async fn count(world: &World) -> anyhow::Result<Self> {
        all_ended(world).await?;
        Ok(count(&rows(world).await?, &world.receiver.arrivals(), &world.kills()))
    }

    pub(crate) fn print(&self) {
        println!("  deliveries                       {:>7}", self.deliveries);
        println!("  .. never sent                    {:>7}", self.never);
        println!("  .. sent again                    {:>7}", self.again);
        println!("     .. after a written answer     {:>7}", self.needless);
        println!("  requests not written down        {:>7}", self.unwritten);
        println!("  .. without a kill to explain it  {:>7}", self.forgotten);
        println!("  .. from arrival to kill, at most {:>7} ms", self.longest.num_milliseconds());
        println!("  most times a delivery was sent   {:>7}", self.most_times);
    }

    pub(crate) fn ensure_explained(&self) -> anyhow::Result<()> {
        ensure!(self.never == 0, "{} deliveries were never sent", self.never);
        let unexplained = self.needless + self.forgotten;
        ensure!(unexplained == 0, "{unexplained} requests were repeated without a crash");
        Ok(())
    }
}

async fn all_ended(world: &World) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let pending: i64 = sqlx::query_scalar("select count(*) from delivery where state = 'pending'")
            .fetch_one(&world.pool)
            .await?;
        if pending == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{pending} deliveries are still pending");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn rows(world: &World) -> anyhow::Result<Vec<Row>> {
    let rows: Vec<(String, String, Vec<DateTime<Utc>>)> = sqlx::query_as(
        "select endpoint.url, 'evt_' || replace(event_id::text, '-', ''),
                array(select at from attempt
                      where attempt.delivery_id = delivery.delivery_id and status_code is not null order by at)
         from delivery join endpoint using (partner_id, endpoint_id)",
    )
    .fetch_all(&world.pool)
    .await?;
    let rows = rows.into_iter().map(|(url, message, written)| {
        let endpoint = url.rsplit('/').next().unwrap_or_default().parse()?;
        Ok(Row { endpoint, message, written })
    });
    rows.collect()
}

fn count(rows: &[Row], arrivals: &Arrivals, kills: &[DateTime<Utc>]) -> Repeats {
    let crashes: Vec<Crash> = kills
        .iter()
        .map(|kill| (*kill, rows.iter().flat_map(|row| &row.written).filter(|at| *at < kill).max().copied()))
        .collect();
    let mut count = Repeats { deliveries: rows.len(), ..Repeats::default() };
    for row in rows {
        let Some(came) = arrivals.get(&(row.endpoint, row.message.clone())) else {
            count.never += 1;
            continue;
        };
        count.again += came.len() - 1;
        count.most_times = count.most_times.max(came.len());
        let written = written(row, came);
        count.needless += written[..came.len() - 1].iter().filter(|written| **written).count();
        for (arrival, _) in came.iter().zip(written).filter(|(_, written)| !written) {
            count.unwritten += 1;
            match crashes.iter().find(|crash| explains(crash, *arrival)) {
                Some((kill, _)) => count.longest = count.longest.max(*kill - *arrival),
                None => count.forgotten += 1,
            }
        }
    }
    count
}

/// Which arrivals are written down: each written request is the first that came after its beginning. Both times are of
/// this machine's clock.
fn written(row: &Row, came: &[DateTime<Utc>]) -> Vec<bool> {
    let mut written = vec![false; came.len()];
    for began in &row.written {
        if let Some(at) = came.iter().position(|came| came >= began) {
            written[at] = true;
        }
    }
    written
}

/// A kill before which nothing much younger was written.
fn explains((kill, youngest): &Crash, arrival: DateTime<Utc>) -> bool {
    arrival <= *kill + RECEIVED_LATE && youngest.is_none_or(|youngest| arrival + ORDER >= youngest)
}
