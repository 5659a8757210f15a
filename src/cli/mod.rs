//! The operator's commands: what they ask a running relay, over HTTP, and how the answers are printed.
//!
//! Guarantees: `--json` prints what the relay answered, one value a line; without it, lines for people whose form may
//! change. Nothing is printed that the caller's token does not open.

mod client;
mod feed;
mod listen;
mod node;
mod request;
mod show;
mod tail;
mod text;
mod timeline;

use std::io::{self, Write};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::config::Listen;
use crate::config::operation::{Asked, Call, Show};
use client::{Answer, Client};
use node::Node;
use request::Request;
use text::field;

/// How often a recovery is looked at.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// Whoever reads what is printed may stop early, as `head` does: that is no failure.
pub fn until_nobody_reads(ended: anyhow::Result<()>) -> anyhow::Result<()> {
    let nobody_reads = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    match ended {
        Err(error) if error.downcast_ref().is_some_and(nobody_reads) => Ok(()),
        ended => ended,
    }
}

/// Does what was asked for, at the moment `now`.
pub async fn call(asked: &Call, now: DateTime<Utc>, out: &mut impl Write) -> anyhow::Result<()> {
    match asked {
        Call::Operation(asked) => operation(asked, now, out).await,
        Call::Tail(asked) => tail::tail(asked, now, out).await,
    }
}

/// Forwards events to an address.
pub async fn listen(asked: &Listen, now: DateTime<Utc>, out: &mut impl Write) -> anyhow::Result<()> {
    listen::listen(asked, now, out).await
}

/// One operation of the table.
pub async fn operation(asked: &Asked, now: DateTime<Utc>, out: &mut impl Write) -> anyhow::Result<()> {
    let client = Client::new(&asked.remote.place)?;
    let request = Request::of(asked, now)?;
    if let Show::Rows(columns) = asked.operation.show {
        return list(asked, (&client, &request), columns, out).await;
    }
    let answer = client.ask(&request).await?;
    if let Show::Done(said) = asked.operation.show {
        // Nothing is answered: for machines the exit code says it.
        return if asked.remote.json { Ok(()) } else { Ok(writeln!(out, "{said}")?) };
    }
    let answer = Answer::parse(answer)?;
    if asked.operation.show == Show::Progress && !answer.value["id"].is_null() {
        return progress(&client, answer, asked.remote.json, out).await;
    }
    if asked.remote.json {
        writeln!(out, "{}", answer.text)?;
    }
    match asked.operation.show {
        Show::Attempt => attempt(&answer.value, asked.remote.json, out),
        _ if asked.remote.json => Ok(()),
        Show::Timeline => timeline::draw(&answer.value, out),
        Show::Only(name) => Ok(writeln!(out, "{}", field(&answer.value, name))?),
        Show::Progress => {
            let total = field(&answer.value, "total");
            Ok(writeln!(out, "{total} would be owed again; nothing is, because of --dry-run")?)
        }
        Show::Rows(_) | Show::Done(_) | Show::One => show::one(&Node::parse(&answer.text)?, out),
    }
}

async fn list(
    asked: &Asked,
    (client, request): (&Client, &Request),
    columns: &[&str],
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let (rows, more) = client.list(request, asked.pages).await?;
    if asked.remote.json {
        rows.iter().try_for_each(|row| writeln!(out, "{}", row.get()))?;
    } else {
        let rows: Vec<Node> = rows.iter().map(|row| Node::parse(row.get())).collect::<Result<_, _>>()?;
        show::table(&rows, columns, out)?;
    }
    if more {
        out.flush()?;
        #[expect(clippy::print_stderr, reason = "what is printed for machines must not have it")]
        {
            eprintln!("There are more: give --limit or --all.");
        }
    }
    Ok(())
}

/// What came of a test, in one line unless the answer is printed as it is; a failure unless it was taken.
fn attempt(attempt: &Value, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let took = &attempt["durationsMs"]["total"];
    let status = attempt["statusCode"].as_u64();
    match status {
        _ if json => {}
        Some(status) => writeln!(out, "the endpoint answered {status} in {took} ms")?,
        None => writeln!(out, "the endpoint did not answer: {}", field(attempt, "error"))?,
    }
    let taken = status.is_some_and(|status| (200..300).contains(&status));
    anyhow::ensure!(taken, "the test event was not taken: only 2xx is success");
    Ok(())
}

/// Shows how far a recovery is until it is over.
async fn progress(client: &Client, mut job: Answer, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let path = format!("/v1/recoveries/{}", field(&job.value, "id"));
    let mut shown = None;
    loop {
        if shown.as_ref() != Some(&job) {
            writeln!(out, "{}", if json { job.text.clone() } else { how_far(&job.value) })?;
            out.flush()?;
            shown = Some(job.clone());
        }
        if !job.value["finishedAt"].is_null() {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
        job = client.get(&path).await.context("the recovery goes on, but cannot be looked at")?;
    }
}

fn how_far(job: &Value) -> String {
    let [id, done, total, state] = ["id", "done", "total", "state"].map(|name| field(job, name));
    format!("{id}: {done} of {total} owed again, {state}")
}
