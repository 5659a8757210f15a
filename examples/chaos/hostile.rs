//! 64 hostile receivers at once beside healthy ones: what the relay's memory does, how long a stranger can hold one of
//! its requests, and what the healthy ones notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};

use crate::load::Load;
use crate::strangers::{Kind, Strangers};
use crate::world::{ADMIN, Process, World};

const HEALTHY: usize = 36;
const STRANGERS: usize = 64;
/// Events a second, each told to a hundred endpoints.
const RATE: u32 = 5;
/// How long everything is calm, for comparison, and then hostile.
const CALM: Duration = Duration::from_secs(40);
const HOSTILE: Duration = Duration::from_mins(1);
/// The first callbacks pay for connections and caches.
const WARM: Duration = Duration::from_secs(5);
/// How often memory is read.
const LOOK: Duration = Duration::from_secs(5);
/// The deadline of an endpoint that names none, and a second for the clock's sake.
const DEADLINE: Duration = Duration::from_secs(16);
/// How much the relay may grow: 256 requests with 64 KiB of head and of body each.
const MOST_GROWTH_MIB: f64 = 32.0;

/// The relay under watch.
struct Watch<'w> {
    load: Load<'w>,
    relay: Process,
    strangers: Vec<Strangers>,
    /// MiB, one reading each [`LOOK`].
    memory: Vec<f64>,
    most_held: usize,
}

/// All kinds together, or 64 of one kind.
pub(crate) async fn hostile_receivers(only: Option<&str>) -> anyhow::Result<()> {
    let world = World::new(HEALTHY).await?;
    let relay = world.relay(1, true).await?;
    let hostile = Arc::new(AtomicBool::new(false));
    let (strangers, ids) = invite(&relay, &hostile, only).await?;
    let load = Load::new(&world, usize::MAX);
    let mut watch = Watch { load, relay, strangers, memory: Vec::new(), most_held: 0 };
    println!("{STRANGERS} receivers beside {HEALTHY} healthy ones, {RATE} events a second to each");
    watch.play(WARM).await?;
    println!("calm: everybody answers at once");
    let calm = watch.play(CALM).await?;
    watch.memory.clear();
    println!("hostile:");
    hostile.store(true, Ordering::Relaxed);
    let during = watch.play(HOSTILE).await?;
    watch.cut_off(&ids).await?;
    let figures = world.settle(&watch.load, (Duration::from_secs(30), false)).await?;
    let (before, during) = (watch.p95(calm), watch.p95(during));
    let held = watch.report((before, during));
    watch.relay.stop().await?;
    let growth = spread(&watch.memory);
    drop(watch.load);
    world.end(&figures).await?;
    ensure!(held == 0, "{held} requests are still held by strangers after the deadline");
    ensure!(growth < MOST_GROWTH_MIB, "the relay grew by {growth:.1} MiB");
    Ok(())
}

/// Registers the strangers. Answers them and the ids of their endpoints.
async fn invite(
    relay: &Process,
    hostile: &Arc<AtomicBool>,
    only: Option<&str>,
) -> anyhow::Result<(Vec<Strangers>, Vec<String>)> {
    let kinds: Vec<Kind> =
        Kind::ALL.into_iter().filter(|kind| only.is_none_or(|only| kind.to_string() == only)).collect();
    ensure!(!kinds.is_empty(), "no such kind; one of: {}", Kind::ALL.map(|kind| kind.to_string()).join(", "));
    let (mut strangers, mut ids) = (Vec::new(), Vec::new());
    for kind in &kinds {
        let some = Strangers::start(*kind, Arc::clone(hostile)).await?;
        for number in 0..STRANGERS / kinds.len() {
            ids.push(relay.api.register(None, &format!("{}/{number}", some.url)).await?.endpoint_id);
        }
        strangers.push(some);
    }
    Ok((strangers, ids))
}

impl Watch<'_> {
    /// Plays for so long and prints what is seen meanwhile. Answers the span.
    async fn play(&mut self, span: Duration) -> anyhow::Result<(DateTime<Utc>, DateTime<Utc>)> {
        let (from, began) = (Utc::now(), Instant::now());
        println!("  {:>6}  {:>12}  {:>17}", "second", "relay memory", "held by strangers");
        let each = usize::try_from(RATE)? * usize::try_from(LOOK.as_secs())?;
        while began.elapsed() < span {
            self.load.play(self.load.played() + each, RATE).await?;
            self.look(began)?;
        }
        Ok((from, Utc::now()))
    }

    fn look(&mut self, began: Instant) -> anyhow::Result<()> {
        let (memory, held) = (resident_mib(&self.relay)?, self.held());
        self.memory.push(memory);
        self.most_held = self.most_held.max(held);
        println!("  {:>6}  {memory:>8.1} MiB  {held:>17}", began.elapsed().as_secs());
        Ok(())
    }

    fn held(&self) -> usize {
        self.strangers.iter().map(|some| some.held.now.load(Ordering::Relaxed)).sum()
    }

    /// Nothing more is sent to the strangers; what they hold they may hold until the deadline.
    async fn cut_off(&mut self, ids: &[String]) -> anyhow::Result<()> {
        println!("cut off: their endpoints are disabled");
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        for id in ids {
            let url = self.relay.base.join(&format!("v1/endpoints/{id}/disable"))?;
            http.post(url).bearer_auth(ADMIN).send().await?.error_for_status()?;
        }
        let began = Instant::now();
        self.look(began)?;
        tokio::time::sleep(DEADLINE).await;
        self.look(began)
    }

    /// The 95th percentile of publishing to receiving at the healthy endpoints, in ms, and of how many callbacks.
    fn p95(&self, (from, to): (DateTime<Utc>, DateTime<Utc>)) -> (f64, usize) {
        let published = self.load.published.iter().filter(|(_, at)| (from..to).contains(at));
        let receiver = &self.load.world.receiver;
        let mut took: Vec<i64> = published
            .flat_map(|(event, at)| receiver.told_at(event).into_iter().map(move |told| told - *at))
            .filter_map(|took| took.num_microseconds())
            .collect();
        took.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a minute")]
        let at = |place: usize| took.get(place).map_or(0.0, |micros| *micros as f64 / 1e3);
        (at(took.len() * 95 / 100), took.len())
    }

    /// Prints the figures. Answers how many requests are still held.
    fn report(&self, (before, during): ((f64, usize), (f64, usize))) -> usize {
        println!("{:<42} {:>9} {:>13}", "what the strangers did", "callbacks", "longest held");
        for Strangers { kind, held, .. } in &self.strangers {
            let longest = held.longest.lock().expect("no panic").as_secs_f64();
            println!("  {kind:<40} {:>9} {longest:>11.2} s", held.requests.load(Ordering::Relaxed));
        }
        println!("  relay memory, most minus least          {:>9.1} MiB", spread(&self.memory));
        println!("  held by strangers, at most              {:>9} of 256 requests at once", self.most_held);
        println!("  still held after the deadline           {:>9}", self.held());
        println!("  healthy p95, strangers calm             {:>9.2} ms of {} callbacks", before.0, before.1);
        println!("  healthy p95, strangers hostile          {:>9.2} ms of {} callbacks", during.0, during.1);
        println!("  ratio                                   {:>9.2}", during.0 / before.0);
        self.held()
    }
}

fn spread(readings: &[f64]) -> f64 {
    let most = readings.iter().copied().fold(f64::MIN, f64::max);
    most - readings.iter().copied().fold(f64::MAX, f64::min)
}

/// Linux only: the figure is that of `/proc`.
fn resident_mib(relay: &Process) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", relay.pid()?))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
