//! What the relay can do on this machine, measured from outside: the release binary as a process, a Postgres of its own
//! that waits for the disk, a Pusher server and a callback receiver in processes of their own.
//!
//! `make bench` runs everything; `make bench ARGS="--quick one gentle"` a part of it, small. docs/performance.md says how
//! to read the result. The same program plays the source and the receiver, told so by its first argument.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

mod child;
mod database;
mod history;
mod limits;
mod meter;
mod neighbours;
mod noisy;
mod orders;
mod quiet;
mod receiver;
mod report;
mod scenario;
mod source;
mod stage;
mod statements;
mod waiting;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use report::{Report, Run};
use stage::Bench;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Frame heard to committed, without any endpoint.
    Intake,
    /// Everything to one endpoint.
    One,
    /// Everything to ten endpoints.
    Ten,
    /// 50 events a second, and the latency from publishing to receiving.
    Gentle,
    /// The same at 500 a second.
    Brisk,
    /// Deliveries that are all due at once.
    Backlog,
    /// Transak's webhooks, 32 at a time.
    Webhook,
    /// Timelines, 16 at a time.
    Reads,
    /// Nothing to do; then 1,000 clients that follow the events.
    Idle,
    /// One endpoint of a hundred hangs.
    Noisy,
    /// One endpoint of a hundred has a backlog.
    NoisyBacklog,
    /// Thousands of endpoints of another partner hang or refuse.
    Neighbours,
    /// Tens of thousands of endpoints wait for their time.
    WaitingEndpoints,
    /// A short history and a long one.
    History,
}

#[derive(Debug, Clone, Parser)]
struct Options {
    /// Which scenarios; all if none is named.
    #[arg(value_enum)]
    names: Vec<Name>,
    /// A hundredth of the load, to see that everything works.
    #[arg(long)]
    quick: bool,
    /// How often each scenario is run; the median is shown.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// How many events a burst has.
    #[arg(long, default_value_t = 20_000)]
    events: usize,
    /// How many deliveries the backlog has.
    #[arg(long, default_value_t = 100_000)]
    backlog: usize,
    /// How many endpoints the other partner has.
    #[arg(long, default_value_t = 10_000)]
    neighbours: usize,
    /// How many endpoints wait.
    #[arg(long, default_value_t = 50_000)]
    waiting: usize,
    /// How many seconds a steady load lasts.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// How many events the long history has.
    #[arg(long, default_value_t = 1_000_000)]
    history: usize,
    /// Prints what Postgres spends on which statements as well; that costs it something.
    #[arg(long)]
    statements: bool,
    /// Another relay to measure, to compare two versions in the same hour.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_transak-relay"), hide_default_value = true)]
    relay: PathBuf,
    /// Where the result is written as JSON.
    #[arg(long, default_value = "target/bench.json")]
    output: PathBuf,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn settled(mut self) -> Self {
        if self.quick {
            self.runs = 1;
            self.events = self.events.min(400);
            self.backlog = self.backlog.min(1_000);
            self.neighbours = self.neighbours.min(200);
            self.waiting = self.waiting.min(1_000);
            self.seconds = self.seconds.min(2);
            self.history = self.history.min(20_000);
        }
        if self.names.is_empty() {
            self.names = Name::value_variants().to_vec();
        }
        self
    }
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[1..] {
        ["source", api_key, access_token] => {
            child::one_thread(source::play(api_key.to_owned(), access_token.to_owned().into()))
        }
        ["receiver"] => child::one_thread(receiver::play()),
        _ => tokio::runtime::Runtime::new()?.block_on(measure(Options::parse().settled())),
    }
}

async fn measure(options: Options) -> anyhow::Result<()> {
    let mut bench = Bench::start(&options.relay, options.statements).await?;
    let mut report = Report::new(limits::measure(&mut bench, options.quick).await?);
    println!("{}", report.limits_text());
    for name in &options.names {
        let mut runs = Vec::new();
        for _ in 0..options.runs {
            runs.push(run(&mut bench, *name, &options).await?);
        }
        println!("{}", report.add(*name, &runs));
    }
    std::fs::write(&options.output, report.json()?)?;
    println!("written to {}", options.output.display());
    bench.stop().await
}

async fn run(bench: &mut Bench, name: Name, options: &Options) -> anyhow::Result<Run> {
    match name {
        Name::Intake => scenario::burst(bench, 0, options.events).await,
        Name::One => scenario::burst(bench, 1, options.events).await,
        Name::Ten => scenario::burst(bench, 10, options.events).await,
        Name::Gentle => scenario::steady(bench, 50, options.seconds).await,
        Name::Brisk => scenario::steady(bench, 500, options.seconds).await,
        Name::Backlog => scenario::backlog(bench, options.backlog).await,
        Name::Webhook => scenario::webhooks(bench, options.events).await,
        Name::Reads => scenario::reads(bench, options.events.min(2_000)).await,
        Name::Idle => quiet::idle(bench, options.seconds).await,
        Name::Noisy => noisy::hang(bench, options.seconds).await,
        Name::NoisyBacklog => noisy::backlog(bench, options.backlog, options.seconds).await,
        Name::Neighbours => neighbours::compare(bench, options.neighbours, options.seconds).await,
        Name::WaitingEndpoints => waiting::wait(bench, options.waiting, options.seconds).await,
        Name::History => history::grow(bench, options).await,
    }
}
