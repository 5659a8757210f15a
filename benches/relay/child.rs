//! Processes that are told what to do by lines, and answer each with a line.

use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child as Process, ChildStdin, ChildStdout, Command};

/// The driver's end.
#[derive(Debug)]
pub(crate) struct Child {
    process: Process,
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// The first line: where it listens.
    pub(crate) address: String,
}

impl Child {
    /// Starts this program in another role.
    pub(crate) async fn start(words: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().context("cannot start a helper process")?;
        let asks = process.stdin.take().context("no pipe")?;
        let answers = BufReader::new(process.stdout.take().context("no pipe")?).lines();
        let mut child = Self { process, asks, answers, address: String::new() };
        child.address = child.answer().await?;
        Ok(child)
    }

    /// Tells it something and waits for the answer.
    pub(crate) async fn ask(&mut self, line: &str) -> anyhow::Result<String> {
        self.asks.write_all(format!("{line}\n").as_bytes()).await?;
        self.answer().await
    }

    async fn answer(&mut self) -> anyhow::Result<String> {
        match self.answers.next_line().await? {
            Some(line) => Ok(line),
            None => bail!("a process of the benchmark ended early: {:?}", self.process.wait().await),
        }
    }
}

/// The other end: lines come in, each is answered.
pub(crate) struct Driver {
    asks: Lines<BufReader<tokio::io::Stdin>>,
}

impl Driver {
    pub(crate) fn new(address: &str) -> Self {
        println!("{address}");
        Self { asks: BufReader::new(tokio::io::stdin()).lines() }
    }

    /// The next line, in words; `None` when the driver is gone.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Vec<String>>> {
        let line = self.asks.next_line().await?;
        Ok(line.map(|line| line.split(' ').map(str::to_owned).collect()))
    }

    #[expect(clippy::unused_self, reason = "only who reads the questions answers")]
    pub(crate) fn answer(&self, line: &str) {
        println!("{line}");
    }
}

/// Runs a role on one thread: the machine has few.
pub(crate) fn one_thread(role: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(role)
}
