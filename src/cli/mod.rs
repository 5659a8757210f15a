//! The operator's commands: what they ask a running relay, over HTTP, and how the answers are printed.
//!
//! Guarantees: `--json` prints what the relay answered, one value a line; without it, lines for people whose form may
//! change. Nothing is printed that the caller's token does not open.

mod client;
mod tail;
mod text;
mod timeline;

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::config::{Endpoints, Events, NewToken, Orders, Recover};
use client::{Answer, Client};
use text::{columns, field};

pub use tail::tail;

/// Whoever reads what is printed may stop early, as `head` does: that is no failure.
pub fn until_nobody_reads(ended: anyhow::Result<()>) -> anyhow::Result<()> {
    let nobody_reads = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    match ended {
        Err(error) if error.downcast_ref().is_some_and(nobody_reads) => Ok(()),
        ended => ended,
    }
}

/// Makes a token and prints it.
pub async fn create_token(asked: &NewToken, out: &mut impl Write) -> anyhow::Result<()> {
    let client = Client::new(&asked.remote.place)?;
    let mut body = json!({ "name": asked.name, "scope": asked.scope.as_str() });
    if let Some(partner) = asked.partner {
        body["partnerId"] = json!(partner.to_string());
    }
    let made = client.post("/v1/tokens", &body).await?;
    if asked.remote.json {
        return Ok(writeln!(out, "{}", made.text)?);
    }
    Ok(writeln!(out, "{}", field(&made.value, "token"))?)
}

/// Lists endpoints, or tests one.
pub async fn endpoints(asked: &Endpoints, out: &mut impl Write) -> anyhow::Result<()> {
    match asked {
        Endpoints::List { remote } => {
            let rows = Client::new(&remote.place)?.list("/v1/endpoints").await?;
            if remote.json {
                return rows.iter().try_for_each(|row| Ok(writeln!(out, "{}", row.text)?));
            }
            let head = ["ID", "STATE", "FORMAT", "EVENTS", "URL", "WHY DISABLED"].map(str::to_owned).to_vec();
            let lines = rows.iter().map(|Answer { value: row, .. }| {
                let events = row["events"].as_array().map_or("all".to_owned(), |names| {
                    names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
                });
                let cells = [field(row, "id"), field(row, "state"), field(row, "format"), events];
                cells.into_iter().chain([field(row, "url"), field(row, "disabledReason")]).collect()
            });
            let rows: Vec<_> = std::iter::once(head).chain(lines).collect();
            columns(&rows, out)
        }
        Endpoints::Test { remote, id } => {
            let answer =
                Client::new(&remote.place)?.post(&format!("/v1/endpoints/{id}/test"), &json!({})).await?;
            if remote.json {
                return Ok(writeln!(out, "{}", answer.text)?);
            }
            let attempt = &answer.value;
            let took = &attempt["durationsMs"]["total"];
            match attempt["statusCode"].as_u64() {
                Some(status) => writeln!(out, "the endpoint answered {status} in {took} ms")?,
                None => writeln!(out, "the endpoint did not answer: {}", field(attempt, "error"))?,
            }
            let taken = attempt["statusCode"].as_u64().is_some_and(|status| (200..300).contains(&status));
            anyhow::ensure!(taken, "the test event was not taken: only 2xx is success");
            Ok(())
        }
    }
}

/// Draws an order's timeline.
pub async fn orders(asked: &Orders, out: &mut impl Write) -> anyhow::Result<()> {
    let Orders::Timeline { remote, id } = asked;
    let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    let path = format!("/v1/orders/{}/timeline", id.replace('+', "%20"));
    let timeline = Client::new(&remote.place)?.get(&path).await?;
    if remote.json { Ok(writeln!(out, "{}", timeline.text)?) } else { timeline::draw(&timeline.value, out) }
}

/// Prints events as they happen.
pub async fn events(asked: &Events, out: &mut impl Write) -> anyhow::Result<()> {
    let Events::Tail(asked) = asked;
    tail(asked, out).await
}

/// Begins a recovery and shows its progress until it is done.
pub async fn recover(asked: &Recover, out: &mut impl Write) -> anyhow::Result<()> {
    let client = Client::new(&asked.remote.place)?;
    let mut body = json!({ "since": asked.since, "only": asked.only });
    if let Some(until) = &asked.until {
        body["until"] = json!(until);
    }
    let mut job = client.post(&format!("/v1/endpoints/{}/recover", asked.id), &body).await?;
    let path = format!("/v1/recoveries/{}", field(&job.value, "id"));
    let mut shown = None;
    loop {
        if shown.as_ref() != Some(&job) {
            writeln!(out, "{}", if asked.remote.json { job.text.clone() } else { progress(&job.value) })?;
            out.flush()?;
            shown = Some(job.clone());
        }
        if !job.value["finishedAt"].is_null() {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        job = client.get(&path).await?;
    }
}

fn progress(job: &Value) -> String {
    let [id, done, total, state] = ["id", "done", "total", "state"].map(|name| field(job, name));
    format!("{id}: {done} of {total} owed again, {state}")
}
