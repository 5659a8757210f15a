//! Events as they happen, for as long as somebody asks for the next one.
//!
//! Guarantees: after every break it goes on behind the last event it gave, so that none is missed or given twice; if that
//! event has been erased meanwhile, behind the one before it. Where it was to begin with "now", that is behind what is kept
//! when the relay first answers: no clock takes part.
//! Does not guarantee that when everything it gave lately is erased: then it ends and says so.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Response;

use super::client::{Answer, Client, Opened};
use super::text::say;
use crate::config::Since;

/// How long to wait before coming back.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest event: far beyond the largest message that the relay takes.
const LONGEST: usize = 16 << 20;

/// How many events are remembered, to go on behind one that is still there.
const REMEMBERED: usize = 256;

/// Before everything.
const BEGINNING: &str = "1970-01-01T00:00:00Z";

/// A place in the feed.
pub(super) struct Feed {
    client: Client,
    query: Vec<(&'static str, String)>,
    /// Where it begins; `None`: with what is kept from now on.
    since: Option<String>,
    /// The events behind which it is, the newest last.
    last: VecDeque<String>,
    /// How many of them, from the newest, are there no longer.
    gone: usize,
    /// Some that it gave are remembered no longer.
    forgot: bool,
    reader: Option<Reader>,
    /// Somebody has been told that the relay does not answer.
    told: bool,
}

impl Feed {
    /// Begins there, or with what happens from now on.
    pub(super) fn new(client: Client, since: Option<Since>, now: DateTime<Utc>) -> Self {
        let since = since.map(|since| match since {
            Since::Behind(id) => id.to_string(),
            Since::Time(moment) => written(moment.at(now)),
        });
        Self {
            client,
            query: Vec::new(),
            since,
            last: VecDeque::new(),
            gone: 0,
            forgot: false,
            reader: None,
            told: false,
        }
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
                match reader.event().await? {
                    // It stands behind one that is gone, and was given.
                    Some((id, _)) if self.last.contains(&id) => continue,
                    Some((id, event)) => {
                        self.remember(id);
                        return Ok(event);
                    }
                    None => self.reader = None,
                }
                tokio::time::sleep(PAUSE).await;
            }
            if self.connect().await? {
                self.told = false;
            } else {
                if !std::mem::replace(&mut self.told, true) {
                    say(&format!(
                        "the relay does not answer at {} right now: it is asked again, and no event is left out",
                        self.client.base()
                    ));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn remember(&mut self, id: String) {
        self.last.truncate(self.last.len() - self.gone);
        self.gone = 0;
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
            self.forgot = true;
        }
        self.last.push_back(id);
    }

    /// Whether the next try need not wait.
    async fn connect(&mut self) -> anyhow::Result<bool> {
        if self.since.is_none() && self.last.is_empty() && !self.place().await? {
            return Ok(false);
        }
        let mut query = self.query.clone();
        query.extend(self.since.clone().map(|since| ("since", since)));
        let behind = self.last.iter().rev().nth(self.gone).map(String::as_str);
        match self.client.stream("/v1/events/stream", &query, behind).await? {
            Opened::Stream(stream) => {
                self.reader = Some(Reader { stream, read: Vec::new() });
                Ok(true)
            }
            Opened::NotNow => Ok(false),
            Opened::Gone => {
                self.gone += 1;
                // Where it began is a place too, if all that came since is known.
                let from_there = self.since.is_some() && !self.forgot;
                let any = self.gone < self.last.len() || from_there;
                anyhow::ensure!(any, "the events that came last are erased: begin again, with --since");
                Ok(true)
            }
        }
    }

    /// Finds the place behind what is kept now; `false`: nobody answers, or not now.
    async fn place(&mut self) -> anyhow::Result<bool> {
        let of_partner: Vec<_> =
            self.query.iter().filter(|(name, _)| *name == "partnerId").cloned().collect();
        let Some(newest) = self.client.try_get("/v1/events", &of_partner).await? else { return Ok(false) };
        let ids = newest.value["data"].as_array().into_iter().flatten().rev();
        self.last.extend(ids.filter_map(|event| event["id"].as_str()).map(str::to_owned));
        if self.last.is_empty() {
            self.since = Some(BEGINNING.to_owned());
        }
        Ok(true)
    }
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
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
