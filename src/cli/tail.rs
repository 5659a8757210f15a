//! `events tail`: a client of the stream that comes back after every break, behind the last event it printed.

use std::io::Write;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{SecondsFormat, Utc};
use reqwest::Response;

use super::client::{Answer, Client};
use super::text::{field, time};
use crate::config::Tail;

/// How long to wait before coming back.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest event: far beyond the largest message that the relay takes.
const LONGEST: usize = 16 << 20;

/// Prints events until interrupted, or until the relay refuses.
pub async fn tail(asked: &Tail, out: &mut impl Write) -> anyhow::Result<()> {
    let client = Client::new(&asked.remote.place)?;
    let mut query = Vec::new();
    query.extend(asked.since.clone().map(|since| ("since", since)));
    query.extend(asked.order.clone().map(|order| ("orderId", order)));
    let mut last = None;
    let began = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    loop {
        if let Some(stream) = client.stream("/v1/events/stream", &query, last.as_deref()).await? {
            let mut reader = Reader { stream, read: Vec::new() };
            while let Some((id, event)) = reader.event().await? {
                print(&event, asked.remote.json, out)?;
                last = Some(id);
            }
        }
        if last.is_none() && asked.since.is_none() && query.iter().all(|(name, _)| *name != "since") {
            // Nothing has come yet: what happens during the break is still wanted.
            query.push(("since", began.clone()));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn print(event: &Answer, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        writeln!(out, "{}", event.text)?;
    } else {
        let event = &event.value;
        let [at, name] = [time(&field(event, "receivedAt")), field(event, "event")];
        let [status, order, id] = ["status", "orderId", "id"].map(|name| field(event, name));
        writeln!(out, "{at}  {name:24}  {status:32}  {order:36}  {id}")?;
    }
    Ok(out.flush()?)
}

/// Cuts the stream into events.
struct Reader {
    stream: Response,
    read: Vec<u8>,
}

impl Reader {
    /// The next event; `None`: the connection broke.
    async fn event(&mut self) -> anyhow::Result<Option<(String, Answer)>> {
        loop {
            while let Some(end) = self.read.windows(2).position(|pair| pair == b"\n\n") {
                let frame: Vec<u8> = self.read.drain(..end + 2).collect();
                if let Some(event) = parse(std::str::from_utf8(&frame).context("the stream is not UTF-8")?)? {
                    return Ok(Some(event));
                }
            }
            anyhow::ensure!(self.read.len() < LONGEST, "an event is longer than any can be");
            match self.stream.chunk().await {
                Ok(Some(chunk)) => self.read.extend_from_slice(&chunk),
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }
}

/// A frame that is an event, and no comment.
fn parse(frame: &str) -> anyhow::Result<Option<(String, Answer)>> {
    let Some(id) = frame.lines().find_map(|line| line.strip_prefix("id: ")) else { return Ok(None) };
    let data: Vec<&str> = frame.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    // Line feeds stand between tokens only, where JSON takes any white space: a line a value.
    Ok(Some((id.to_owned(), Answer::parse(data.join(" "))?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_no_events_and_data_may_have_several_lines() {
        assert_eq!(parse(": nothing new\n\n").unwrap(), None);
        let (id, event) = parse("id: evt_1\ndata: {\"a\":\ndata: 1}\n\n").unwrap().unwrap();
        assert_eq!((&*id, &event.value["a"]), ("evt_1", &serde_json::json!(1)));
    }
}
