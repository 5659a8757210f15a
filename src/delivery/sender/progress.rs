//! What is known of an attempt while it runs, so that a deadline that cuts it off anywhere loses no evidence.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use tokio::time::Instant;

use super::outcome::{Attempt, BODY_KEPT, HEADERS_KEPT, ResponseBody, SendError, Stage};

/// What stands in the attempt log for a header value the partner marked secret.
const COVERED: &str = "[redacted]";

pub(super) struct Progress {
    started: Instant,
    /// How far it has come, for the sentence when the deadline passes.
    pub stage: Stage,
    attempt: Attempt,
    body: Vec<u8>,
    whole: bool,
}

impl Progress {
    pub(super) fn new(started: Instant, request_headers: &HeaderMap) -> Self {
        let attempt = Attempt { request_headers: sent(request_headers), ..Attempt::default() };
        Self { started, stage: Stage::default(), attempt, body: Vec::new(), whole: false }
    }

    /// The address that is about to be tried.
    pub(super) fn remote(&mut self, ip: IpAddr) {
        self.attempt.remote_ip = Some(ip);
    }

    pub(super) fn dns(&mut self, since: Instant) {
        self.attempt.durations.dns = Some(millis(since));
    }

    pub(super) fn connect(&mut self, since: Instant) {
        self.attempt.durations.connect = Some(millis(since));
    }

    pub(super) fn tls(&mut self, since: Instant) {
        self.attempt.durations.tls = Some(millis(since));
    }

    /// The head of the answer: from here on the attempt has a status, whatever becomes of the body.
    pub(super) fn head<B>(&mut self, response: &Response<B>, first_byte: Option<Duration>) {
        self.attempt.durations.first_byte = first_byte.map(whole);
        self.attempt.status_code = Some(response.status().as_u16());
        self.attempt.response_headers = received(response.headers());
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        self.attempt.retry_after = retry_after.map(str::to_owned);
    }

    /// The status, once there is one.
    pub(super) fn status(&self) -> Option<u16> {
        self.attempt.status_code
    }

    /// What has come was no answer to this request: another connection decides.
    pub(super) fn forget_answer(&mut self) {
        let request_headers = std::mem::take(&mut self.attempt.request_headers);
        self.attempt = Attempt { request_headers, ..Attempt::default() };
        self.body.clear();
        self.whole = false;
    }

    /// More of the body.
    pub(super) fn body(&mut self, bytes: &[u8]) {
        let room = BODY_KEPT - self.body.len();
        self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The body ended as it should, after `read` bytes.
    pub(super) fn body_end(&mut self, read: usize) {
        self.whole = read <= BODY_KEPT;
    }

    /// The attempt, given what kept it from ending well. A failure after the head of the answer is none.
    pub(super) fn finish(mut self, failure: Option<SendError>) -> Attempt {
        self.attempt.durations.total = millis(self.started);
        if self.attempt.status_code.is_some() {
            self.attempt.response_body = Some(ResponseBody::new(&self.body, self.whole));
        } else {
            self.attempt.error = failure;
        }
        self.attempt
    }
}

fn millis(since: Instant) -> u32 {
    whole(since.elapsed())
}

/// Whole milliseconds; 49 days are enough for an attempt.
fn whole(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

fn sent(headers: &HeaderMap) -> Vec<(String, String)> {
    let shown = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = if value.is_sensitive() { COVERED.to_owned() } else { lossy(value) };
        (name.as_str().to_owned(), value)
    };
    headers.iter().map(shown).collect()
}

/// One that does not fit, as it is kept, is left out, and hides none that comes behind it.
fn received(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut room = HEADERS_KEPT;
    let fitting = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = lossy(value);
        room = room.checked_sub(name.as_str().len() + value.len())?;
        Some((name.as_str().to_owned(), value))
    };
    headers.iter().filter_map(fitting).collect()
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
