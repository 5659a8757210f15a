//! Events as they happen, for as long as somebody asks for the next one.
//!
//! Guarantees: after every break it goes on behind the last event it gave, so that none is missed or given twice. Where
//! it was to begin with "now", that is the relay's time of the first connection, whatever this machine's clock shows.

use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Response;
use reqwest::header::DATE;

use super::client::{Answer, Client};
use crate::config::Since;

/// How long to wait before coming back.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest event: far beyond the largest message that the relay takes.
const LONGEST: usize = 16 << 20;

/// A place in the feed.
pub(super) struct Feed {
    client: Client,
    query: Vec<(&'static str, String)>,
    /// Where it began; `None` until that is known.
    since: Option<String>,
    /// The event that was given last.
    last: Option<String>,
    reader: Option<Reader>,
}

impl Feed {
    /// Begins there, or with what happens from now on.
    pub(super) fn new(client: Client, since: Option<Since>, now: DateTime<Utc>) -> Self {
        let since = since.map(|since| match since {
            Since::Behind(id) => id.to_string(),
            Since::Time(moment) => written(moment.at(now)),
        });
        Self { client, query: Vec::new(), since, last: None, reader: None }
    }

    /// Only events with this.
    pub(super) fn only(mut self, name: &'static str, value: Option<String>) -> Self {
        self.query.extend(value.map(|value| (name, value)));
        self
    }

    /// The next event, however long it takes.
    ///
    /// # Errors
    /// If the relay refuses.
    pub(super) async fn next(&mut self) -> anyhow::Result<Answer> {
        loop {
            if let Some(reader) = &mut self.reader {
                if let Some((id, event)) = reader.event().await? {
                    self.last = Some(id);
                    return Ok(event);
                }
                self.reader = None;
                tokio::time::sleep(PAUSE).await;
            }
            self.reader = self.connect().await?;
            if self.reader.is_none() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn connect(&mut self) -> anyhow::Result<Option<Reader>> {
        let asked = Utc::now();
        let mut query = self.query.clone();
        query.extend(self.since.clone().map(|since| ("since", since)));
        let stream = self.client.stream("/v1/events/stream", &query, self.last.as_deref()).await?;
        if self.since.is_none() {
            // Nothing has come yet: what happens until the next connection is still wanted.
            self.since = Some(written(stream.as_ref().and_then(date).unwrap_or(asked)));
        }
        Ok(stream.map(|stream| Reader { stream, read: Vec::new() }))
    }
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The relay's time of an answer.
fn date(answer: &Response) -> Option<DateTime<Utc>> {
    httpdate::parse_http_date(answer.headers().get(DATE)?.to_str().ok()?).ok().map(Into::into)
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
